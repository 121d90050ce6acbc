"""A phase shows itself on a terminal and leaves nothing behind; elsewhere a long one says a line now and then."""

import io
import itertools
import re
from time import sleep
from types import SimpleNamespace

import pytest

from lid_vae.system import invocation, phases
from lid_vae.system.phases import open_with, opening, phase, watched


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True

    @property
    def left(self) -> str:
        """What stands on the line in the end."""
        return self.getvalue().rpartition(phases.CLEARED)[2]


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    made = Screen()
    monkeypatch.setattr(phases, "sys", SimpleNamespace(stderr=made))  # pytest puts its own in the place of the other
    monkeypatch.setattr(phases, "BETWEEN", -1.0)
    monkeypatch.setenv("TERM", "xterm")
    return made


def test_a_terminal_shows_a_phase_while_it_lasts(screen: Screen) -> None:
    with phase("drawing"):
        assert screen.left == "drawing: [###.......]"
    assert screen.left == ""
    with pytest.raises(ZeroDivisionError), phase("drawing"):
        raise ZeroDivisionError
    assert screen.left == ""


def test_a_phase_counts_its_seconds(screen: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside a block that wanders; of two within one another the inner ones; after the end nothing is said any more."""
    monkeypatch.setattr(phases, "TICK", 0.01)
    clock = itertools.count(0, 10)
    monkeypatch.setattr(phases.time, "monotonic", lambda: float(next(clock)))

    def until(words: str) -> None:
        while words not in screen.left:
            sleep(0.001)

    with phase("drawing"):
        until("drawing: [....###...] 10 s")
        with phase("drawing latents.svg"):
            until("drawing latents.svg: ")
            said = len(screen.getvalue())
            until("drawing latents.svg: [......###.] ")
            assert "drawing: " not in screen.getvalue()[said:]
        until("drawing: ")
    assert screen.left == ""
    said = len(screen.getvalue())
    sleep(0.05)
    assert len(screen.getvalue()) == said
    assert phases.lasting == []


def test_a_block_wanders_there_and_back() -> None:
    """A letter a second, at the end after seven and back after fourteen."""
    bars = [re.search(r"\[(.*)\]", phases._wandering("drawing", second)) for second in range(29)]
    places = [bar[1].index("###") for bar in bars if bar]
    assert places == [*range(7), *range(7, 0, -1)] * 2 + [0]
    assert {(len(bar[1]), bar[1].count("#")) for bar in bars if bar} == {(phases.BAR, phases.BLOCK)}


def test_a_terminal_shows_how_far_it_is(screen: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 1000, 10))
    monkeypatch.setattr(phases.time, "monotonic", lambda: float(next(clock)))
    shown = [(thing, screen.left) for thing in watched("abcd", "evaluating", 4)]
    assert [thing for thing, _ in shown] == list("abcd")
    assert [line for _, line in shown] == [
        "evaluating: [###.......]",
        "evaluating: [##........] 25 %, about 30 s left",
        "evaluating: [#####.....] 50 %, about 20 s left",
        "evaluating: [#######...] 75 %, about 10 s left",
    ]
    assert screen.left == ""


def test_what_takes_long_by_itself_is_counted_too(screen: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the first is done the seconds, then what is left of those that were told."""
    monkeypatch.setattr(phases, "TICK", 0.01)
    clock = itertools.count()
    monkeypatch.setattr(phases.time, "monotonic", lambda: float(next(clock)))
    for thing in watched("ab", "evaluating", 2):
        begun = len(screen.getvalue())
        while "..###.....] 2 s" not in screen.getvalue() if thing == "a" else "about 0 s left" not in screen.left:
            sleep(0.001)
        assert thing == "a" or "evaluating: [#####.....] 50 %, about " in screen.getvalue()[begun:]
    assert screen.left == ""
    assert phases.lasting == []


def test_the_time_left_is_by_what_is_large(
    screen: Screen, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two of four batches, short ones first, are a tenth of the work."""
    clock = iter(range(0, 1000, 10))
    monkeypatch.setattr(phases.time, "monotonic", lambda: float(next(clock)))
    told = []

    def notice(seconds: float) -> str:
        told.append(seconds)
        return "it takes long"

    shown = [screen.left for _ in watched("abcd", "evaluating", 4, [5, 5, 40, 50], notice)]
    assert shown[1:3] == [
        "evaluating: [..........] 5 %, about 3 min left",
        "evaluating: [#.........] 10 %, about 3 min left",
    ]
    assert told == [200.0], "once, by the first batch"
    assert capsys.readouterr().out == "it takes long\n"


def test_elsewhere_a_line_is_said_every_half_minute(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(0, 1000, 10))
    monkeypatch.setattr(phases.time, "monotonic", lambda: float(next(clock)))
    with phase("drawing"):
        assert list(watched(range(10), "evaluating", 10)) == list(range(10))
    said = capsys.readouterr().err.splitlines()
    assert said == ["evaluating: 40 %, about 60 s left", "evaluating: 80 %, about 20 s left"]


def test_one_of_several_processes_renews_no_line(screen: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    with phase("drawing"):
        assert list(watched("ab", "evaluating", 2)) == ["a", "b"]
    assert phases.CLEARED not in screen.getvalue()


def test_what_ends_early_leaves_nothing_behind(screen: Screen) -> None:
    things = watched(iter("ab"), "evaluating", 2)
    next(things)
    things.close()
    assert screen.left == ""


def test_the_opening_lasts_until_somebody_speaks(screen: Screen) -> None:
    open_with("reading")
    open_with("reading the options")
    assert screen.left == "reading the options: [###.......]"
    with phase("loading the data"):
        assert screen.left == "loading the data: [###.......]"
    opening.close()
    assert screen.left == ""
    said = screen.getvalue()
    opening.close()
    assert screen.getvalue() == said


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["model=vae"], True),
        (["model=vae", "-m", "seed=0-9"], True),
        (["--multirun"], True),
        (["--help"], False),
        (["--cfg", "job"], False),
    ],
)
def test_a_program_shows_that_it_has_begun(
    screen: Screen, monkeypatch: pytest.MonkeyPatch, words: list[str], shown: bool
) -> None:
    monkeypatch.setattr(invocation.sys, "argv", ["train.py", *words])
    monkeypatch.setattr(invocation.sys, "excepthook", None)
    invocation.begin("train")
    assert screen.left == ("reading the options: [###.......]" if shown else "")
    opening.close()
    assert screen.left == ""
