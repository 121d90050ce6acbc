"""Training batches are functions of (seed, step), and a run resumed in mid-epoch sees those of an uninterrupted one."""

from pathlib import Path
from unittest import mock

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from making import Recorder
from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import ModelCheckpoint

from lid_vae import noise
from lid_vae.data import Batch, Digits, Split, TrainStream
from lid_vae.data.array.binarise import DYNAMIC, FIXED, UNBINARISED
from lid_vae.data.stream import SplitLoader, StreamLoader

GREY = torch.arange(23 * 4, dtype=torch.uint8).reshape(23, 4) + 80
SPLIT = Split(GREY, torch.arange(23))


def stream(seed: int = 0, batch_size: int = 5, split: Split = SPLIT) -> TrainStream:
    return TrainStream(split, batch_size, seed, DYNAMIC.prepare)


def same(a: Batch, b: Batch) -> bool:
    return torch.equal(a.x, b.x) and torch.equal(a.index, b.index) and torch.equal(a.y, b.y)


@settings(deadline=None, max_examples=50)
@given(
    seed=st.integers(0, 2**40),
    asked=st.lists(st.tuples(st.integers(0, 40), st.integers(0, 3)), min_size=1, max_size=8),
    batch_size=st.integers(1, 30),
)
def test_a_batch_does_not_depend_on_what_was_asked_before(
    seed: int, asked: list[tuple[int, int]], batch_size: int
) -> None:
    used = stream(seed, batch_size)
    for step, draw in asked:
        assert same(used.batch(step, draw), stream(seed, batch_size).batch(step, draw))


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 2**40), epoch=st.integers(0, 5), batch_size=st.integers(1, 40), size=st.integers(1, 23))
def test_an_epoch_visits_no_row_twice_and_leaves_out_less_than_a_batch(
    seed: int, epoch: int, batch_size: int, size: int
) -> None:
    part = stream(seed, batch_size, SPLIT.rows(torch.arange(size)))
    rows = torch.cat([part.batch(epoch * len(part) + place).index for place in range(len(part))])
    assert len(rows.unique()) == len(rows)
    assert len(rows) == (size if size < batch_size else size - size % batch_size)


@settings(deadline=None, max_examples=50)
@given(
    seeds=st.lists(st.integers(0, 2**40), min_size=1, max_size=4),
    step=st.integers(0, 40),
    draw=st.integers(0, 2),
    binarised=st.sampled_from([DYNAMIC, FIXED, UNBINARISED]),
    labelled=st.booleans(),
    kinds=st.sampled_from([set(), {"cpu"}]),
)
def test_streams_side_by_side_give_what_each_gives_alone(seeds, step, draw, binarised, labelled, kinds) -> None:
    """Whether numbers are drawn by generators or counted."""
    split = Split(GREY, SPLIT.y if labelled else None)
    streams = [TrainStream(split, 5, seed, binarised.prepare) for seed in seeds]
    with mock.patch.object(noise, "COUNTED", kinds):
        together, alone = TrainStream.side_by_side(streams, step, draw), [one.batch(step, draw) for one in streams]
    assert torch.equal(together.x, torch.stack([batch.x for batch in alone]))
    assert torch.equal(together.index, torch.stack([batch.index for batch in alone]))
    assert labelled == (together.y is not None)
    assert not labelled or torch.equal(together.y, torch.stack([batch.y for batch in alone]))


@settings(deadline=None, max_examples=50)
@given(
    seeds=st.lists(st.integers(0, 2**40), min_size=1, max_size=3),
    places=st.lists(st.tuples(st.integers(0, 40), st.integers(0, 2)), min_size=1, max_size=4),
    binarised=st.sampled_from([DYNAMIC, FIXED, UNBINARISED]),
)
def test_batches_drawn_ahead_are_those_of_each_step(seeds, places, binarised) -> None:
    streams = [TrainStream(SPLIT, 5, seed, binarised.prepare) for seed in seeds]
    with mock.patch.object(noise, "COUNTED", {"cpu"}):
        ahead = TrainStream.ahead(streams, places)
        each = [torch.stack([one.batch(*place).x for one in streams]) for place in places]
    assert torch.equal(ahead, torch.stack(each))


def test_streams_of_different_splits_do_not_stand_side_by_side() -> None:
    assert TrainStream.side_by_side([stream(0), stream(1, split=SPLIT.rows(torch.arange(20)))], 0) is None
    assert TrainStream.side_by_side([stream(0), stream(1, batch_size=4)], 0) is None


def test_epochs_and_seeds_differ_in_order() -> None:
    orders = [stream(seed, 23).batch(epoch).index.tolist() for seed in range(3) for epoch in range(3)]
    assert len({tuple(order) for order in orders}) == 9


def test_rows_labels_and_values_belong_together() -> None:
    bright = Split(torch.full((23, 4), 255, dtype=torch.uint8) * (torch.arange(23)[:, None] % 2).byte(), SPLIT.y)
    batch = stream(split=bright).batch(7)
    assert torch.equal(batch.y, batch.index)
    assert torch.equal(batch.x, (batch.index % 2).float()[:, None].expand(-1, 4))
    assert batch.x.dtype == torch.float32


def test_pixels_are_drawn_anew_for_each_seed_step_and_draw() -> None:
    alike = Split(torch.full((23, 64), 128, dtype=torch.uint8))
    keys = [(seed, step, draw) for seed in range(2) for step in (0, 1, 9) for draw in range(3)]
    drawn = [stream(seed, 1, alike).batch(step, draw).x for seed, step, draw in keys]
    assert len({tuple(x.flatten().tolist()) for x in drawn}) == len(keys)


def test_further_draws_are_batches_of_their_own() -> None:
    batches = [stream(batch_size=20).batch(3, draw) for draw in range(4)]
    assert len({tuple(batch.index.tolist()) for batch in batches}) == 4
    assert all(len(batch.index) == 20 for batch in batches)


def test_real_values_pass_without_labels() -> None:
    points = Split(torch.randn(10, 2, generator=torch.Generator().manual_seed(0)))
    batch = TrainStream(points, 4, 0, lambda x, *rngs: x).batch(1)
    assert batch.y is None
    assert torch.equal(batch.x, points.x[batch.index])


def test_a_loader_yields_epoch_after_epoch() -> None:
    loader = StreamLoader(stream())
    seen = [batch for _ in range(2) for batch in loader]
    assert len(loader) == 4
    assert all(same(batch, stream().batch(step)) for step, batch in enumerate(seen))
    assert len(seen) == 8


def test_a_split_loader_keeps_all_rows_in_order_and_starts_again() -> None:
    loader = SplitLoader(SPLIT, 10)
    for _ in range(2):
        batches = list(loader)
        assert [len(batch.x) for batch in batches] == [10, 10, 3]
        assert len(loader) == 3
        assert torch.equal(torch.cat([batch.index for batch in batches]), torch.arange(23))
        assert torch.equal(torch.cat([batch.x for batch in batches]), GREY / 255)


def fit(
    folder: Path, *, resume_from: Path | None = None, epochs: int = 3, steps: int = -1, reload: int = 0
) -> list[Batch]:
    module = Recorder()
    trainer = Trainer(
        max_epochs=epochs,
        max_steps=steps,
        reload_dataloaders_every_n_epochs=reload,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
        callbacks=[ModelCheckpoint(folder, filename="{step}", every_n_train_steps=1, save_top_k=-1)],
    )
    trainer.fit(module, datamodule=Digits(batch_size=300, train_seed=5), ckpt_path=resume_from)
    return module.seen


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("step", [1, 3, 4, 6, 8, 11])  # four steps an epoch: within epochs and at their ends
def test_lightning_resumes_with_the_batches_of_the_uninterrupted_run(tmp_path: Path, step: int) -> None:
    whole = fit(tmp_path / "whole")
    assert len(whole) == 12
    checkpoint = tmp_path / "whole" / f"step={step}.ckpt"
    state = torch.load(checkpoint, weights_only=True)["loops"]["fit_loop"]["state_dict"]
    assert state["combined_loader"] == [{"step": step}]
    rest = fit(tmp_path / "rest", resume_from=checkpoint)
    assert len(rest) == 12 - step
    assert all(same(a, b) for a, b in zip(rest, whole[step:], strict=True))


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")
def test_lightning_stopped_by_steps_goes_on_where_it_stopped(tmp_path: Path) -> None:
    whole = fit(tmp_path / "whole")
    part = fit(tmp_path / "part", steps=6, epochs=-1)
    rest = fit(tmp_path / "rest", resume_from=tmp_path / "part" / "step=6.ckpt")
    assert all(same(a, b) for a, b in zip(part + rest, whole, strict=True))


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")
def test_loaders_made_anew_in_each_epoch_begin_with_it(tmp_path: Path) -> None:
    whole, anew = fit(tmp_path / "whole"), fit(tmp_path / "anew", reload=1)
    assert all(same(a, b) for a, b in zip(anew, whole, strict=True))
