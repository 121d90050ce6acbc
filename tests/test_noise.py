"""Noise keys: equal keys give equal streams on every machine, different keys different ones."""

from hashlib import blake2b

import torch
from hypothesis import given
from hypothesis import strategies as st

from lid_vae.noise import derive_seed, generator

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
