"""What a member does apart: its own best and last checkpoint, its own end; and what Lightning's callbacks may do."""

import math

import pytest
import torch
from pytorch_lightning.callbacks import Callback
from runs import Programs, measures

from lid_vae.errors import UserError
from lid_vae.log.csv_logger import CSVLogger
from lid_vae.log.metrics_file import read_metrics
from lid_vae.system.checkpoint import load_checkpoint
from lid_vae.train import member as member_module
from lid_vae.train.ensemble import Ensemble, MemberData
from lid_vae.train.hooks.keepers import Best, EarlyStopping, Last
from lid_vae.train.member import Member


class Fake(Member):
    """A member that has been validated, and counts what it is asked to save."""

    def __init__(self) -> None:
        self.saved, self.metrics, self.stopped, self.error = [], {}, False, None

    def save(self, path) -> None:
        self.saved.append(path.name)

    def validate(self, hook, value) -> None:
        self.metrics = {"valid/bound": torch.tensor(value)}
        hook.validated(self)


def saves(hook, values) -> list[bool]:
    member, found = Fake(), []
    for value in values:
        before = len(member.saved)
        member.validate(hook, value)
        found.append(len(member.saved) > before)
    return found


def test_the_best_is_kept_and_a_tie_is_no_better():
    assert saves(Best("x"), [-3.0, -2.0, -2.5, -2.0, -1.0]) == [True, True, False, False, True]
    assert saves(Best("x", mode="min"), [-3.0, -2.0, -4.0]) == [True, False, True]
    assert saves(Best("x"), [math.nan, -5.0, math.nan]) == [True, True, False], "a NaN is the worst there is"
    assert saves(Last("x"), [-3.0, -4.0]) == [True, True]


def test_the_best_goes_on_from_its_score():
    first, second = Best("x"), Best("x")
    saves(first, [-2.0])
    second.load_state_dict(first.state_dict())
    assert saves(second, [-3.0, -1.0]) == [False, True]


def test_early_stopping_counts_misses_in_a_row():
    hook, member = EarlyStopping(patience=2, min_delta=0.1), Fake()
    stopped = []
    for value in [-3.0, -2.95, -2.0, -2.05, -1.95, -1.0]:
        member.validate(hook, value)
        stopped.append(member.stopped)
    assert stopped == [False, False, False, False, True, False]


@pytest.mark.parametrize(
    ("make_hook", "words"),
    [
        (lambda: Best("x", mode="highest"), r"mode=highest is not known. Use max or min."),
        (lambda: EarlyStopping(mode="up"), r"mode=up is not known"),
        (lambda: EarlyStopping(patience=0), r"needs patience >= 1, got patience=0"),
        (lambda: Fake().validate(Best("x", monitor="valid/bund"), 0.0), r"is not among .* Use one of valid/bound."),
    ],
)
def test_refused_options(make_hook, words):
    with pytest.raises(UserError, match=words):
        make_hook()


class StopAt:
    """Stops its member after so many validations."""

    def __init__(self, count: int) -> None:
        self.left = count

    def validated(self, member) -> None:
        self.left -= 1
        member.stopped = self.left == 0


class Count(Callback):
    """An ordinary callback: what it sees is the training that the members share."""

    def __init__(self) -> None:
        self.steps, self.bounds = 0, []

    def on_train_batch_end(self, *_) -> None:
        self.steps += 1

    def on_validation_end(self, trainer, pl_module) -> None:
        self.bounds.append(float(trainer.callback_metrics["valid/bound"]))


def test_a_member_stops_by_itself_and_its_siblings_go_on(make, run):
    made = [make("data=pinwheel", "model=gmvae", f"seed={seed}") for seed in (0, 1, 2)]
    members = [Member(module, [StopAt(count)]) for (module, _), count in zip(made, (1, 3, 2), strict=True)]
    _, data = made[0]
    count = Count()
    run((Ensemble(members, data), MemberData(data, [0, 1, 2])), 9, False, logger=False, callbacks=[count])
    assert [member.module.step for member in members] == [4, 12, 8]
    assert count.steps == 12, "the training ends with the last"
    assert all(member.error is None for member in members)


def test_ordinary_callbacks_see_means_over_the_members(make, run):
    made = [make("data=pinwheel", "model=gmvae", f"seed={seed}") for seed in (0, 1)]
    members = [Member(module) for module, _ in made]
    _, data = made[0]
    count = Count()
    run((Ensemble(members, data), MemberData(data, [0, 1])), 1, False, logger=False, callbacks=[count])
    bounds = [float(member.metrics["valid/bound"]) for member in members]
    assert bounds[0] != bounds[1]
    assert count.bounds == pytest.approx([sum(bounds) / 2])


LIGHTNINGS = (
    "+callbacks.stop._target_=pytorch_lightning.callbacks.EarlyStopping",
    "+callbacks.stop.monitor=valid/bound",
    "+callbacks.stop.mode=max",
    "+callbacks.stop.patience=1",
)


def test_callbacks_that_decide_for_all_are_refused_for_several_seeds(tmp_path):
    programs = Programs(tmp_path)
    options = ("model=gmvae", "trainer.max_epochs=2", *LIGHTNINGS)
    refused = programs.train("-m", "seed=0,1", *options)
    assert refused.status == 1
    assert "EarlyStopping decides for one training, and the 2 seeds of this run share theirs" in refused.err
    assert "Use ensemble.size=1, or callbacks=early_stopping." in refused.err
    assert refused.err.count("EarlyStopping decides") == 2, "told once, and in the list at the end"
    assert not list(tmp_path.rglob("*.ckpt"))
    allowed = programs.train("-m", "seed=0,1", "ensemble.size=1", *options)
    assert allowed.status == 0, allowed.err
    assert len(list(tmp_path.rglob("result.json"))) == 2


def test_early_stopping_of_ours_in_a_stack(tmp_path):
    programs = Programs(tmp_path)
    options = ("callbacks=early_stopping", "callbacks.early_stopping.patience=1", "trainer.max_epochs=12")
    ended = programs.train("-m", "seed=0-2", "model=gmvae", "optimizer.lr=0.3", *options)
    assert ended.status == 0, ended.err
    steps = [load_checkpoint(path)["lid_vae"]["step"] for path in sorted(tmp_path.rglob("last.ckpt"))]
    assert len(steps) == 3
    assert min(steps) < 48, "one at least has stopped early"


def test_a_checkpoint_of_lightnings_own_is_the_members(tmp_path):
    """What its ModelCheckpoint writes of a run of one seed can be evaluated, as what the run itself writes."""
    programs = Programs(tmp_path)
    folder = tmp_path / "own"
    keeper = "+callbacks.keeper"
    run = programs.train(
        f"{keeper}._target_=pytorch_lightning.callbacks.ModelCheckpoint",
        f"{keeper}.dirpath={folder}",
        f"{keeper}.filename=kept",
        "model=gmvae",
    )
    assert run.status == 0, run.err
    kept, last = load_checkpoint(folder / "kept.ckpt"), load_checkpoint(run.folder / "checkpoints" / "last.ckpt")
    assert kept["lid_vae"] == last["lid_vae"]
    assert all(torch.equal(kept["state_dict"][name], value) for name, value in last["state_dict"].items())


def test_a_run_that_had_stopped_early_is_only_measured_when_it_goes_on(tmp_path):
    """As after a kill in its evaluation: no step more, and the same measures."""
    programs = Programs(tmp_path)
    options = ("model=gmvae", "optimizer.lr=0.3", "callbacks=early_stopping", "callbacks.early_stopping.patience=1")
    first = programs.train(*options, "trainer.max_epochs=20")
    before = first.result
    assert before["steps"] < 80
    first.result_path.unlink()
    again = programs.train(*options, "trainer.max_epochs=20")
    assert "Resuming from" in again.out
    assert measures(again.result) == measures(before)


def test_a_seed_whose_checkpoint_is_damaged_does_not_hide_the_others(tmp_path):
    programs = Programs(tmp_path)
    options = ("-m", "seed=0-2", "model=gmvae", "trainer.max_epochs=1")
    assert programs.train(*options).status == 0
    for path in tmp_path.rglob("result.json"):
        path.unlink()
    (last,) = tmp_path.rglob("seed-1/checkpoints/last.ckpt")
    last.write_bytes(last.read_bytes()[:100])
    again = programs.train(*options)
    assert again.status == 1
    assert "1 of 3 runs failed; the others are finished" in again.err
    assert [path.parent.name for path in sorted(tmp_path.rglob("result.json"))] == ["seed-0", "seed-2"]
    assert [path.parent.name for path in tmp_path.rglob("failed.json")] == ["seed-1"]


def test_a_part_goes_by_its_former_name_too(tmp_path):
    """As in a configuration of one's own that an earlier revision could read."""
    names = ("model._target_=lid_vae.module.GMVAE", "callbacks.progress._target_=lid_vae.module.progress.progress")
    run = Programs(tmp_path).train("model=gmvae", "trainer.max_epochs=1", *names)
    assert run.status == 0, run.err
    assert (
        run.folder.parent.name
        == Programs(tmp_path / "now").train("model=gmvae", "trainer.max_epochs=1").folder.parent.name
    )


class Kept(CSVLogger):
    """Counts what is logged and not on disk yet."""

    waiting = 0

    def log_metrics(self, *words, **more) -> None:
        super().log_metrics(*words, **more)
        self.waiting += 1

    def save(self) -> None:
        super().save()
        self.waiting = 0


def test_curves_go_to_disk_at_first_then_each_few_seconds(make, tmp_path, monkeypatch):
    clock = iter([100.0, 100.0, 104.9, 105.0, 105.0, 109.9])
    monkeypatch.setattr(member_module.time, "monotonic", lambda: next(clock))
    logger = Kept(str(tmp_path))
    member = Member(make("data=pinwheel", "model=vae")[0], loggers=[logger])
    waiting = []
    for step in range(4):
        member.log({"train/bound": 1.0}, step, 0)
        waiting.append(logger.waiting)
    assert waiting == [0, 1, 0, 1]


def test_curves_are_on_disk_before_each_checkpoint(make, run, tmp_path, monkeypatch):
    """After a crash a run goes on from there, and has them all."""
    monkeypatch.setattr(member_module, "EVERY", math.inf)
    module, data = make("data=pinwheel", "model=vae")
    logger = Kept(str(tmp_path / "kept"))
    held = []

    def checkpoint(self, place):
        held.append((logger.waiting, read_metrics(logger.path)))
        return taken(self, place)

    taken = Ensemble.checkpoint
    monkeypatch.setattr(Ensemble, "checkpoint", checkpoint)
    member = Member(module, [Last(str(tmp_path))], [logger])
    run((Ensemble([member], data), MemberData(data, [0])), 2, False, logger=False, log_every_n_steps=1)
    assert [waiting for waiting, _ in held] == [0, 0]
    steps = module.step // 2
    assert [list(rows) for _, rows in held] == [list(range(steps)), list(range(2 * steps))]
    assert "valid/bound" in held[0][1][steps - 1]
