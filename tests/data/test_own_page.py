"""docs/data.md does what it says: its Python in order, then each of its commands on the files that this has made."""

import re
import shlex
from pathlib import Path

import pytest
from runs import Programs
from test_commands import commands

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "data.md").read_text()
COMMANDS = commands(PAGE)
TINY = ("trainer.max_epochs=1", "trainer.check_val_every_n_epoch=1", "width=8", "samples=2", "logger=none")
# The others are marked slow: their parts are tested by themselves.
QUICK = ("x.npy",)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("page")


@pytest.fixture(scope="module")
def shown(folder: Path) -> list[tuple[str, str]]:
    """Of each program of the page what it prints, and what the page says that it prints."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        names: dict[str, object] = {}
        found = []
        pattern = r"^```python\n(.*?)^```\n\n?((?:    [^\n]*\n)*)"
        for program, said in re.findall(pattern, PAGE, re.DOTALL | re.MULTILINE):
            lines: list[str] = []
            names["print"] = lambda *values, lines=lines: lines.append(" ".join(map(str, values)))
            exec(program, names)
            found.append(("\n".join(lines), "\n".join(line.strip() for line in said.splitlines())))
    return found


def test_its_programs_print_what_the_page_says(shown: list[tuple[str, str]]) -> None:
    assert len(shown) == 4
    for printed, said in shown:
        assert printed == said


def test_it_names_commands() -> None:
    assert len(COMMANDS) >= 8
    assert all(any(name in command for command in COMMANDS) for name in QUICK)


@pytest.mark.parametrize(
    "command",
    [
        command if any(name in command for name in QUICK) else pytest.param(command, marks=pytest.mark.slow)
        for command in COMMANDS
    ],
)
def test_its_commands_train(command: str, shown: object, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    _, script, *words = shlex.split(command)
    assert script == "train.py"
    outcome = Programs(folder).train(*words, tiny=TINY)
    assert outcome.status == 0, outcome.err
    assert "LL" in outcome.out
