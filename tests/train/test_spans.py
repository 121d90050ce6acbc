"""Steps taken in spans are the steps taken one by one, wherever a span ends, a run stops or a member fails."""

import importlib
import os
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest
import pytorch_lightning as pl
import torch
from hypothesis import given
from hypothesis import strategies as st
from recorded import recorded
from runs import Programs, measures
from test_together import built

import lid_vae
from lid_vae import noise
from lid_vae.data.stream import StreamLoader
from lid_vae.run.build import build_data
from lid_vae.system.checkpoint import load_checkpoint
from lid_vae.system.files import read_json
from lid_vae.train.ensemble import Ensemble, MemberData
from lid_vae.train.step import ahead, captured, spans
from lid_vae.train.step.ahead import Ahead
from lid_vae.train.step.spans import Spans, longest_span
from lid_vae.train.step.stack import Stack
from lid_vae.train.step.together import Alone

# Eleven steps an epoch, of which each fifth is logged.
OPTIONS = ("data.batch_size=26", "trainer.log_every_n_steps=5", "trainer.accelerator=cpu", "optimizer.lr=0.01")
OPTIONS += ("trainer.max_epochs=2",)


def loop(epochs, batches, behind, per_epoch):
    """What Lightning writes of a training that has taken so many batches of its present epoch."""

    def counts(ready):
        return {"ready": ready, "started": ready, "processed": ready, "completed": ready - behind}

    ever = epochs * per_epoch + batches
    return {
        "state_dict": {},
        "epoch_loop.state_dict": {"_batches_that_stepped": ever - behind},
        "epoch_loop.batch_progress": {"total": counts(ever), "current": counts(batches), "is_last_batch": False},
    }


class Numbers:
    """A stream whose batches are their numbers."""

    def __init__(self, length):
        self.length = length

    def __len__(self):
        return self.length

    def batch(self, step, draw=0):
        return step


@given(st.integers(1, 40), st.integers(1, 50), st.integers(0, 3), st.data())
def test_spans_divide_an_epoch_wherever_it_begins(length, size, epoch, data):
    cut = Spans(length, size)
    first = epoch * length + data.draw(st.integers(0, length - 1))
    loader, taken, behind = StreamLoader(Numbers(length), first, cut), [], (first - epoch * length) // size
    for number, step in zip(range(len(cut) - behind), loader, strict=False):
        assert loader.state_dict() == {"step": cut.end(step)}
        assert cut.end(step) - step <= size
        taken += range(step, cut.end(step))
        assert number + behind < len(loader)
    assert taken == list(range(first, (epoch + 1) * length))


@given(st.integers(1, 40), st.integers(1, 50), st.integers(0, 3), st.integers(0, 1), st.data())
def test_lightnings_counts_are_those_of_steps_in_every_checkpoint(length, size, epochs, behind, data):
    cut = Spans(length, size)
    done = data.draw(st.integers(1, len(cut)))
    steps = cut.as_steps(loop(epochs, done, behind, len(cut)))
    assert steps == loop(epochs, min(done * size, length), behind, length)
    assert cut.as_spans(steps) == loop(epochs, done, behind, len(cut))
    within = data.draw(st.integers(1, length))  # by a run that took them one by one
    begun = len(cut) if within == length else within // size
    assert cut.as_spans(loop(epochs, within, behind, length)) == loop(epochs, begun, behind, len(cut))


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ({"max_epochs": 3}, 50),
        ({"max_epochs": 3, "log_every_n_steps": 7}, 7),
        ({"max_epochs": 3, "log_every_n_steps": 1000}, spans.MOST),
        ({"max_epochs": 3, "log_every_n_steps": 0}, spans.MOST),
        ({"max_epochs": 3, "max_steps": 100}, 1),
        ({"max_steps": 100}, 1),
        ({"max_epochs": -1}, 1),
        ({"max_epochs": 3, "limit_train_batches": 10}, 1),
        ({"max_epochs": 3, "limit_train_batches": 0.5}, 1),
        ({"max_epochs": 3, "val_check_interval": 20}, 1),
        ({"max_epochs": 3, "overfit_batches": 2}, 1),
        ({"fast_dev_run": 3}, 1),
    ],
)
def test_batches_that_a_user_counts_are_steps(monkeypatch, options, size):
    monkeypatch.setitem(captured.RECORDS, "cpu", recorded)
    (module,), _ = built("model=gmvae", (3,))
    trainer = pl.Trainer(logger=False, enable_checkpointing=False, accelerator="cpu", **options)
    assert longest_span(trainer, module) == size
    monkeypatch.delitem(captured.RECORDS, "cpu")
    assert longest_span(trainer, module) == 1


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """A run of the last options in spans of at most so many steps; what Lightning has seen of it is kept."""
    monkeypatch.setitem(captured.RECORDS, "cpu", recorded)
    taken: list = []
    chunks: list = []
    step, drawn = Ensemble.training_step, Ahead._drawn

    def counted(self, batch, index):
        before = self.step
        step(self, batch, index)
        taken.append(self.step - before)

    def together(self, places):
        chunks.append(len(places))
        return drawn(self, places)

    monkeypatch.setattr(Ensemble, "training_step", counted)
    monkeypatch.setattr(Ahead, "_drawn", together)

    def run(most, name, *options):
        monkeypatch.setattr(spans, "MOST", most)
        taken.clear()
        chunks.clear()
        programs = Programs(tmp_path / name)
        outcome = programs.train(*OPTIONS, *options)
        folders = sorted((tmp_path / name).glob("runs/*/*/seed-*"))
        return SimpleNamespace(
            outcome=outcome, folders=folders, taken=list(taken), ahead=sum(chunks), folder=programs.folder
        )

    return run


def assert_same(one, other):
    assert len(one.folders) == len(other.folders) > 0
    for ours, theirs in zip(one.folders, other.folders, strict=True):
        assert measures(read_json(ours / "result.json")) == measures(read_json(theirs / "result.json"))
        assert (ours / "metrics.csv").read_text() == (theirs / "metrics.csv").read_text()
        for name in ("best.ckpt", "last.ckpt"):
            kept, expected = (load_checkpoint(folder / "checkpoints" / name) for folder in (ours, theirs))
            for of in (kept, expected):
                of["callbacks"].pop("Stopwatch")
                of["lid_vae"].pop("config")
            assert flat(kept) == flat(expected)


def flat(value, path=""):
    """A checkpoint as a dictionary of plain values, tensors as lists of numbers to the last bit."""
    if isinstance(value, dict):
        return {key: number for name, part in value.items() for key, number in flat(part, f"{path}/{name}").items()}
    if isinstance(value, list | tuple):
        return flat(dict(enumerate(value)), path)
    return {path: value.tolist() if isinstance(value, torch.Tensor) else value}


@pytest.mark.parametrize(
    "options",
    [
        ("model=lidgmvae", "-m", "seed=0-1"),
        pytest.param(("model=vae", "seed=3"), marks=pytest.mark.slow),
        pytest.param(("model=pretrained_vae", "-m", "seed=0-1"), marks=pytest.mark.slow),
        pytest.param(("model=gmvae", "objective=cyclical_annealing", "-m", "seed=0-1"), marks=pytest.mark.slow),
        pytest.param(("model=il_lidvae", "-m", "seed=0-1"), marks=pytest.mark.slow),
        ("model=gmvae", "encoder._target_=dropping.DroppingEncoder", "seed=3"),
        pytest.param(
            ("model=lagging_vae", "inference.window=1", "inference.most=2", "-m", "seed=0-1"), marks=pytest.mark.slow
        ),
    ],
)
@pytest.mark.parametrize("kind", [pytest.param("drawn", marks=pytest.mark.slow), "counted"])
def test_spans_are_their_steps_to_the_last_bit(programs, monkeypatch, options, kind):
    """Whether noise is drawn by generators or, as on a GPU, counted, many steps ahead."""
    if kind == "counted":
        monkeypatch.setattr(noise, "COUNTED", {"cpu"})
    single, four, five = (programs(most, str(most), *options) for most in (1, 4, 50))
    assert single.taken == [1] * 22
    assert four.taken == [4, 4, 3] * 2
    assert five.taken == [5, 5, 1] * 2
    assert_same(four, single)
    assert_same(five, single)
    assert (five.ahead > 0) == (kind == "counted")


@pytest.mark.parametrize(
    "most", [(1, 4), *(pytest.param(most, marks=pytest.mark.slow) for most in ((4, 4), (4, 1), (5, 4)))]
)
def test_a_run_that_is_asked_to_stop_within_a_span_goes_on_as_if_it_had_not_been(programs, monkeypatch, most):
    """Whatever the spans of the program that goes on."""
    options = ("model=lidgmvae", "-m", "seed=0-1")
    before, after = most
    whole = programs(after, "whole", *options)
    take = Ensemble._take

    def asked(self, batch):
        if self.step == 16:
            os.kill(os.getpid(), signal.SIGTERM)
        return take(self, batch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Ensemble, "_take", asked)
        stopped = programs(before, "parts", *options)
    assert stopped.outcome.status == 143
    last = load_checkpoint(stopped.folders[0] / "checkpoints" / "last.ckpt")
    end = Spans(11, before).end(16)
    assert last["lid_vae"]["step"] == last["global_step"] == end
    assert last["loops"]["fit_loop"]["epoch_loop.batch_progress"]["total"]["ready"] == end
    resumed = programs(after, "parts", *options)
    assert f"Resuming from {stopped.folders[0]}" in resumed.outcome.out
    assert sum(resumed.taken) == 22 - end
    assert_same(resumed, whole)


@pytest.mark.slow
def test_a_bound_that_is_not_finite_within_a_span_is_of_its_step_and_of_its_member_alone(programs, monkeypatch):
    options = ("model=lidgmvae", "-m", "seed=0-1")
    whole = programs(5, "whole", *options)
    take = Ensemble._take

    def broken(self, batch):
        bounds, rate = take(self, batch)
        if self.step - 1 in (13, 14):
            bounds = bounds.clone()
            bounds[1] = float("nan")
        return bounds, rate

    monkeypatch.setattr(Ensemble, "_take", broken)
    failed = programs(5, "failed", *options)
    assert failed.outcome.status == 1
    assert "seed 1 has failed at step 14; the others go on" in failed.outcome.out
    assert "The training bound became nan at step 13 " in failed.outcome.err
    rows = (failed.folders[1] / "metrics.csv").read_text().splitlines()
    assert rows == (whole.folders[1] / "metrics.csv").read_text().splitlines()[: len(rows)]
    ours, theirs = (read_json(run.folders[0] / "result.json") for run in (failed, whole))
    assert ours["elbo"] == pytest.approx(theirs["elbo"], rel=1e-5)  # the other's Adam then steps outside of the graph


def test_a_benchmark_times_steps_where_batches_are_spans(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    bench, seeds = importlib.import_module("bench"), importlib.import_module("seeds")
    monkeypatch.setitem(captured.RECORDS, "cpu", recorded)
    now = [0.0]
    monkeypatch.setattr(bench, "now", lambda: (now[0], 0.0))
    take = Ensemble._take

    def slow(self, batch):
        now[0] += 3.0
        return take(self, batch)

    monkeypatch.setattr(Ensemble, "_take", slow)
    options = ["data=pinwheel", "model=vae", "width=4", "data.per_class=60", "data.valid_size=50", "data.test_size=60"]
    configs = seeds.configurations([*options, "data.batch_size=26"], 2)
    training, data = seeds.ensemble(configs, build_data(configs[0]["data"]))
    turns = bench.TakingTurns("ours", lambda: {"other": lambda: None}, 4)
    found = bench.by_lightning(training, data, 3, turns)
    assert turns.longest == len(data.stream()) == 11
    assert turns.captured is not None
    assert training.step == 11 * (3 + bench.WARM)
    assert len(turns.times["ours"]) == len(turns.times["other"]) == 3
    assert found["ours"].wall == pytest.approx(4 * 3.0)


def test_a_model_of_ones_own_program_trains_in_spans_where_nobody_counts(monkeypatch):
    """The same model, to the last bit; a callback of one's own sees every step."""
    monkeypatch.setitem(captured.RECORDS, "cpu", recorded)
    monkeypatch.setattr(noise, "COUNTED", {"cpu"})
    x = torch.randn(300, 3, generator=torch.Generator().manual_seed(0))
    taken: list = []

    class Seen(pl.Callback):
        def on_train_batch_end(self, trainer, pl_module, *_):
            taken.append(pl_module.step)

    def fitted(**options):
        model = lid_vae.LIDVAE.build(x, latent_dimension=2, width=8, seed=1)
        model.fit(x, max_epochs=3, batch_size=32, accelerator="cpu", progress=False, **options)
        assert model.spans.size == (1 if options else 50)
        assert not model.in_spans
        return model

    spanned, single = fitted(), fitted(callbacks=[Seen()])
    assert taken == list(range(1, 25))
    for one, other in zip(spanned.parameters(), single.parameters(), strict=True):
        assert torch.equal(one, other)
    loader = torch.utils.data.DataLoader(x[:96], 32)
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    pl.Trainer(max_epochs=1, accelerator="cpu", **quiet).fit(spanned.train(), loader, loader)
    assert spanned.step == 3


@pytest.mark.parametrize("limit", [1, 300, 2**24])
@pytest.mark.parametrize("seeds", [(4,), (3, 4)])
def test_what_is_drawn_ahead_is_what_each_step_draws(monkeypatch, limit, seeds):
    """However much at once, own batches and extra ones by turns, within an epoch and over its end."""
    monkeypatch.setattr(noise, "COUNTED", {"cpu"})
    monkeypatch.setattr(ahead, "LIMIT", limit)
    modules, data = built("model=lidgmvae", seeds)
    together = Alone(modules[0]) if len(seeds) == 1 else Stack(modules)
    stream = MemberData(data, seeds).stream()
    drawn = Ahead(together, stream.x_ahead, alone=len(seeds) == 1)
    counts = []
    monkeypatch.setattr(drawn, "draw_x", lambda places: counts.append(len(places)) or stream.x_ahead(places))
    length = len(stream)
    for step in range(2 * length):
        end = (step // length + 1) * length
        for draw in (0, 1, 2, 0):
            x, given = drawn(step, draw, end)
            assert torch.equal(x, stream.batch(step, draw).x.double())
            assert torch.equal(given, together.noise(step, draw, x.shape[-2]))
    whole = max(length, ahead.DRAWS)
    least, most = {1: (1, 1), 300: (2, whole - 1), 2**24: (whole, whole)}[limit]
    assert least <= max(counts) <= most
