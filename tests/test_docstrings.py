"""Public docstrings name their parameters, as ``benchmarks/docstrings.py`` counts them."""

import importlib
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "lid_vae"
# The least share of parameters that their docstrings name, in every room.
LEAST = 0.94


@pytest.fixture
def docstrings(monkeypatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module("docstrings")


def test_docstrings_name_their_parameters(docstrings) -> None:
    rooms: dict[str, list] = {}
    for one in docstrings.parameters(PACKAGE):
        rooms.setdefault(one.owner.split(".")[1], []).append(one)
    for room in rooms:
        missing = [f"{one.owner}: {one.name}" for one in rooms[room] if not one.named]
        assert 1 - len(missing) / len(rooms[room]) >= LEAST, missing


SOURCE = '''
from typing import NamedTuple

import pytorch_lightning as pl

__all__ = ["Base", "Hook", "Point", "f"]


def f(x, y, _hidden=0):
    """``x`` is named; a letter within a word, such as year, names nothing."""


def g(z):
    """Not public."""


class Point(NamedTuple):
    """At ``left``."""

    left: int
    top: int
    """What stands below a field names it."""
    deep: int


class Base(pl.Callback):
    """Of Lightning."""

    def own(self, where):
        """Of this package."""


class Hook(Base):
    """A hook of Lightning's, and a method of the base: both are documented where they are declared."""

    def on_train_start(self, trainer, pl_module):
        pass

    def own(self, where):
        pass
'''


def test_what_is_counted(docstrings, tmp_path: Path) -> None:
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "room.py").write_text(SOURCE)
    found = {(one.owner, one.name): one.named for one in docstrings.parameters(tmp_path / "package")}
    assert found == {
        ("package.room.f", "x"): True,
        ("package.room.f", "y"): False,
        ("package.room.Point", "left"): True,
        ("package.room.Point", "top"): True,
        ("package.room.Point", "deep"): False,
        ("package.room.Base.own", "where"): False,
    }
