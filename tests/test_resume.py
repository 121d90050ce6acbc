"""A run that was stopped, wherever, and goes on, ends as if it had not been: the same numbers, each step told once."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from runs import TINY, Programs, digest, measures, read_metrics

from lid_vae.system.checkpoint import AtomicCheckpointIO, load_checkpoint
from lid_vae.train.ensemble import Ensemble

ROOT = Path(__file__).resolve().parents[1]
OPTIONS = ("trainer.max_epochs=4", "optimizer.lr=0.02", "model=lidgmvae")


class PowerCutError(Exception):
    """Stands for whatever stops a run."""


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    return Programs(tmp_path_factory.mktemp("uninterrupted")).train(*OPTIONS)


@pytest.fixture
def programs(tmp_path):
    return Programs(tmp_path)


def same(run, reference):
    assert measures(run.result) == measures(reference.result)
    assert (run.folder / "metrics.csv").read_text() == (reference.folder / "metrics.csv").read_text()
    steps = [int(row["step"]) for row in read_metrics(run.folder)]
    assert steps == list(range(run.result["steps"]))
    for name in ("best.ckpt", "last.ckpt"):
        ours, theirs = (load_checkpoint(folder / "checkpoints" / name) for folder in (run.folder, reference.folder))
        assert ours["lid_vae"]["step"] == theirs["lid_vae"]["step"]
        assert all(torch.equal(ours["state_dict"][key], theirs["state_dict"][key]) for key in theirs["state_dict"])
        moments, expected = (saved["optimizer_states"][0]["state"] for saved in (ours, theirs))
        assert all(
            torch.equal(moments[i][key], expected[i][key]) for i in expected for key in ("exp_avg", "exp_avg_sq")
        )


def stop_at(monkeypatch, where, error):
    """Raises ``error`` in the training step of that number, or in the writing of the checkpoint of that name."""
    if isinstance(where, int):
        training_step = Ensemble.training_step

        def step(self, batch, batch_index):
            if self.step == where:
                raise error
            return training_step(self, batch, batch_index)

        monkeypatch.setattr(Ensemble, "training_step", step)
    elif where == "evaluation":

        def draw(*_):
            raise error

        monkeypatch.setattr("lid_vae.run.finish._draw", draw)
    else:
        save, times = AtomicCheckpointIO.save_checkpoint, []

        def save_checkpoint(self, checkpoint, path, storage_options=None):
            if Path(path).name == where:
                times.append(path)
                if len(times) == 2:
                    raise error
            return save(self, checkpoint, path, storage_options)

        monkeypatch.setattr(AtomicCheckpointIO, "save_checkpoint", save_checkpoint)


@pytest.mark.parametrize(
    "where",
    [
        2,
        "last.ckpt",
        *(pytest.param(w, marks=pytest.mark.slow) for w in (0, "first of an epoch", "best.ckpt", "evaluation")),
    ],
)
def test_a_run_goes_on_where_it_was(programs, uninterrupted, where):
    per_epoch = uninterrupted.result["steps"] // 4
    assert per_epoch * 4 == uninterrupted.result["steps"]
    assert per_epoch > 2
    place = {2: 2 * per_epoch + 2, "first of an epoch": 2 * per_epoch}.get(where, where)
    with pytest.MonkeyPatch.context() as patch:
        stop_at(patch, place, PowerCutError("no current"))
        stopped = programs.train(*OPTIONS)
    assert stopped.status == 1
    assert "PowerCutError" in stopped.err
    assert not list(programs.folder.rglob("result.json"))
    resumed = programs.train(*OPTIONS)
    assert ("Resuming from" in resumed.out) == (where != 0)
    same(resumed, uninterrupted)


def test_a_run_validated_every_other_epoch(programs, tmp_path):
    """Its checkpoints are written inside an epoch, from where Lightning resumes in another way."""
    options = ("trainer.check_val_every_n_epoch=2", "trainer.max_epochs=6")
    reference = Programs(tmp_path / "reference").train(*options)
    with pytest.MonkeyPatch.context() as patch:
        stop_at(patch, reference.result["steps"] // 6 * 4 + 1, PowerCutError())
        programs.train(*options)
    (last,) = (programs.folder / "runs").rglob("last.ckpt")
    assert load_checkpoint(last)["lid_vae"]["step"] == reference.result["steps"] // 6 * 4
    same(programs.train(*options), reference)


@pytest.mark.parametrize("place", ["before", pytest.param("at", marks=pytest.mark.slow)])
def test_a_restart_comes_as_it_would_have(programs, tmp_path, place):
    options = ("model=pretrained_vae", "objective.beta.share=0.5", "trainer.max_epochs=4")
    reference = Programs(tmp_path / "reference").train(*options)
    half = reference.result["steps"] // 2
    with pytest.MonkeyPatch.context() as patch:
        stop_at(patch, half - 1 if place == "before" else half, PowerCutError())
        programs.train(*options)
    same(programs.train(*options), reference)


def test_an_interruption_ends_with_130_and_leaves_ctrl_c_alive(programs, uninterrupted):
    handler = signal.getsignal(signal.SIGINT)
    with pytest.MonkeyPatch.context() as patch:
        stop_at(patch, uninterrupted.result["steps"] - 2, KeyboardInterrupt())
        stopped = programs.train(*OPTIONS)
    assert stopped.status == 130
    assert stopped.err.strip() == "train.py: interrupted; the same command goes on from the last checkpoint."
    assert signal.getsignal(signal.SIGINT) is handler
    (last,) = programs.folder.rglob("last.ckpt")
    evaluation = programs.evaluate(last)
    assert evaluation.status == 0
    evaluation.result_path.unlink()
    same(programs.train(*OPTIONS), uninterrupted)


def test_an_interruption_ends_a_sweep(programs):
    with pytest.MonkeyPatch.context() as patch:
        stop_at(patch, 2, KeyboardInterrupt())
        stopped = programs.train("-m", "seed=0-2", "hydra/launcher=basic")
    assert stopped.status == 130
    assert {path.name for path in (programs.folder / "runs").rglob("seed-*")} == {"seed-0"}


@pytest.mark.slow
def test_a_run_goes_on_after_its_folder_has_moved(programs, tmp_path):
    """The best bound so far travels with it: here, the best epoch is over when the run is stopped."""
    options = ("trainer.max_epochs=6", "optimizer.lr=0.3", "schedule=constant", "seed=1")
    reference = Programs(tmp_path / "reference").train(*options)
    bounds = [float(row["valid/bound"]) for row in read_metrics(reference.folder) if row["valid/bound"]]
    per_epoch = reference.result["steps"] // 6
    best = bounds.index(max(bounds))
    assert best < 5, "this run is to end worse than it was"
    with pytest.MonkeyPatch.context() as patch:
        stop_at(patch, (best + 1) * per_epoch + 1, PowerCutError())
        programs.train(*options)
    (programs.folder / "runs").rename(tmp_path / "moved")
    resumed = programs.train(*options, f"paths.runs={tmp_path / 'moved'}")
    assert "Resuming from" in resumed.out
    same(resumed, reference)


def test_a_forced_run_that_fails_leaves_the_finished_one(programs, uninterrupted):
    first = programs.train(*OPTIONS)
    before = digest(first.folder)
    superseded = first.folder.with_name("seed-0.superseded")

    # nothing is touched by what fails before training
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lid_vae.run.fit.build_data", lambda cfg: 1 / 0)
        assert programs.train(*OPTIONS, "force=true").status == 1
    assert digest(first.folder) == before

    with pytest.MonkeyPatch.context() as patch:
        stop_at(patch, uninterrupted.result["steps"] - 2, PowerCutError())
        assert programs.train(*OPTIONS, "force=true").status == 1
        assert digest(superseded) == before
        assert programs.train(*OPTIONS, "force=true").status == 1
    assert digest(superseded) == before
    resumed = programs.train(*OPTIONS)
    assert "Resuming from" in resumed.out
    same(resumed, uninterrupted)
    assert not superseded.exists()


def test_a_truncated_last_checkpoint_is_named(programs):
    with pytest.MonkeyPatch.context() as patch:
        stop_at(patch, "evaluation", PowerCutError())
        programs.train()
    (last,) = programs.folder.rglob("last.ckpt")
    last.write_bytes(last.read_bytes()[:5000])
    message = programs.train().paragraph
    assert str(last) in message
    assert "truncated" in message
    assert programs.train("force=true").status == 0


def test_another_configuration_is_not_resumed(programs):
    with pytest.MonkeyPatch.context() as patch:
        stop_at(patch, "evaluation", PowerCutError())
        programs.train()
        programs.train("width=9")
    one, other = sorted(programs.folder.rglob("last.ckpt"))
    shutil.copy(one, other)
    messages = [outcome.err for outcome in (programs.train(), programs.train("width=9")) if outcome.status]
    assert len(messages) == 1
    assert "belongs to another configuration" in messages[0]


@pytest.mark.slow
def test_killed(programs, tmp_path):
    """SIGKILL to another process once its first checkpoint is there; then the same command again."""
    options = ("trainer.max_epochs=20", f"paths.runs={tmp_path / 'runs'}")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "train.py"), *TINY, *options],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        deadline = time.monotonic() + 300
        while not list(tmp_path.rglob("last.ckpt")):
            assert process.poll() is None, process.stdout.read().decode()
            assert time.monotonic() < deadline
            time.sleep(0.002)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not list(tmp_path.rglob("result.json"))
    resumed = programs.train(*options)
    assert "Resuming from" in resumed.out
    same(resumed, Programs(tmp_path / "reference").train("trainer.max_epochs=20"))


@pytest.mark.parametrize(
    "name", ["SGD", "Adafactor", *(pytest.param(name, marks=pytest.mark.slow) for name in ("NAdam", "RMSprop", "ASGD"))]
)
def test_a_run_goes_on_with_any_optimiser(programs, monkeypatch, name):
    """Whatever it keeps, of whatever shapes, is no damage."""
    options = ["model=gmvae", "trainer.max_epochs=3", f"optimizer._target_=torch.optim.{name}", "optimizer.lr=0.001"]
    options += ["+optimizer.momentum=0.9"] if name == "SGD" else ["~optimizer.fused"]
    with monkeypatch.context() as patch:
        stop_at(patch, 5, PowerCutError())
        programs.train(*options)
    assert "Resuming from" in programs.train(*options).out
