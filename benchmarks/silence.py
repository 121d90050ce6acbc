"""What a terminal shows of a command, and when: the first words, the line of the plan, the longest silences.

    python benchmarks/silence.py                                  # the user's command, its first two minutes
    python benchmarks/silence.py --seconds 900 --options "data.train_size=2000 trainer.max_epochs=1 samples=4"

The command runs in a terminal of its own, of 100 columns, and is interrupted (Ctrl-C) after ``--seconds``. A silence is
the time between two writes to that terminal, from the start of the process on; what broke it stands beside it.
``--options`` are more options of the command, separated by spaces.
"""

import fcntl
import os
import pty
import re
import select
import shlex
import signal
import struct
import sys
import tempfile
import termios
import time
from typing import NamedTuple

from bench import ROOT, options_of, publish, table

ROWS, COLUMNS = 30, 100
COMMAND = "train.py model=lidgmvae data=mnist -m seed=0-9"
LONGEST = 4
PLAN = re.compile(r" on \w+.*, seeds? ")
CONTROL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b.|[\x00-\x1a\x1c-\x1f|]+")


class Write(NamedTuple):
    """What a program wrote, ``at`` how many seconds after its start, and ``after`` how many of silence."""

    at: float
    after: float
    text: str


def watch(words: list[str], seconds: float, threads: int) -> tuple[list[Write], float]:
    """What a Python program of ``words`` writes to a terminal, and after how many seconds it ended."""
    start = time.monotonic()
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(ROOT)
        os.environ |= {"OMP_NUM_THREADS": str(threads), "COLUMNS": str(COLUMNS), "TERM": "xterm-256color"}
        os.execv(sys.executable, [sys.executable, *words])
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    writes: list[Write] = []
    asked = False
    while True:
        ready, _, _ = select.select([terminal], [], [], 0.05)
        now = time.monotonic() - start
        if ready:
            try:
                text = os.read(terminal, 65536).decode(errors="replace")
            except OSError:  # Linux: the other end is closed
                break
            if not text:
                break
            writes.append(Write(now, now - (writes[-1].at if writes else 0.0), text))
        if now > seconds and not asked:
            os.kill(child, signal.SIGINT)
            asked = True
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    if code not in ({0, 128 + signal.SIGINT, -signal.SIGINT} if asked else {0}):
        print("".join(write.text for write in writes)[-2000:], file=sys.stderr)
        raise SystemExit(f"The command ended with {code}.")
    if not writes:
        raise SystemExit("The command wrote nothing.")
    return writes, time.monotonic() - start


def shown(text: str) -> str:
    """The first words that can be read in ``text``."""
    return " ".join(CONTROL.sub(" ", text).split())[:50]


def rows_of(writes: list[Write], end: float) -> list[list[object]]:
    """Of the table: when the first words and the plan came, the longest silences, and the end."""
    rows: list[list[object]] = [["first words", f"{writes[0].at:.2f}", f"{writes[0].at:.2f}", shown(writes[0].text)]]
    seen = ""
    for write in writes:
        seen += CONTROL.sub(" ", write.text)
        if found := PLAN.search(seen):
            rows.append(["line of the plan", f"{write.at:.2f}", f"{write.at:.2f}", shown(found.group())])
            break
    longest = sorted(writes, key=lambda write: -write.after)[:LONGEST]
    rows += [["silence", f"{write.after:.2f}", f"{write.at:.1f}", shown(write.text)] for write in longest]
    return [*rows, ["end", f"{end:.1f}", f"{end:.1f}", shown(writes[-1].text)]]


def main() -> None:
    parser = options_of(__doc__, seconds=120.0, command=COMMAND, options="")
    options = parser.parse_args()
    command = f"{options.command} {options.options}".strip()
    with tempfile.TemporaryDirectory() as folder:
        words = [*shlex.split(command), f"paths.runs={folder}"]
        writes, end = watch(words, options.seconds, options.threads)
    lines = table(["what", "seconds", "at second", "what was written then"], rows_of(writes, end))
    publish("What a terminal shows, and when", options, [f"`python {command}`", "", *lines])


if __name__ == "__main__":
    main()
