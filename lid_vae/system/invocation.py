"""How the program was called, ``python train.py`` or ``lid-vae train``: what messages begin with and commands repeat.

``sys.argv`` alone knows it. Whoever starts further processes sends it along, so that they speak alike.
"""

import os
import shlex
import sys
from pathlib import Path
from types import TracebackType

from lid_vae.system.phases import open_with, opening

__all__ = [
    "CONSOLE",
    "ROOT",
    "as_argv",
    "begin",
    "command",
    "import_environment",
    "prefix",
    "tell_interrupts",
    "typed_command",
]

CONSOLE = "lid-vae"
ROOT = Path(__file__).resolve().parents[2]
"""Where lid_vae is imported from: a checkout, or the folder of installed packages."""
# What messages begin with, and what is typed, where it is not the console program.
_SCRIPTS = {
    "train": ("train.py", "python train.py"),
    "evaluate": ("evaluate.py", "python evaluate.py"),
    "report": ("python -m lid_vae.report", "python -m lid_vae.report"),
    "status": ("python -m lid_vae.sweep", "python -m lid_vae.sweep status"),
}


def as_argv(work: str, words: list[str]) -> list[str]:
    """``sys.argv`` of the console program's ``work`` (train, evaluate, report or status) with these ``words``."""
    return [f"{CONSOLE} {work}", *words]


def command(work: str) -> str:
    """What one types for a ``work``, train, evaluate, report or status, before its options."""
    return f"{CONSOLE} {work}" if _by_console() else _SCRIPTS[work][1]


def prefix(work: str) -> str:
    """What a message of a ``work`` begins with, before its colon."""
    return f"{CONSOLE} {work}" if _by_console() else _SCRIPTS[work][0]


def typed_command() -> str:
    """The command that the user typed, to be typed again."""
    if _by_console():
        return " ".join([sys.argv[0], *map(shlex.quote, sys.argv[1:])])
    return shlex.join(["python", *sys.argv])


def begin(work: str) -> None:
    """What a ``work``, train or evaluate, does before it imports anything: a terminal shows at once that it has begun.

    Where a flag asks for words, such as --help, these are all that is said. Ctrl-C ends it in one line.
    """
    tell_interrupts(work)
    if all(word in ("-m", "--multirun") for word in sys.argv[1:] if word.startswith("-")):
        open_with("reading the options")


def tell_interrupts(work: str) -> None:
    """From now on Ctrl-C that nobody catches, as while modules are imported, ends a ``work`` in one line."""
    told = sys.excepthook

    def tell(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        opening.close()
        if issubclass(kind, KeyboardInterrupt):
            print(f"{prefix(work)}: interrupted.", file=sys.stderr)
        else:
            told(kind, error, trace)

    sys.excepthook = tell


def import_environment() -> dict[str, str]:
    """Variables by which a further process imports this very package, wherever it is started."""
    paths = list(filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)))
    if ROOT.name not in ("site-packages", "dist-packages"):
        paths.insert(0, str(ROOT))  # not installed, it is found by its path alone
    # Else `python -m` looks into the working directory first, which may be a checkout of another version.
    safe = {"PYTHONSAFEPATH": "1"}
    return safe | ({"PYTHONPATH": os.pathsep.join(dict.fromkeys(paths))} if paths else {})


def _by_console() -> bool:
    return sys.argv[0] in {f"{CONSOLE} {work}" for work in _SCRIPTS}
