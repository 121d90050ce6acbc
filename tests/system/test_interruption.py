"""Signals leave a checkpoint of the step that they came in, and the status that the sender expects; nothing is lost."""

import errno
import fcntl
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
import pytorch_lightning as pl
from runs import TINY, Programs, digest, measures
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lid_vae.system.checkpoint import load_checkpoint
from lid_vae.system.interruption import SIGNALS, Stopped, interruptible
from lid_vae.system.lock import claim
from lid_vae.train import VAEModule
from lid_vae.train.ensemble import Ensemble
from lid_vae.train.hooks.last_step import LastStep
from lid_vae.train.step.stack import Stack

ROOT = Path(__file__).resolve().parents[2]
OPTIONS = ("trainer.max_epochs=4", "model=gmvae", "logger=default")
PER_EPOCH = 4
STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGUSR1: 138, signal.SIGUSR2: 140}


@pytest.fixture
def programs(tmp_path):
    return Programs(tmp_path)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    run = Programs(tmp_path_factory.mktemp("uninterrupted")).train(*OPTIONS)
    assert run.result["steps"] == 4 * PER_EPOCH
    return run


@pytest.fixture(autouse=True)
def unchanged_handlers():
    before = [signal.getsignal(signum) for signum in SIGNALS]
    yield
    assert [signal.getsignal(signum) for signum in SIGNALS] == before


def signal_at(monkeypatch, where, signum):
    """Sends this process a signal in the middle of a step, of a validation or of the evaluation."""
    if where == "validation":
        validation_step = Ensemble.validation_step

        def step(self, batch, index):
            if self.step == 2 * PER_EPOCH:
                os.kill(os.getpid(), signum)
            validation_step(self, batch, index)

        monkeypatch.setattr(Ensemble, "validation_step", step)
    elif where == "evaluation":
        monkeypatch.setattr("lid_vae.run.finish._draw", lambda *_: os.kill(os.getpid(), signum))
    else:
        noise = VAEModule.noise

        def noisy(self, number, draw, batch):
            if (number, draw) == (where, 0):
                os.kill(os.getpid(), signum)
            return noise(self, number, draw, batch)

        monkeypatch.setattr(VAEModule, "noise", noisy)


@pytest.mark.parametrize(
    ("where", "signum", "saved"),
    [
        (5, signal.SIGTERM, 6),
        # the validation after an epoch belongs to it
        (7, signal.SIGUSR2, 9),
        ("evaluation", signal.SIGINT, 16),
        pytest.param(0, signal.SIGTERM, 1, marks=pytest.mark.slow),
        pytest.param(6, signal.SIGUSR1, 7, marks=pytest.mark.slow),
        pytest.param(15, signal.SIGTERM, 16, marks=pytest.mark.slow),
        pytest.param("validation", signal.SIGTERM, 9, marks=pytest.mark.slow),
    ],
)
def test_a_signal_saves_the_step_and_ends_the_run(programs, uninterrupted, where, signum, saved):
    with pytest.MonkeyPatch.context() as patch:
        signal_at(patch, where, signum)
        stopped = programs.train(*OPTIONS)
    assert stopped.status == STATUS[signum]
    said = "interrupted" if signum == signal.SIGINT else f"stopped by {signal.Signals(signum).name}"
    assert len(stopped.err.strip().splitlines()) == 1
    assert said in stopped.err
    (last,) = programs.folder.rglob("last.ckpt")
    assert load_checkpoint(last)["lid_vae"]["step"] == saved
    assert not list(programs.folder.rglob("result.json"))
    assert not list(programs.folder.rglob("*.lock"))
    assert not list(programs.folder.rglob("failed.json"))
    resumed = programs.train(*OPTIONS)
    assert "Resuming from" in resumed.out
    assert measures(resumed.result) == measures(uninterrupted.result)
    assert (resumed.folder / "metrics.csv").read_text() == (uninterrupted.folder / "metrics.csv").read_text()


def curves(folder):
    """Every number that TensorBoard shows, as (step, value) by its name."""
    found = EventAccumulator(str(folder))
    found.Reload()
    return {tag: [(event.step, event.value) for event in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


@pytest.mark.slow
def test_an_interrupted_run_is_one_run_to_its_loggers(programs, uninterrupted, monkeypatch, tmp_path):
    pytest.importorskip("wandb")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    options = ("trainer.max_epochs=4", "model=gmvae", "logger=wandb")
    for step in (5, 10):
        with pytest.MonkeyPatch.context() as patch:
            signal_at(patch, step, signal.SIGTERM)
            assert programs.train(*options).status == 143
    run = programs.train(*options)
    assert "Resuming from" in run.out
    wandb_folders = [path.name for path in (run.folder / "wandb").glob("offline-run-*")]
    identity = (run.folder / "wandb" / "run-id").read_text().strip()
    assert len(wandb_folders) == 3, "each start writes a folder, which `wandb sync` puts into one run"
    # wandb numbers those that begin within one second
    assert all(re.fullmatch(rf"offline-run-\d+_\d+-{identity}(-\d+)?", name) for name in wandb_folders)
    assert curves(run.folder) == curves(uninterrupted.folder)


@pytest.mark.slow
def test_run_after_run_is_interrupted_at_every_step(programs, uninterrupted):
    for step in range(15):
        if (step + 1) % PER_EPOCH == 0:
            continue
        with pytest.MonkeyPatch.context() as patch:
            signal_at(patch, step, signal.SIGTERM)
            assert programs.train(*OPTIONS).status == 143
    resumed = programs.train(*OPTIONS)
    assert measures(resumed.result) == measures(uninterrupted.result)
    assert (resumed.folder / "metrics.csv").read_text() == (uninterrupted.folder / "metrics.csv").read_text()


@pytest.mark.parametrize("where", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_seeds_that_train_together_are_all_saved(programs, where):
    options = ("-m", "seed=0-1", "trainer.max_epochs=2", "model=gmvae")
    reference = Programs(programs.folder / "reference")
    assert reference.train(*options).status == 0
    advance = Stack.advance

    def signalling(self, number, steps):
        if number == where:
            os.kill(os.getpid(), signal.SIGTERM)
        advance(self, number, steps)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Stack, "advance", signalling)
        stopped = programs.train(*options)
    assert stopped.status == 143
    assert not list(programs.folder.rglob("*.lock"))
    lasts = sorted((programs.folder / "runs").rglob("last.ckpt"))
    assert [load_checkpoint(last)["lid_vae"]["step"] for last in lasts] == [{2: 3, 3: 5}[where]] * 2
    resumed = programs.train(*options)
    assert resumed.status == 0, resumed.err
    assert resumed.out.count("Resuming from") == 2
    for last in lasts:
        ours = last.parents[1]
        theirs = reference.folder / "runs" / ours.relative_to(programs.folder / "runs")
        for name in ("best.ckpt", "last.ckpt"):
            a, b = (load_checkpoint(folder / "checkpoints" / name)["state_dict"] for folder in (ours, theirs))
            assert all(a[key].equal(b[key]) for key in b)
        assert (ours / "metrics.csv").read_text() == (theirs / "metrics.csv").read_text()


def test_a_signal_ends_the_whole_sweep(programs):
    with pytest.MonkeyPatch.context() as patch:
        signal_at(patch, 2, signal.SIGTERM)
        stopped = programs.train("-m", "seed=0-2", "hydra/launcher=basic")
    assert stopped.status == 143
    assert {path.name for path in (programs.folder / "runs").rglob("seed-*")} == {"seed-0"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("signum", "words", "said"),
    [
        (signal.SIGINT, (), "interrupted; the same command goes on from the last checkpoint."),
        (signal.SIGINT, ("-m", "seed=0-1"), "interrupted; the same command goes on from the last checkpoints."),
        (signal.SIGTERM, (), "stopped by SIGTERM; the same command goes on from the last checkpoint."),
    ],
)
def test_a_program_of_its_own_says_how_to_go_on_and_leaves_one_bar(tmp_path, signum, words, said):
    """On a terminal; Ctrl-C is echoed there, which would break a line that is full."""
    options = ("trainer.max_epochs=2000", "trainer.check_val_every_n_epoch=2000", f"paths.runs={tmp_path / 'runs'}")
    mine, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "train.py"), *TINY, *options, "logger=none", *words],
        env={**os.environ, "OMP_NUM_THREADS": "1", "TERM": "xterm"},
        stdout=theirs,
        stderr=subprocess.PIPE,
    )
    os.close(theirs)
    shown = bytearray()
    reader = threading.Thread(target=_read_all, args=(mine, shown), daemon=True)
    reader.start()
    try:
        deadline = time.monotonic() + 300
        while b"bound" not in shown:
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signum)
        _, err = process.communicate(timeout=300)
        reader.join(10)
    finally:
        process.kill()
        os.close(mine)
    assert process.returncode == STATUS[signum]
    assert err.decode().strip().splitlines()[-1] == f"train.py: {said}"
    lines = shown.decode().split("\n")
    assert [line for line in lines if "\rseed 0" in line] == [lines[-2]], "the last line, ended once"
    for last in tmp_path.rglob("last.ckpt"):
        assert load_checkpoint(last)["lid_vae"]["step"] > 0
    assert len(list(tmp_path.rglob("last.ckpt"))) == (2 if words else 1)


def _read_all(descriptor, into):
    with suppress(OSError):  # Linux's way of saying that the writing end is closed
        while piece := os.read(descriptor, 4096):
            into += piece


class TestHandlers:
    def test_an_engine_is_told_after_the_run(self):
        heard = []
        signal.signal(signal.SIGUSR2, lambda signum, frame: heard.append(signum))
        try:
            with pytest.raises(Stopped), interruptible():  # noqa: PT012
                os.kill(os.getpid(), signal.SIGUSR2)
                heard.append("not reached")
            assert heard == [signal.SIGUSR2]
        finally:
            signal.signal(signal.SIGUSR2, signal.SIG_DFL)

    def test_an_engine_that_passes_over_sigterm_keeps_the_run(self):
        heard = []
        signal.signal(signal.SIGTERM, lambda signum, frame: heard.append(signum))
        try:
            with interruptible() as interruption:
                os.kill(os.getpid(), signal.SIGTERM)
                assert heard == [signal.SIGTERM]
                assert interruption.pending is None
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def test_within_a_step_it_waits(self):
        with pytest.raises(Stopped) as stopped, interruptible() as interruption:  # noqa: PT012
            interruption.stepping = True
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGUSR1)
            assert interruption.pending == signal.SIGUSR1
            interruption.obey()
        assert stopped.value.status == 138

    def test_one_that_comes_while_processes_agree_waits_for_the_next_step(self):
        """The processes of a run over several devices wait for each other there, and had found no signal."""
        answers = [None, signal.SIGTERM]
        saved = []

        def agree(signum):
            if len(answers) == 2:
                os.kill(os.getpid(), signal.SIGTERM)
            else:
                assert signum == signal.SIGTERM
            return answers.pop(0)

        trainer, module = pl.Trainer(logger=False, enable_checkpointing=False), pl.LightningModule()
        with pytest.raises(Stopped), interruptible() as interruption:  # noqa: PT012
            callback = LastStep(interruption, saved.append, agree=agree)
            interruption.stepping = True
            for expected in ([], [trainer]):
                callback.on_train_batch_start(trainer, module, None, 0)
                callback.on_train_batch_end(trainer, module, None, None, 0)
                assert saved == expected
            callback.on_train_batch_start(trainer, module, None, 0)
            pytest.fail("not reached")

    def test_a_second_ctrl_c_does_not_wait(self):
        with pytest.raises(KeyboardInterrupt), interruptible() as interruption:  # noqa: PT012
            interruption.stepping = True
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
            pytest.fail("not reached")

    def test_what_is_ignored_stays_ignored(self):
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        try:
            with interruptible():
                os.kill(os.getpid(), signal.SIGUSR1)
        finally:
            signal.signal(signal.SIGUSR1, signal.SIG_DFL)


def test_two_launches_of_one_sweep(programs, uninterrupted):
    """The second leaves alone what the first trains, does the rest, and spoils nothing."""
    with pytest.MonkeyPatch.context() as patch:
        signal_at(patch, 5, signal.SIGTERM)
        programs.train(*OPTIONS)
    (last,) = programs.folder.rglob("last.ckpt")
    before = digest(last.parents[1])
    with claim(last.parents[1]):
        second = programs.train("-m", "seed=0-2", *OPTIONS)
        alone = programs.train(*OPTIONS)
    assert second.status == 0, second.err
    assert "Seeds 1-2 train together" in second.out
    assert second.out.count(f"seed-0 is being trained by process {os.getpid()}") == 1
    assert "left alone" in alone.paragraph
    assert digest(last.parents[1]) == before
    assert len(list(programs.folder.rglob("result.json"))) == 2
    assert not list(programs.folder.rglob("failed.json"))
    first = programs.train(*OPTIONS)
    assert measures(first.result) == measures(uninterrupted.result)


def test_only_what_has_failed_is_tried_again(programs):
    options = ("-m", "model=gmvae", "hydra/launcher=basic")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lid_vae.run.fit.build_data", lambda cfg: 1 / 0)
        assert programs.train(*options, "seed=0-1").status == 1
    failed = sorted(path.parent for path in programs.folder.rglob("failed.json"))
    assert [folder.name for folder in failed] == ["seed-0", "seed-1"]
    shutil.rmtree(failed[0])
    again = programs.train(*options, "seed=0-2", "retry=failed")
    assert again.status == 0, again.err
    assert [path.parent.name for path in programs.folder.rglob("result.json")] == ["seed-1"]
    assert again.out.count("has not failed: left alone by retry=failed") == 2
    assert "retry=failure is not known" in programs.train("retry=failure").paragraph


def test_a_full_disk_leaves_the_last_checkpoint(programs, uninterrupted):
    """Of the third checkpoint on there is no room; once there is, the run goes on and ends as it would have."""
    replace, written = os.replace, []

    def full(source, target):
        if Path(target).name == "last.ckpt":
            written.append(target)
            if len(written) > 2:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
        replace(source, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "replace", full)
        paragraph = programs.train(*OPTIONS).paragraph
    assert "The disk is full" in paragraph
    assert "last.ckpt" in paragraph
    (last,) = programs.folder.rglob("last.ckpt")
    assert load_checkpoint(last)["lid_vae"]["step"] == 2 * PER_EPOCH
    assert not list(programs.folder.rglob("*.tmp"))
    assert not list(programs.folder.rglob("*.lock"))
    assert measures(programs.train(*OPTIONS).result) == measures(uninterrupted.result)


def test_a_lost_share_is_named(programs):
    """Everything that is written fails from a step on, the lock's removal included."""

    def away(monkeypatch):
        def gone(*arguments, **options):
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), str(programs.folder))

        monkeypatch.setattr("lid_vae.system.files.open", gone, raising=False)
        monkeypatch.setattr(Path, "unlink", gone)

    training_step = Ensemble.training_step
    with pytest.MonkeyPatch.context() as patch:

        def step(self, batch, index):
            if self.step == 2 * PER_EPOCH + 1:
                away(patch)
            return training_step(self, batch, index)

        patch.setattr(Ensemble, "training_step", step)
        stopped = programs.train("trainer.max_epochs=4", "logger=none", "trainer.log_every_n_steps=1000")
    assert stopped.status == 1
    assert "Check that the disk or network share is there" in stopped.err
    assert "Traceback" not in stopped.err
    (last,) = programs.folder.rglob("last.ckpt")
    assert load_checkpoint(last)["lid_vae"]["step"] == 2 * PER_EPOCH
