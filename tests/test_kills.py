"""``kill -9`` at random moments changes nothing but the time: 3 here, 30 by benchmarks/kills.py."""

import importlib.util
import random
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "benchmarks" / "kills.py"


@pytest.mark.slow
def test_random_kills(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    specification = importlib.util.spec_from_file_location("kills", SCRIPT)
    kills = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(kills)
    assert "survived: 3 of 3" in kills.compare(tmp_path, 3, 20, random.Random(1))
