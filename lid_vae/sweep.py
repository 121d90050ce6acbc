"""``python -m lid_vae.sweep status <folder>``: how far the runs below a folder are."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from lid_vae.errors import UserError
from lid_vae.launch.status import describe_states, read_states

__all__ = ["main"]

PROGRAM = "python -m lid_vae.sweep"
USAGE = f"""\
{PROGRAM} status <folder> [<folder> ...]

How many runs below each folder are finished, running, failed, interrupted or missing, and which. A run is missing that
a sweep was to do and has not begun. Failed ones are run again by the sweep's command with retry=failed, and all that is
left by the command as it was.
"""


def main(argv: Sequence[str] | None = None) -> None:
    """Print the status of each folder that ``argv`` names (None: the command line's words).

    Exit status: 0; 1 after an error, told in a paragraph.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        if not words or words[0] in ("-h", "--help"):
            print(USAGE, end="", flush=True)
            return
        if words[0] != "status" or len(words) < 2:
            raise UserError(f"{' '.join(words)} is not understood. Write: {PROGRAM} status <folder>")
        for word in words[1:]:
            folder = Path(word)
            print("\n".join(describe_states(folder, read_states(folder))), flush=True)
    except UserError as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    except BrokenPipeError:  # | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
