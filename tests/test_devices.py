"""Training steps on a device that holds no numbers: nothing in them mixes devices, and none waits to read a value.

PyTorch's ``meta`` device stands for a GPU, where reading a number stops the queue of work: there it cannot be done at
all, and an operation on it and on a tensor left on the CPU is refused.
"""

import pytest
import torch
from hydra import compose, initialize_config_dir
from making import recipe
from test_combinations import CONF, INFERENCES, SMALL

from lid_vae.data.split import Batch
from lid_vae.noise import generator
from lid_vae.run.build import build_data, build_module
from lid_vae.train.ensemble import Ensemble
from lid_vae.train.member import Member
from lid_vae.train.vae_module import VAEModule

STEPS = INFERENCES[:2]  # the inner loop of Lagging VAE has to see its bound
MIXTURES = ["family.mixture=conditional", "family.mixture=enumerate"]
MODELS = [
    "model=vae",
    "model=lidvae",
    "model=lidvae map=gradient_network",
    *(f"model={model} {mixture}" for model in ("gmvae", "lidgmvae", "lidmvae") for mixture in MIXTURES),
    "model=lidgmvae family=gaussian",
    "model=lidgmvae objective=free_bits",
    "model=gmvae objective=importance_weighted",
    "model=gmvae normalization=batch_norm family=gaussian",
    "model=il_lidvae",
    "model=lidgmvae encoder=convolutional",
]


class Bench:
    """What a training asks of a trainer in a step, and no more."""

    log_every_n_steps = 50


def training(overrides: str, data: str, count: int, monkeypatch) -> tuple[Ensemble, Batch]:
    """Of ``count`` members on meta, ready for a step in its middle, with a batch there, where their noise is too."""
    with initialize_config_dir(CONF, version_base="1.3"):
        cfg = compose(
            "train",
            ["choices=null", "width=8", "optimizer.fused=false", f"data={data}", *SMALL[data], *overrides.split()],
        )
    source = build_data(cfg.data)
    shape = list(source.image_shape or (source.features,))
    built = [build_module(*recipe(cfg), source, shape, source.label_count) for _ in range(count)]
    batch = Batch(*(None if part is None else part.to("meta") for part in source.stream().batch(0)))
    noise = built[0].vae.posterior.draw_noise(built[0].objective.samples, len(batch.x), generator("test")).to("meta")
    monkeypatch.setattr(VAEModule, "noise", lambda *_: noise)  # there are no generators on meta
    monkeypatch.setattr(Ensemble, "manual_backward", lambda self, loss, **options: loss.backward(**options))
    made = Ensemble([Member(module) for module in built], source).to("meta")
    made._trainer = Bench()
    optimizers = made.configure_optimizers()
    made._bound = made.together.forward
    made._optimizers = dict(zip(made.together.inference.groups, optimizers, strict=True))
    made._before_step = []
    made.step, made.steps = 60, 100
    return made, batch if count == 1 else Batch(torch.stack([batch.x] * count), None, batch.index)


def assert_only_a_logged_step_reads_a_number(made: Ensemble, batch: Batch) -> None:
    made.training_step(batch, 0)
    assert made.step == 61
    assert [member.module.step for member in made.members] == [61] * len(made.members)
    made.step = 99  # a step that is logged
    with pytest.raises(RuntimeError, match="meta tensor"):
        made.training_step(batch, 0)


@pytest.mark.parametrize("inference", STEPS, ids=["amortized", "semi_amortized"])
@pytest.mark.parametrize(
    ("model", "data"),
    [
        ("model=lidgmvae", "pinwheel"),
        *(
            pytest.param(model, "digits", marks=[] if k % 3 == 0 else pytest.mark.slow)
            for k, model in enumerate(MODELS)
        ),
    ],
)
def test_a_step_of_one_run(model, data, inference, monkeypatch):
    assert_only_a_logged_step_reads_a_number(*training(f"{model} {inference}", data, 1, monkeypatch))


@pytest.mark.parametrize("inference", STEPS, ids=["amortized", "semi_amortized"])
@pytest.mark.parametrize("model", ["model=vae", *MODELS[3:8], "model=lidgmvae map=gradient_network"])
def test_a_step_of_three_seeds(model, inference, monkeypatch):
    assert_only_a_logged_step_reads_a_number(*training(f"{model} {inference}", "digits", 3, monkeypatch))
