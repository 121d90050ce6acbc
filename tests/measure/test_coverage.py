"""Intervals of the measures cover the population's known values: ``benchmarks/coverage.py``, as a test."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
REPLICATES = 2000


@pytest.fixture
def coverage(monkeypatch) -> ModuleType:
    """Under another name: there is a package called coverage."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    spec = importlib.util.spec_from_file_location("coverage_of_measures", ROOT / "benchmarks" / "coverage.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.parametrize("examples", [500])
def test_intervals_cover_what_is_known_of_the_population(coverage, examples: int) -> None:
    """Two-sided ones in 95 %, bounds in at least so many: 2,000 replicates, and one false alarm in a hundred runs."""
    found = coverage.measure(REPLICATES, examples, samples=20)
    assert len(found) == 10
    assert [(one.kind.name, one.share) for one in found if not one.holds] == []


def test_intervals_that_do_not_cover_are_noticed(coverage) -> None:
    """Of an unbiased estimate 92 % and 98 % are wrong, of a bound 92 % alone; 94.5 % of 2,000 is within chance."""
    two_sided, bound = (coverage.Kind(name, 0.0, name == "estimate") for name in ("estimate", "bound"))
    shares = [(two_sided, 0.945), (two_sided, 0.92), (two_sided, 0.98), (bound, 0.92), (bound, 0.98), (bound, 1.0)]
    found = coverage.judged([(kind, round(share * REPLICATES)) for kind, share in shares], REPLICATES)
    assert [one.holds for one in found] == [True, False, False, False, True, True]


def test_the_known_values_are_those_of_many_examples(coverage) -> None:
    """A replicate of 2,000 examples: each closed form lies within five standard errors, or beyond its bound."""
    from lid_vae.noise import generator

    for source in (coverage.Gaussian(), coverage.Categories()):
        found = source.replicate(2000, 20, generator("known"))
        for kind, (low, high) in zip(source.kinds(), found, strict=True):
            half = (high - low) / 2 if high - low < 1e9 else 0.05
            slack = 5 / 1.96 * half - half if kind.two_sided else 0.05
            assert low - slack - 1e-9 <= kind.exact <= high + slack + 1e-9, kind.name
            assert high == float("inf") or low == -float("inf") or high - low < 0.5
