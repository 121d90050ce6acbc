"""How many command lines of options of any kind end in a run, in one paragraph, or in a defect.

    python benchmarks/fuzz.py --cases 10000
    python benchmarks/fuzz.py --cases 500 --train

Options of the composed configuration get values of any kind: null, words, lists, numbers without measure, parts that
are not there. Without ``--train`` a case ends where its training would begin. Defects, such as a traceback, are listed
by what was said, each with its shortest command line; nothing is shrunk, and ``--seed`` draws others.
"""

import os
import resource
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from bench import ROOT, begin, options_of, publish, table
from hypothesis import HealthCheck, Phase, given, seed, settings

sys.path.insert(0, str(ROOT / "tests"))
from fuzzing import Ending, commands, play

Defect = tuple[str, str]


def measure(cases: int, number: int, train: bool) -> tuple[Counter[str], dict[Defect, list[str]]]:
    """How many cases ended how; and the command lines of the defects, by kind and what was said."""
    endings: Counter[str] = Counter()
    defects: dict[Defect, list[str]] = {}
    own = os.getcwd()

    @seed(number)
    @settings(
        max_examples=cases,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(commands())
    def case(command: tuple[str, ...]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            try:
                ending = play(command, Path(folder), train=train)
            finally:
                os.chdir(own)
        endings[ending.kind] += 1
        if not ending.sound:
            defects.setdefault((ending.kind, headline(ending)), []).append(" ".join(command))

    case()
    return endings, defects


def headline(ending: Ending) -> str:
    """The line that says most of what went wrong."""
    lines = [line.strip() for line in ending.text.splitlines() if line.strip()] or [""]
    return next((line for line in reversed(lines) if "Error" in line or "Exception" in line), lines[-1])[:160]


def main() -> None:
    parser = options_of(__doc__)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--memory", type=int, default=16, help="GiB of addresses; the system refuses more")
    parser.add_argument("--train", action="store_true", help="whole runs, where the options can be built")
    options = parser.parse_args()
    begin(options)
    resource.setrlimit(resource.RLIMIT_AS, (options.memory << 30, options.memory << 30))
    start = time.perf_counter()
    endings, defects = measure(options.cases, options.seed, options.train)
    lines = [
        *table(["ending", "cases"], [[kind, str(count)] for kind, count in endings.most_common()]),
        "",
        f"{sum(endings.values())} cases in {time.perf_counter() - start:.0f} s.",
    ]
    for (kind, said), found in sorted(defects.items(), key=lambda item: -len(item[1])):
        lines += ["", f"{len(found)} times {kind}: `{said}`, first by", "", f"    {min(found, key=len)}"]
    publish("Options of any kind", options, lines)


if __name__ == "__main__":
    main()
