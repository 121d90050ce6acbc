"""How long threads spin is told to OpenMP in time, as it reads that when PyTorch is imported; cycles wait."""

import gc
import os
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from lid_vae.command_line import program
from lid_vae.system.machine_habits import SPINS, spin_briefly, unswept

TRAIN = Path(__file__).resolve().parents[2] / "train.py"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {"GOMP_SPINCOUNT": str(SPINS)}),
        ({"GOMP_SPINCOUNT": "7"}, {"GOMP_SPINCOUNT": "7"}),
        ({"OMP_WAIT_POLICY": "active"}, {"OMP_WAIT_POLICY": "active"}),
    ],
)
def test_what_the_user_says_stands(monkeypatch, given, expected):
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    spin_briefly()
    assert {name: os.environ[name] for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY") if name in os.environ} == expected


@pytest.mark.slow
def test_a_run_has_it(tmp_path):
    """Of a process of its own, whose OpenMP says what it has read."""
    kept = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    options = ["data.per_class=20", "data.valid_size=20", "data.test_size=20", "trainer.max_epochs=1", "width=4"]
    done = subprocess.run(
        [sys.executable, str(TRAIN), *options, "samples=2", "logger=none", "vector_pictures=false"],
        cwd=tmp_path,
        env={**kept, "OMP_DISPLAY_ENV": "VERBOSE"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    said = re.findall(r"GOMP_SPINCOUNT = '(\d+)'", done.stderr)
    if not said:
        pytest.skip("PyTorch has no GNU OpenMP here")
    assert set(said) == {str(SPINS)}


@pytest.mark.parametrize("enabled", [True, False])
def test_cycles_are_looked_for_again_as_before(enabled):
    try:
        (gc.enable if enabled else gc.disable)()
        with suppress(KeyError), unswept():
            assert not gc.isenabled()
            raise KeyError
        assert gc.isenabled() is enabled
    finally:
        gc.enable()


def test_what_takes_long_to_import_is_imported_without_looking_for_cycles(monkeypatch, tmp_path):
    (tmp_path / "does_nothing.py").write_text("import gc\nlooked_for = gc.isenabled()\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(program.WORK, "train", "does_nothing")
    assert not program.Job("train", ("train.py",), None)._work().looked_for
    assert gc.isenabled()
