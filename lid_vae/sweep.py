"""``python -m lid_vae.sweep status <folder>``: how far the runs below a folder are."""

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from textwrap import TextWrapper

from lid_vae.errors import UserError
from lid_vae.launch.bars import COLUMNS, bars
from lid_vae.launch.status import describe_details, describe_states, read_states
from lid_vae.launch.time_left import time_left
from lid_vae.system.invocation import command, prefix, tell_interrupts
from lid_vae.system.phases import is_screen

__all__ = ["main"]

USAGE = """\
{command} <folder> [<folder> ...]

How many runs below each folder are finished, running, failed, interrupted or
missing: a bar for each configuration (waiting: interrupted or missing), then
which they are, and how long the rest may take, an estimate from what is
finished. A run is missing that a sweep was to do and has not begun. Failed ones
are run again by the sweep's command with retry=failed, and all that is left by
the command as it was.
"""
INDENT = 13


def main(argv: Sequence[str] | None = None) -> None:
    """Print the status of each folder that ``argv`` names (None: the command line's words).

    Exit status: 0; 1 after an error, told in a paragraph; 130 after Ctrl-C.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        if not words or words[-1] in ("-h", "--help"):
            print(USAGE.format(command=command("status")), end="", flush=True)
            return
        if words == ["status"]:
            raise UserError(f"No folder is named. Write: {command('status')} <folder>")
        if words[0] != "status":
            raise UserError(f"{' '.join(words)} is not understood. Write: {command('status')} <folder>")
        for word in words[1:]:
            folder = Path(word)
            print("\n".join(_lines(folder)), flush=True)
    except UserError as error:
        print(f"{prefix('status')}: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        print(f"{prefix('status')}: interrupted.", file=sys.stderr)
        raise SystemExit(130) from None
    except BrokenPipeError:  # | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _lines(folder: Path) -> list[str]:
    """What is said of ``folder``: on a terminal in its width and in colour, elsewhere a line for each thing."""
    states = read_states(folder)
    screen = is_screen(sys.stdout)
    width = max(40, shutil.get_terminal_size().columns) if screen else COLUMNS
    colour = screen and not os.environ.get("NO_COLOR")
    left = time_left(states)
    details = [*describe_details(folder, states), *([left] if left else [])]
    if screen:
        # Names of folders stay whole, to be copied.
        whole = TextWrapper(width, subsequent_indent=" " * INDENT, break_long_words=False, break_on_hyphens=False)
        details = [part for line in details for part in whole.wrap(line)]
    return [describe_states(folder, states), *bars(folder, states, width, colour), *details]


if __name__ == "__main__":
    tell_interrupts("status")
    main()
