"""Sentences in batches: every one once, few paddings, and a function of (seed, step)."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lid_vae.data import Batch
from lid_vae.data.stream import Loader, SplitLoader, Stream, StreamLoader
from lid_vae.data.text.token_split import TokenSplit, TokenStream
from lid_vae.noise import generator

IDS = st.lists(st.lists(st.integers(1, 50), min_size=1, max_size=12), min_size=1, max_size=40)


def pack(sentences: list[list[int]], symbols: int = 50) -> TokenSplit:
    return TokenSplit.pack(sentences, symbols, torch.arange(len(sentences)))


def written(size: int, seed: int = 0) -> TokenSplit:
    """Lengths as those of the Penn Treebank: mean about 22, up to 83."""
    lengths = (torch.randn(size, generator=generator(seed)) * 0.55 + 2.95).exp().long().clamp(2, 83)
    return pack([[1] * length for length in lengths.tolist()])


def same(a: Batch, b: Batch) -> bool:
    return torch.equal(a.x, b.x) and torch.equal(a.index, b.index) and torch.equal(a.y, b.y)


def padding(batches: list[Batch]) -> float:
    return sum(int((batch.x == 0).sum()) for batch in batches) / sum(batch.x.numel() for batch in batches)


@given(IDS, st.data())
def test_a_batch_holds_its_sentences_and_pads_them_at_the_end(sentences: list[list[int]], data: st.DataObject) -> None:
    rows = data.draw(st.lists(st.integers(0, len(sentences) - 1), min_size=1, max_size=6))
    batch = pack(sentences).batch(torch.tensor(rows))
    longest = max(len(sentences[row]) for row in rows)
    assert batch.x.tolist() == [sentences[row] + [0] * (longest - len(sentences[row])) for row in rows]
    assert batch.x.dtype == torch.int64
    assert batch.index.tolist() == batch.y.tolist() == rows


@given(IDS, st.data())
def test_rows_are_the_sentences_themselves(sentences: list[list[int]], data: st.DataObject) -> None:
    rows = data.draw(st.lists(st.integers(0, len(sentences) - 1), max_size=20))
    some = pack(sentences).rows(torch.tensor(rows, dtype=torch.int64))
    assert len(some) == len(rows)
    assert some.tokens.tolist() == [number for row in rows for number in sentences[row]]
    assert [some.batch(torch.tensor([k])).x[0].tolist() for k in range(len(rows))] == [sentences[row] for row in rows]


@pytest.mark.parametrize(("symbols", "kind"), [(32_767, torch.int16), (32_768, torch.int32)])
def test_tokens_are_stored_small_where_they_fit(symbols: int, kind: torch.dtype) -> None:
    split = pack([[symbols, 1], [2]], symbols)
    assert split.tokens.dtype == kind
    assert split.batch(torch.tensor([0])).x.tolist() == [[symbols, 1]]


@settings(max_examples=50)
@given(
    seed=st.integers(0, 2**40),
    asked=st.lists(st.tuples(st.integers(0, 40), st.integers(0, 3)), min_size=1, max_size=8),
    batch_size=st.integers(1, 30),
)
def test_a_batch_does_not_depend_on_what_was_asked_before(
    seed: int, asked: list[tuple[int, int]], batch_size: int
) -> None:
    split = written(23)
    used = TokenStream(split, batch_size, seed)
    for step, draw in asked:
        assert same(used.batch(step, draw), TokenStream(split, batch_size, seed).batch(step, draw))


@settings(max_examples=50)
@given(seed=st.integers(0, 2**40), epoch=st.integers(0, 5), batch_size=st.integers(1, 40), size=st.integers(1, 30))
def test_an_epoch_visits_no_sentence_twice_and_leaves_out_less_than_a_batch(
    seed: int, epoch: int, batch_size: int, size: int
) -> None:
    stream = TokenStream(written(size), batch_size, seed)
    rows = torch.cat([stream.batch(epoch * len(stream) + place).index for place in range(len(stream))])
    assert len(rows.unique()) == len(rows)
    assert len(rows) == (size if size < batch_size else size - size % batch_size)


def test_what_is_left_out_is_no_matter_of_length() -> None:
    split = pack([[1] * (1 + row // 10) for row in range(70)])  # lengths 1 to 7; 6 of 70 are left out
    out: list[int] = []
    for seed in range(200):
        stream = TokenStream(split, 64, seed)
        out += set(range(70)) - set(stream.batch(0).index.tolist())
    mean = split.lengths[out].double().mean()
    assert abs(mean - 4) < 5 * 2 / len(out) ** 0.5, "1,200 draws of variance 4: five standard errors"


def test_epochs_seeds_and_draws_differ() -> None:
    split = written(64)
    batches = [
        TokenStream(split, 32, seed).batch(step, draw) for seed in range(2) for step in (0, 2, 4) for draw in range(2)
    ]
    assert len({tuple(batch.index.tolist()) for batch in batches}) == len(batches)


def test_batches_come_in_no_order_of_length() -> None:
    stream = TokenStream(written(3200), 32, 0)
    lengths = torch.tensor([stream.batch(step).x.shape[1] for step in range(100)], dtype=torch.float64)
    later = torch.arange(100, dtype=torch.float64)
    assert abs(torch.corrcoef(torch.stack([lengths, later]))[0, 1]) < 0.5, "five standard errors"


def test_further_draws_are_of_every_sentence_alike() -> None:
    stream = TokenStream(written(320), 32, 0)
    rows = torch.cat([stream.batch(step, draw).index for step in range(100) for draw in range(1, 11)])
    share = torch.bincount(rows, minlength=320).double() / len(rows) * 320
    assert share.min() > 0.5
    assert share.max() < 1.6


@pytest.mark.parametrize(("size", "batch_size"), [(42_068, 32), (10_000, 64), (3_000, 32)])
def test_padding_is_below_five_percent(size: int, batch_size: int) -> None:
    split = written(size)
    stream = TokenStream(split, batch_size, 3)
    steps = range(0, len(stream), 7)
    assert padding([stream.batch(step) for step in steps]) < 0.05
    assert padding([stream.batch(step, 1) for step in steps]) < 0.05
    assert padding([split.batch(torch.arange(k, k + 32)) for k in range(0, 2_000, 32)]) > 0.3, (
        "unsorted it would be much"
    )


def test_evaluation_has_every_sentence_once_the_same_every_time() -> None:
    split = written(3_761)  # as many as the Penn Treebank's test split has
    loader = SplitLoader(split, 100)
    first, again = list(loader), list(loader)
    assert len(loader) == len(first) == 38
    assert all(same(a, b) for a, b in zip(first, again, strict=True))
    rows = torch.cat([batch.index for batch in first])
    assert torch.equal(rows.sort().values, torch.arange(3_761))
    assert all(same(batch, split.batch(batch.index)) for batch in first)
    assert padding(first) < 0.05


def test_they_serve_as_streams_and_loaders() -> None:
    stream = TokenStream(written(64), 8, 0)
    assert isinstance(stream, Stream)
    assert isinstance(SplitLoader(stream.split, 8), Loader)
    resumed = StreamLoader(stream)
    resumed.load_state_dict({"step": 11})
    assert all(same(batch, stream.batch(11 + k)) for k, batch in enumerate(resumed))


@pytest.mark.gpu
def test_a_gpu_gives_the_batches_of_the_cpu() -> None:
    split = written(500)
    for step in range(10):
        a, b = (TokenStream(part, 32, 1).batch(step, step % 3) for part in (split, split.to("cuda")))
        assert b.x.is_cuda
        assert same(a, Batch(*(part.cpu() for part in b)))
