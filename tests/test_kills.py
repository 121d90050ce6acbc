"""``kill -9`` at random moments changes nothing but the time: 6 here, 30 by benchmarks/kills.py."""

import importlib.util
import random
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "benchmarks" / "kills.py"


@pytest.mark.slow
def test_random_kills(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    specification = importlib.util.spec_from_file_location("kills", SCRIPT)
    kills = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(kills)
    assert "survived: 6 of 6" in kills.compare(tmp_path, 6, 20, random.Random(1))
