"""``kill -9`` at random moments changes nothing but the time: a few here, 30 by benchmarks/kills.py."""

import importlib.util
import random
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "benchmarks" / "kills.py"


@pytest.mark.full
@pytest.mark.parametrize(("seeds", "kills"), [(1, 2), (2, 5)])
def test_random_kills(tmp_path, monkeypatch, seeds, kills):
    """Of stacks 5, so that the second is killed between the checkpoints of two seeds."""
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    specification = importlib.util.spec_from_file_location("kills", SCRIPT)
    module = importlib.util.module_from_spec(specification)
    monkeypatch.setitem(sys.modules, "kills", module)  # where dataclasses look for it
    specification.loader.exec_module(module)
    tally = module.compare(tmp_path, kills, 20, random.Random(1), seeds)
    assert len(tally.moments) == kills
    assert tally.equal + len(tally.apart) == seeds * tally.runs
    assert f"survived: {kills} of {kills}" in module.describe(tally, seeds)[0]
