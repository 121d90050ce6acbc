"""BN-VAE as a run: its checkpoint holds the statistics that evaluation needs, and other families are refused."""

import pytest
from runs import Programs, measures

from lid_vae.system.checkpoint import load_checkpoint


@pytest.fixture
def programs(tmp_path):
    return Programs(tmp_path)


def test_a_run_and_its_evaluation_agree(programs):
    run = programs.train("model=bn_vae", "trainer.max_epochs=1")
    found = programs.evaluate(run.folder / "checkpoints" / "best.ckpt")
    for name in ("latent", "ll", "elbo"):
        assert measures(found.result)[name] == measures(run.result)[name]
    assert run.result["posterior"] == "batch_norm"
    assert run.result["latent"]["z"]["au"] == 1, "by construction: gamma = 0.5 in each dimension"
    state = load_checkpoint(run.folder / "checkpoints" / "best.ckpt")["state_dict"]
    assert bool((state["vae.posterior.variance"] != 1).all())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["model=bn_vae", "family=realnvp"], "family=gaussian"),
        (["model=lidgmvae", "normalization=batch_norm"], "family=gaussian"),
        (["model=bn_vae", "normalization=batchnorm"], "Did you mean normalization=batch_norm?"),
    ],
)
def test_refused_with_the_reason(programs, options, message):
    assert message in programs.train(*options).paragraph
