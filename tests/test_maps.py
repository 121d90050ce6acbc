"""Polar and anchored maps as runs: certificates in the record, checkpoints that evaluate, seeds that train together."""

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from runs import TINY, Programs

from lid_vae.run.store import CONF

SEQUENCES = (
    "data=synthetic_text",
    "data.sentences=60",
    "data.valid_size=20",
    "data.test_size=20",
    "data.words=40",
    "data.length=5",
    "data.batch_size=16",
    *(option for option in TINY if not option.startswith("data.")),
)
DIGITS = ("data=digits", "data.train_size=120", *(option for option in TINY if not option.startswith("data.")))
RUNS = [
    (TINY, "model=lidgmvae map=polar", "w"),
    (TINY, "model=lidvae map=polar map.shear_bound=0.1 map.depth=2", "w"),
    (TINY, "model=lidmvae map=gradient_network map.shears=1 map.shear_bound=null", "w"),
    (DIGITS, "model=lidgmvae map=anchored", "w"),
    (SEQUENCES, "model=lidsvae map=polar", "w and history"),
    (SEQUENCES, "model=lidsvae map=anchored map/network=linear likelihood.hidden=60", "w for every history"),
    (SEQUENCES, "model=lidsvae map=brenier", "w and history"),
]


@pytest.fixture
def programs(tmp_path):
    return Programs(tmp_path)


@pytest.mark.parametrize(("data", "options", "certified"), RUNS, ids=[options for _, options, _ in RUNS])
def test_a_run_and_its_checkpoint_have_one_certificate(programs, data, options, certified):
    run = programs.train(*options.split(), "trainer.max_epochs=1", tiny=data)
    assert run.result["certified"] == certified
    assert run.result["inverse_lipschitz"] > 0
    found = programs.evaluate(run.folder / "checkpoints" / "best.ckpt").result
    assert (found["inverse_lipschitz"], found["ll"]) == (run.result["inverse_lipschitz"], run.result["ll"])


def test_a_classical_run_certifies_nothing(programs):
    result = programs.train("model=gmvae", "trainer.max_epochs=1").result
    assert (result["inverse_lipschitz"], result["certified"]) == (None, None)


@pytest.mark.parametrize(
    "options",
    [(*TINY, "model=lidgmvae", "map=polar"), (*DIGITS, "model=lidgmvae", "map=anchored")],
    ids=["polar", "anchored"],
)
def test_seeds_train_together(programs, options):
    sweep = programs.train("-m", *options, "seed=0-1", tiny=())
    assert sweep.status == 0, sweep.err
    assert "Seeds 0-1 train together" in sweep.out
    assert sum(line.startswith(("seed 0 ", "seed 1 ")) for line in sweep.out.splitlines()) == 2


def test_principal_directions_are_found_once_for_what_is_tried_and_all_seeds(programs, monkeypatch):
    """Of MNIST they take seconds, and a sweep of ten seeds builds eleven models."""
    found = []
    eigh = torch.linalg.eigh
    monkeypatch.setattr(torch.linalg, "eigh", lambda matrix: found.append(tuple(matrix.shape)) or eigh(matrix))
    sweep = programs.train("-m", *DIGITS, "model=lidgmvae", "lift=pca", "seed=0-2", tiny=())
    assert "Seeds 0-2 train together" in sweep.out
    assert found.count((64, 64)) == 1


@pytest.mark.parametrize(("model", "map_"), [("il_lidvae", "polar"), ("il_lidvae", "anchored")])
def test_a_given_constant_follows_its_schedule(programs, model, map_):
    data = TINY if map_ == "polar" else DIGITS
    schedule = ["callbacks=lipschitz_annealing", "callbacks.lipschitz.schedule.end=0.25"]
    run = programs.train(f"model={model}", f"map={map_}", *schedule, tiny=data)
    best = programs.evaluate(run.folder / "checkpoints" / "best.ckpt").result
    last = programs.evaluate(run.folder / "checkpoints" / "last.ckpt").result
    assert best["inverse_lipschitz"] == run.result["inverse_lipschitz"]
    assert last["inverse_lipschitz"] == pytest.approx(0.25, rel=1e-6)


@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("polar_lidgmvae", ["model=lidgmvae", "map=polar"]),
        ("anchored_lidgmvae", ["model=lidgmvae", "map=anchored", "lift=random", "hidden_layers=1"]),
        ("anchored_lidsvae", ["model=lidsvae", "map=anchored", "map/network=skip_mlp"]),
    ],
)
@pytest.mark.parametrize("data", ["mnist", "images", "synthetic_text"])
def test_a_preset_is_short_for_its_options(model, options, data):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        short, written_out = (
            OmegaConf.to_container(compose("train", [f"data={data}", *words]))
            for words in ([f"model={model}"], options)
        )
    assert short == written_out


NAMES = ("brenier", "polar")


def test_polar_is_brenier_with_couplings():
    """The ready choice differs in the couplings' options, and in nothing else."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        brenier, polar = (
            OmegaConf.to_container(compose("train", [f"map={map_}"]).map) for map_ in ("brenier", "polar")
        )
    assert brenier.keys() == polar.keys()
    assert all(name.startswith("shear") for name in polar if polar[name] != brenier[name])
    assert (brenier["shears"], polar["shears"] > 0) == (0, True)
