"""Seeds as people write them."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st

from lid_vae.errors import UserError
from lid_vae.seed_range import is_seed_range, parse, sweep_text


@pytest.mark.parametrize(
    ("text", "seeds"),
    [
        ("3", [3]),
        ("0", [0]),
        ("0-9", list(range(10))),
        ("4-4", [4]),
        ("0-2,7", [0, 1, 2, 7]),
        ("7,0-2,1,7", [7, 0, 1, 2]),
        (" 0 - 2 , 5 ", [0, 1, 2, 5]),
        ("007-9", [7, 8, 9]),
    ],
)
def test_parse(text, seeds):
    assert parse(text) == seeds


@pytest.mark.parametrize(
    "text", ["9-0", "0-2,9-8", "", "-1", "1-", "1--2", "1-2-3", "0,,1", "a-b", "1.5", "٣", "0-99999999999"]
)
def test_refusals_show_the_value_and_the_way(text):
    with pytest.raises(UserError, match="seed=") as refused:
        parse(text)
    assert text in str(refused.value)
    assert "Write" in str(refused.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0-9", True),
        ("0,1", True),
        ("9-0", True),
        ("1--2", True),
        ("3", False),
        ("range(0,3)", False),
        ("-1", False),
        ("x", False),
    ],
)
def test_is_seed_range(text, expected):
    assert is_seed_range(text) == expected


@given(st.lists(st.integers(0, 50), min_size=1, unique=True))
def test_hydra_sweeps_over_the_same_seeds_in_the_same_order(seeds):
    override = OverridesParser.create().parse_override(f"seed={sweep_text(seeds)}")
    swept = list(override.sweep_iterator()) if override.is_sweep_override() else [override.value()]
    assert [int(seed) for seed in swept] == seeds


def test_consecutive_seeds_stay_short():
    assert sweep_text(parse("0-9999")) == "range(0,10000)"
