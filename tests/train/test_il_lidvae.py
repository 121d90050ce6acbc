"""IL-LIDVAE as a run: the certificate in the record is the setting, fixed or annealed; what has none is refused."""

import pytest
import torch
from runs import Programs

from lid_vae.system.checkpoint import load_checkpoint


@pytest.fixture
def programs(tmp_path):
    return Programs(tmp_path)


def final_constant(folder) -> float:
    state = load_checkpoint(folder / "checkpoints" / "last.ckpt")["state_dict"]
    shares = [value for name, value in state.items() if name.endswith("given_strong_convexity")]
    assert shares
    return float(torch.stack(shares).prod())


@pytest.mark.parametrize("options", [["model=il_lidvae"], ["model=lidgmvae", "map=gradient_network"]])
def test_the_record_holds_the_setting(programs, options):
    run = programs.train(*options, "map.inverse_lipschitz=0.7", "trainer.max_epochs=1")
    assert run.result["inverse_lipschitz"] == pytest.approx(0.7, rel=1e-6)
    assert final_constant(run.folder) == pytest.approx(0.7, rel=1e-6)


def test_the_constant_follows_its_schedule_and_the_checkpoint_has_its_own(programs):
    schedule = ["callbacks=lipschitz_annealing", "callbacks.lipschitz.schedule.end=0.25"]
    run = programs.train("model=il_lidvae", *schedule)
    assert final_constant(run.folder) == pytest.approx(0.25, rel=1e-6)
    best = programs.evaluate(run.folder / "checkpoints" / "best.ckpt").result
    assert best["inverse_lipschitz"] == run.result["inverse_lipschitz"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["model=lidvae"], "Start it with map.inverse_lipschitz=1"),
        (["model=vae"], "MLP has none. Use LIDVAE and composed_brenier with inverse_lipschitz=1."),
        (["model=vae"], "(On the command line: model=lidvae, map=brenier.)"),
        (
            ["model=il_lidvae", "callbacks.lipschitz.schedule.end=0", "callbacks.lipschitz.schedule.share=0.1"],
            "above zero",
        ),
    ],
)
def test_schedules_without_a_constant_to_move_are_refused(programs, options, message):
    assert message in programs.train(*options, "callbacks=lipschitz_annealing").paragraph


def test_a_classical_map_is_refused(programs):
    assert "needs an injective map, got MLP" in programs.train("model=il_lidvae", "map=mlp").paragraph
    assert "map.inverse_lipschitz" in programs.train("model=vae", "map.inverse_lipschitz=1").paragraph
