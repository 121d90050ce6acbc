"""Noise keys: equal keys give equal streams on every machine, different keys different ones."""

from hashlib import blake2b

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from lid_vae.noise import Counted, derive_seed, generator

GOLDEN = 0x9E3779B97F4A7C15
places = st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 100)), min_size=1, max_size=4)
seeds = st.lists(st.integers(0, 10**6), min_size=1, max_size=4)

parts = st.lists(st.one_of(st.integers(), st.text(alphabet=st.characters(exclude_characters="\x1f"))), max_size=4)


def test_the_seed_is_a_documented_hash() -> None:
    digest = blake2b(b"int:0\x1fstr:noise\x1fint:7", digest_size=8).digest()
    assert derive_seed(0, "noise", 7) == int.from_bytes(digest, "little") >> 1 == 8966346200030282841


@given(parts, parts)
def test_equal_seeds_for_equal_keys_alone(first: list, second: list) -> None:
    assert (derive_seed(*first) == derive_seed(*second)) == (first == second)


@given(parts)
def test_seeds_fit_a_generator(key: list) -> None:
    assert 0 <= derive_seed(*key) < 2**63


def test_kind_and_place_of_a_part_matter() -> None:
    keys = [(1, 2), (2, 1), (12,), ("1", 2), ("1", "2"), ("12",), (1, 2, 0), ("int:1",), (-1, 2)]
    assert len({derive_seed(*key) for key in keys}) == len(keys)


def test_generators_are_independent_of_each_other_and_of_the_global_one() -> None:
    before = torch.random.get_rng_state()
    first, again = generator(0, "a"), generator(0, "a")
    x = torch.randn(1000, generator=first)
    other = torch.randn(1000, generator=generator(0, "b"))
    torch.testing.assert_close(torch.randn(1000, generator=again), x, rtol=0, atol=0)
    assert abs(float(torch.corrcoef(torch.stack([x, other]))[0, 1])) < 0.13  # 4 / sqrt(1000): false alarms 1e-4
    assert torch.equal(torch.random.get_rng_state(), before)


def splitmix(start: int, increment: int, count: int) -> list[int]:
    """By the definition of Steele, Lea and Flood (2014), in Python's whole numbers."""
    found, mask = [], 2**64 - 1
    for place in range(1, count + 1):
        word = (start + place * increment) & mask
        word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9 & mask
        word = (word ^ (word >> 27)) * 0x94D049BB133111EB & mask
        found.append(word ^ (word >> 31))
    return found


def test_counted_numbers_are_those_that_were_published() -> None:
    """Of SplitMix64 from 1234567, as its reference implementation prints them."""
    words = Counted(torch.tensor([1234567, GOLDEN - 2**64])).words(5)
    assert [int(word) % 2**64 for word in words] == splitmix(1234567, GOLDEN, 5)
    assert int(words[0]) % 2**64 == 6457827717110365317
    assert int(words[4]) % 2**64 == 16408922859458223821


@given(seeds, places, st.integers(0, 9))
def test_counted_numbers_are_a_function_of_their_key(seeds: list, places: list, count: int) -> None:
    """Whatever is drawn beside them, and every increment is odd and changes bits often enough to mix."""
    keys = Counted.of(seeds, "noise", places)
    for row, place in enumerate(places):
        for column, seed in enumerate(seeds):
            alone = Counted.of([seed], "noise", [place])[0][0]
            assert torch.equal(alone.keys, keys.keys[row, column])
            for drawn, own in ((keys.words, alone.words), (keys.normal, alone.normal), (keys.uniform, alone.uniform)):
                shape = count if drawn == keys.words else (count, 3)
                assert torch.equal(own(shape), drawn(shape)[row, column])
            start, increment = (int(word) % 2**64 for word in alone.keys)
            assert [int(word) % 2**64 for word in alone.words(count)] == splitmix(start, increment, count)
            assert increment % 2 == 1
            assert (increment ^ (increment >> 1)).bit_count() >= 24


def test_different_keys_have_different_numbers() -> None:
    """Steps, draws, seeds and purposes that follow each other; none is another's, moved by one."""
    places = [(step, draw) for step in range(200) for draw in range(3)]
    keys = torch.cat([Counted.of(range(20), purpose, places).keys.flatten(0, 1) for purpose in ("noise", "binarise")])
    assert len(set(map(tuple, keys.tolist()))) == len(keys) == 24_000
    words = Counted(keys).words(8)
    assert len(words.unique()) == words.numel()


def test_weak_increments_are_mended() -> None:
    """Those of few changes between neighbouring bits, of which one key in sixty has one."""
    keys = Counted.of(range(100), "noise", [(step, 0) for step in range(1000)]).keys[..., 1].flatten().tolist()
    changes = torch.tensor([((key % 2**64) ^ ((key % 2**64) >> 1)).bit_count() for key in keys])
    assert int(changes.min()) >= 24


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_counted_numbers_have_their_distributions(dtype: torch.dtype) -> None:
    """By Kolmogorov and Smirnov, along one key, across seeds and across steps; neighbours are not correlated."""
    keys = Counted.of(range(40), "noise", [(step, 0) for step in range(50)])
    for numbers, law in ((keys.normal((301,), dtype), stats.norm), (keys.uniform((301,), dtype), stats.uniform)):
        assert numbers.shape == (50, 40, 301)
        assert numbers.dtype == dtype
        for sample in (numbers.flatten(), numbers[0, 0], numbers[0, :, 0], numbers[:, 0, 0], numbers[..., 0].flatten()):
            assert stats.kstest(sample.numpy(), law.cdf).pvalue > 1e-4
        for axis in range(3):
            one, other = numbers.narrow(axis, 0, 1).flatten(), numbers.narrow(axis, 1, 1).flatten()
            bound = 4.5 / len(one) ** 0.5
            assert abs(float(torch.corrcoef(torch.stack([one, other]))[0, 1])) < bound
        half = numbers[..., :150].flatten(), numbers[..., 150:300].flatten()
        assert abs(float(torch.corrcoef(torch.stack(half))[0, 1])) < 4.5 / len(half[0]) ** 0.5
    uniform = keys.uniform((301,), dtype)
    assert float(uniform.min()) >= 0
    assert float(uniform.max()) < 1


def test_of_no_numbers_there_are_none() -> None:
    keys = Counted.of([1, 2], "noise", [(0, 0)])
    assert keys.normal((0, 3)).shape == (1, 2, 0, 3)
    assert keys.uniform((2, 1)).shape == (1, 2, 2, 1)


@pytest.mark.gpu
def test_a_gpu_counts_the_same_numbers() -> None:
    ours, theirs = (Counted.of([1, 2], "noise", [(3, 0), (4, 1)], device) for device in ("cpu", "cuda"))
    assert torch.equal(theirs.words(999).cpu(), ours.words(999))
    assert torch.equal(theirs.uniform((999,)).cpu(), ours.uniform((999,)))
    torch.testing.assert_close(theirs.normal((999,)).cpu(), ours.normal((999,)), rtol=1e-4, atol=1e-5)
