"""Seeds trained together leave what each leaves alone, whatever happens to the others."""

import json
import math
import shutil
from pathlib import Path

import pytest
import torch
from runs import Programs, digest, measures, read_metrics
from torch import nn

from lid_vae.errors import UserError
from lid_vae.inference import Aggressive
from lid_vae.system.checkpoint import AtomicCheckpointIO, load_checkpoint
from lid_vae.train import VAEModule
from lid_vae.train.step.stack import Stack, obstacle
from lid_vae.train.step.take_step import take_step

SEEDS = (0, 1, 2)
EXACT = ("trainer.precision=64-true", "trainer.max_epochs=13")  # 52 steps


@pytest.fixture
def programs(tmp_path):
    return Programs(tmp_path)


def folders(programs, count=3):
    """The folders of seeds 0, 1, ... of the only configuration there is."""
    found = sorted((programs.folder / "runs").rglob("seed-*"))
    assert len(found) == count
    return found


def alone(programs, *options, seeds=SEEDS):
    """The same runs, one after the other and by themselves."""
    return [programs.train(*options, f"seed={seed}", f"paths.runs={programs.folder / 'alone'}") for seed in seeds]


def result(folder: Path):
    return json.loads((folder / "result.json").read_text())


def structure(value):
    """The keys of a checkpoint at every depth, with the shape and type of each tensor."""
    if isinstance(value, dict):
        return {key: structure(item) for key, item in value.items()}
    if isinstance(value, list):
        return [structure(item) for item in value]
    return (
        (value.shape, value.dtype, value.untyped_storage().nbytes()) if isinstance(value, torch.Tensor) else type(value)
    )


def assert_close(ours: Path, theirs: Path, tolerance: float) -> None:
    """Weights and moments of two runs, each tensor relative to its size."""
    pairs = []
    for name in ("best.ckpt", "last.ckpt"):
        a, b = (load_checkpoint(folder / "checkpoints" / name) for folder in (ours, theirs))
        assert a["lid_vae"]["step"] == b["lid_vae"]["step"]
        pairs += [(a["state_dict"][key], b["state_dict"][key]) for key in b["state_dict"]]
        for mine, other in zip(a["optimizer_states"], b["optimizer_states"], strict=True):
            pairs += [
                (mine["state"][i][key], other["state"][i][key]) for i in other["state"] for key in other["state"][i]
            ]
    for mine, other in pairs:
        scale = float(other.double().norm()) + 1e-12
        assert float((mine.double() - other.double()).norm()) / scale <= tolerance


def stop_at(monkeypatch, step, error):
    """Raises ``error`` when the stack is to be put through step ``step``."""
    advance = Stack.advance

    def stopping(self, number, steps):
        if number == step:
            raise error
        advance(self, number, steps)

    monkeypatch.setattr(Stack, "advance", stopping)


def poison(monkeypatch, seed, step):
    """The noise of one seed becomes infinite at one step, and so its bound."""
    noise = VAEModule.noise

    def poisoned(self, number, draw, batch):
        value = noise(self, number, draw, batch)
        return value * math.inf if (self.seed, number) == (seed, step) else value

    monkeypatch.setattr(VAEModule, "noise", poisoned)


@pytest.mark.slow
def test_each_seed_leaves_what_it_leaves_alone(programs):
    options = ("model=gmvae", "logger=default", "callbacks.panels.every=2")
    together = programs.train(*options, "-m", "seed=0-2")
    assert together.status == 0, together.err
    assert together.out.count("Seeds 0-2 train together (hydra/launcher=basic: one after the other).") == 1
    for ours, run in zip(folders(programs), alone(programs, *options), strict=True):
        theirs = run.folder
        names = {name.split("tfevents")[0] for name in digest(ours)}
        assert names == {name.split("tfevents")[0] for name in digest(theirs)}
        for name in ("best.ckpt", "last.ckpt"):
            mine, other = (load_checkpoint(folder / "checkpoints" / name) for folder in (ours, theirs))
            assert structure(mine["optimizer_states"]) == structure(other["optimizer_states"])
            assert structure(mine["state_dict"]) == structure(other["state_dict"])
            assert mine["loops"] == other["loops"]
            assert set(mine) == set(other)
            assert (mine["epoch"], mine["global_step"]) == (other["epoch"], other["global_step"])
            assert mine["callbacks"].keys() == other["callbacks"].keys()
            mine["lid_vae"]["config"]["paths"] = other["lid_vae"]["config"]["paths"] = None
            for config in (mine["lid_vae"]["config"], other["lid_vae"]["config"]):
                config["callbacks"] = config["logger"] = None
            assert mine["lid_vae"] == other["lid_vae"]
        assert_close(ours, theirs, 1e-3)
        assert result(ours).keys() == result(theirs).keys()
        assert (result(ours)["seeds_together"], result(theirs)["seeds_together"]) == (3, 1)
        assert result(ours)["ll"]["mean"] == pytest.approx(result(theirs)["ll"]["mean"], rel=1e-3)
        rows, expected = read_metrics(ours), read_metrics(theirs)
        assert [row.keys() for row in rows] == [row.keys() for row in expected]
        for row, other in zip(rows, expected, strict=True):
            assert {name for name, value in row.items() if value} == {name for name, value in other.items() if value}
            values = {name: float(value) for name, value in other.items() if value}
            assert {name: float(row[name]) for name in values} == pytest.approx(values, rel=1e-2, abs=1e-2)
        evaluation = programs.evaluate(ours / "checkpoints" / "best.ckpt", "split=valid")
        assert evaluation.result["ll"] == result(ours)["validation"]["ll"]


SHOWN = [
    ("model=lagging_vae", "inference.window=2", "inference.most=6", "trainer.max_epochs=4"),
    ("model=lidgmvae", "data=digits", "data.train_size=256", "categories=10", "latent_dimension=4"),
    ("model=pretrained_vae",),
]
BESIDE = [("model=gmvae",), ("model=il_lidvae", "map.inverse_lipschitz=0.5", "callbacks=lipschitz_annealing")]


@pytest.mark.parametrize(
    "options",
    [
        *(pytest.param(options, marks=pytest.mark.slow) for options in SHOWN),
        *(pytest.param(options, marks=pytest.mark.full) for options in BESIDE),
    ],
    ids=lambda options: "-".join(options[:2]),
)
def test_each_seed_follows_itself_alone(programs, options):
    """To 1e-5 after fifty steps in double precision, clipping at work; as whole runs (all models: test_together.py)."""
    tiny = ("samples=2", "width=8", "logger=none", "callbacks.panels.every=0", "data.valid_size=50", "gradient_clip=2")
    size = () if "data=digits" in options else ("data.per_class=60", "data.test_size=50")
    options = (*tiny, *size, "data.batch_size=64", "trainer.check_val_every_n_epoch=4", *EXACT, *options)
    start = lambda *more: programs.start("train", *options, *more)  # noqa: E731
    together = start(f"paths.runs={programs.folder / 'runs'}", "-m", "seed=0,1")
    assert together.status == 0, together.err
    assert "Seeds 0-1 train together" in together.out
    for seed, ours in enumerate(folders(programs, 2)):
        theirs = start(f"paths.runs={programs.folder / 'alone'}", f"seed={seed}").folder
        assert_close(ours, theirs, 1e-5)
        assert result(ours)["elbo"] == pytest.approx(result(theirs)["elbo"], rel=1e-5)


@pytest.mark.slow
def test_the_metrics_of_ten_seeds_are_those_of_ten_runs(programs):
    """In single precision, where trajectories part in the last digits: each seed within the noise of its measures."""
    options = ("model=lidgmvae", "map.depth=2", "logger=none", "callbacks.panels.every=0", "trainer.max_epochs=4")
    assert programs.train(*options, "-m", "seed=0-9").status == 0
    for ours, run in zip(folders(programs, 10), alone(programs, *options, seeds=range(10)), strict=True):
        mine, theirs = result(ours), result(run.folder)
        assert (mine["seeds_together"], mine["seed"]) == (10, theirs["seed"])
        assert mine["ll"]["mean"] == pytest.approx(theirs["ll"]["mean"], abs=theirs["ll"]["se"])
        assert mine["elbo"] == pytest.approx(theirs["elbo"], abs=theirs["elbo_se"])
        for block in ("z", "w"):
            a, b = mine["latent"][block], theirs["latent"][block]
            assert a["mi"] == pytest.approx(b["mi"], abs=b["mi_se"])
            assert a["au"] == b["au"]


def test_seeds_of_the_aggressive_loop_stop_each_by_itself():
    """Masks: the seed whose window has not risen steps no more, while the other goes on."""
    inference = Aggressive(window=1, most=5)
    for name, buffer in list(inference.named_buffers()):
        inference.register_buffer(name, torch.stack([buffer] * 3))
    inference.active[2] = False
    script = iter([[1.0, 1.0, 0.0], [2.0, 0.5, 0.0], [1.5, 9.0, 0.0], *[[0.0] * 3] * 5])
    steps, asked = [], []

    def bound(x, noise, chosen):
        asked.append(chosen.tolist())
        return torch.tensor(next(script)).unsqueeze(-1)

    def minimise(loss, update):
        steps.append((update.group, update.members.tolist()))

    x, noise = torch.zeros(3, 1, 1), torch.zeros(3, 1)
    take_step(inference.updates(), bound, minimise, x, noise, lambda number: (x, noise))
    assert steps == [
        ("posterior", [True, True, False]),
        ("posterior", [True, True, False]),
        ("posterior", [True, False, False]),
        ("model", [True, True, False]),
        ("all", [False, False, True]),
    ]
    assert asked == [chosen for _, chosen in steps], "no other seed need be computed"
    inference.validated(torch.tensor([0.5, 0.5, 0.5]))
    inference.validated(torch.tensor([0.6, 0.4, 0.9]))
    assert inference.active.tolist() == [True, False, False]


def test_a_diverging_seed_is_left_behind_and_its_siblings_do_not_notice(programs):
    undisturbed = Programs(programs.folder / "undisturbed")
    assert undisturbed.train("-m", "seed=0-2").status == 0
    with pytest.MonkeyPatch.context() as patch:
        poison(patch, seed=1, step=6)
        disturbed = programs.train("-m", "seed=0-2")
    assert disturbed.status == 1
    assert "seed 1 has failed at step 7; the others go on" in disturbed.out
    assert disturbed.err.count("training bound became nan at step 6") == 2  # told once, and in the list at the end
    assert "1 of 3 runs failed; the others are finished" in disturbed.err
    ours, theirs = folders(programs), folders(undisturbed)
    assert {path.name for path in ours[1].iterdir()} == {"config.yaml", "metrics.csv", "checkpoints", "failed.json"}
    assert load_checkpoint(ours[1] / "checkpoints" / "last.ckpt")["lid_vae"]["step"] == 4  # the validation before
    for k in (0, 2):
        assert measures(result(ours[k])) == measures(result(theirs[k]))
        assert (ours[k] / "metrics.csv").read_text() == (theirs[k] / "metrics.csv").read_text()
        assert_close(ours[k], theirs[k], 0.0)
    # the same command again: two are finished, and the third, alone now, goes on from its last checkpoint
    again = programs.train("-m", "seed=0-2")
    assert again.status == 0, again.err
    assert again.out.count("Finished before") == 2
    assert "Resuming from" in again.out
    assert result(ours[1])["ll"]["mean"] == pytest.approx(result(theirs[1])["ll"]["mean"], rel=1e-3)


@pytest.mark.parametrize(
    "where",
    [5, *(pytest.param(place, marks=pytest.mark.slow) for place in (0, 8, "seed-1's best.ckpt"))],
    ids=str,
)
def test_an_ensemble_goes_on_where_it_was(programs, where):
    reference = Programs(programs.folder / "reference")
    options = ("-m", "seed=0-2", "trainer.max_epochs=4")
    assert reference.train(*options).status == 0
    with pytest.MonkeyPatch.context() as patch:
        if isinstance(where, int):
            stop_at(patch, where, KeyboardInterrupt())
        else:
            save, times = AtomicCheckpointIO.save_checkpoint, []

            def save_checkpoint(self, checkpoint, path, storage_options=None):
                if "seed-1" in str(path) and Path(path).name == "best.ckpt":
                    times.append(path)
                    if len(times) == 2:
                        raise KeyboardInterrupt
                return save(self, checkpoint, path, storage_options)

            patch.setattr(AtomicCheckpointIO, "save_checkpoint", save_checkpoint)
        stopped = programs.train(*options)
    assert stopped.status == 130
    assert not list(programs.folder.glob("runs/**/result.json"))
    resumed = programs.train(*options)
    assert resumed.status == 0, resumed.err
    assert resumed.out.count("Resuming from") == (3 if where != 0 else 0)
    # where seeds stand at different steps, fewer train together, and the last bits differ
    exact = isinstance(where, int)
    for ours, theirs in zip(folders(programs), folders(reference), strict=True):
        if exact:
            assert measures(result(ours)) == measures(result(theirs))
            assert (ours / "metrics.csv").read_text() == (theirs / "metrics.csv").read_text()
        assert_close(ours, theirs, 0.0 if exact else 1e-3)


def test_an_lstm_is_an_obstacle(make):
    module, data = make("data=synthetic_text", "model=svae")
    x = next(iter(data.batches("valid", 4))).x
    assert obstacle(module, x) == "LSTM (likelihood.history.lstm) has no rule for vectorising"


def test_what_does_not_vectorise_is_trained_seed_after_seed(programs, monkeypatch):
    monkeypatch.setattr("lid_vae.run.fit.obstacle", lambda module, x: "an LSTM is in the way")
    run = programs.train("-m", "model=vae", "seed=0-1", "trainer.max_epochs=1")
    assert run.status == 0, run.err
    assert "Seeds 0-1 train one after the other: an LSTM is in the way." in run.out
    assert len(list(programs.folder.rglob("result.json"))) == 2


def test_seeds_with_dropout_train_one_after_the_other_and_each_as_alone(programs):
    options = ("model=gmvae", "encoder._target_=dropping.DroppingEncoder", "trainer.max_epochs=2")
    run = programs.train("-m", *options, "seed=0-1")
    assert run.status == 0, run.err
    assert "Seeds 0-1 train one after the other: vmap: called random operation" in run.out
    together = folders(programs, 2)
    alone(programs, *options, seeds=(0, 1))
    for ours, theirs in zip(together, sorted((programs.folder / "alone").rglob("seed-*")), strict=True):
        assert_close(ours, theirs, 0.0)


@pytest.mark.parametrize(
    "part",
    [
        nn.Dropout(0.1),
        nn.Dropout2d(0.1),
        nn.AlphaDropout(0.1),
        nn.LSTM(2, 2, 2, dropout=0.1),
        nn.MultiheadAttention(2, 1, dropout=0.1),
    ],
)
def test_whatever_draws_as_it_trains_is_seeded_at_each_step(make, part):
    made, _ = make("data=pinwheel", "model=vae")
    made.vae.encoder_of_ones_own = part

    def drops():
        parts = (made.vae, made.objective, made.inference, made.make_optimizer, made.schedule)
        return type(made)(*parts, seed=0).drops

    assert drops()
    setattr(part, "p" if hasattr(part, "p") else "dropout", 0.0)
    assert not drops()


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("ensemble.size=0", "ensemble.size=0 must be"),
        ("trainer.matmul_precision=low", "Use one of highest, high"),
        ("trainer.compile=fast", "Use true, false or one of default, reduce-overhead"),
    ],
)
def test_refused_options(programs, option, message):
    assert message in programs.train(option).paragraph


@pytest.mark.slow
def test_a_seed_of_an_ensemble_goes_on_alone(programs):
    options = ("trainer.max_epochs=4",)
    reference = alone(programs, *options)[1].folder
    with pytest.MonkeyPatch.context() as patch:
        stop_at(patch, 9, KeyboardInterrupt())
        assert programs.train(*options, "-m", "seed=0-2").status == 130
    resumed = programs.train(*options, "seed=1")
    assert "Resuming from" in resumed.out
    assert_close(resumed.folder, reference, 1e-3)


@pytest.mark.slow
def test_finished_seeds_are_left_out(programs):
    first = programs.train("seed=1")
    before = digest(first.folder)
    run = programs.train("-m", "seed=0-2")
    assert run.status == 0, run.err
    assert "Seeds 0,2 train together" in run.out
    assert digest(first.folder) == before
    assert run.out.count("Finished before") == 1
    shutil.rmtree(first.folder)
    one_left = programs.train("-m", "seed=0-2")
    assert "together" not in one_left.out
    assert measures(result(first.folder)) == measures(json.loads(before["result.json"]))


@pytest.mark.slow
def test_two_models_are_two_ensembles(programs):
    run = programs.train("-m", "model=vae,gmvae", "seed=0-1", "ensemble.size=5")
    assert run.status == 0, run.err
    assert run.out.count("Seeds 0-1 train together") == 2
    assert len(list(programs.folder.rglob("result.json"))) == 4


@pytest.mark.slow
def test_short_memory_halves_the_stack(programs, monkeypatch):
    forward = Stack.forward

    def short(self, x, noise, chosen=None):
        if len(self) > 2 and len(x[0]) == 64:
            raise torch.OutOfMemoryError("no room")
        return forward(self, x, noise, chosen)

    monkeypatch.setattr(Stack, "forward", short)
    run = programs.train("-m", "model=gmvae", "seed=0-3", "trainer.max_epochs=1")
    assert run.status == 0, run.err
    assert "The memory does not suffice for 4 seeds together: 2 at a time." in run.out
    assert len(list(programs.folder.rglob("result.json"))) == 4


def test_an_error_in_one_seeds_validation_is_its_own(programs, monkeypatch):
    calibrate = VAEModule.calibrate

    def failing(self, data):
        if self.seed == 1:
            raise UserError("The sky fell.")
        calibrate(self, data)

    monkeypatch.setattr(VAEModule, "calibrate", failing)
    run = programs.train("-m", "model=gmvae", "seed=0-2", "trainer.max_epochs=1")
    assert run.status == 1
    assert "1 of 3 runs failed; the others are finished" in run.err
    assert [path.parent.name for path in sorted(programs.folder.rglob("result.json"))] == ["seed-0", "seed-2"]
    assert [path.parent.name for path in programs.folder.rglob("failed.json")] == ["seed-1"]


@pytest.mark.slow
def test_an_ensemble_of_bounded_size(programs):
    run = programs.train("-m", "model=gmvae", "seed=0-4", "ensemble.size=2")
    assert run.status == 0, run.err
    lines = [line.split(" train")[0] for line in run.out.splitlines() if "together" in line]
    assert lines == ["Seeds 1-2", "Seeds 3-4"]
    assert len(list(programs.folder.rglob("result.json"))) == 5


@pytest.mark.slow
def test_the_basic_launcher_runs_one_after_the_other(programs):
    run = programs.train("-m", "model=gmvae", "seed=0-1", "hydra/launcher=basic")
    assert run.status == 0, run.err
    assert "together" not in run.out
    assert len(list(programs.folder.rglob("result.json"))) == 2
