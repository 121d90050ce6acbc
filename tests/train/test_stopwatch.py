"""A step's cost is that of training alone; the total is kept across interruptions."""

import pytest
import pytorch_lightning as pl

from lid_vae.train.hooks import stopwatch
from lid_vae.train.hooks.stopwatch import Elapsed, Stopwatch

TRAINER, MODULE = object.__new__(pl.Trainer), pl.LightningModule()
MODULE.step = 0


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(stopwatch.time, "perf_counter", lambda: now[0])
    return now


def started():
    watch = Stopwatch()
    watch.on_train_start(TRAINER, MODULE)
    return watch


def epoch(watch, clock, steps, seconds, validation, span=1):
    watch.on_train_epoch_start(TRAINER, MODULE)
    for _ in range(0, steps, span):
        clock[0] += seconds * span
        MODULE.step += span
        watch.on_train_batch_end(TRAINER, MODULE, None, None, 0)
    if validation:
        watch.on_validation_start(TRAINER, MODULE)
        clock[0] += validation
    watch.on_train_epoch_end(TRAINER, MODULE)


def test_validation_is_no_part_of_a_step(clock):
    watch = started()
    elapsed = Elapsed(watch)
    assert elapsed.seconds_per_step() is None
    epoch(watch, clock, 4, 0.5, validation=10)
    epoch(watch, clock, 2, 2.0, validation=0, span=2)
    assert elapsed.seconds_per_step() == pytest.approx(1.0)
    assert elapsed.seconds() == pytest.approx(16.0)
    watch.on_train_end(TRAINER, MODULE)
    clock[0] += 100
    assert elapsed.seconds() == pytest.approx(16.0), "what comes after training is no part of it"


def test_a_resumed_run_goes_on_counting(clock):
    watch = started()
    first = Elapsed(watch)
    epoch(watch, clock, 4, 0.5, validation=1)
    state = first.state_dict()
    clock[0] += 1000
    watch = started()
    second, other = Elapsed(watch), Elapsed(watch)
    second.load_state_dict(state)
    epoch(watch, clock, 4, 1.5, validation=0)
    assert second.seconds_per_step() == pytest.approx(1.0)
    assert second.seconds() == pytest.approx(9.0)
    assert other.seconds() == pytest.approx(6.0), "a sibling has its own past"
