"""How many cases of any content end in work, in one paragraph, or in a defect.

    python benchmarks/fuzz.py --options 5000 --files 2000 --data 3000      an hour and a quarter of one core
    python benchmarks/fuzz.py --options 0 --files 0 --data 0 --training 500

Options of the composed configuration get values of any kind: null, words, lists, numbers without measure, parts that
are not there; such a case ends where its training would begin, with ``--training`` where it is finished. Files of
finished, interrupted and failed runs, checkpoints among them, are cut, edited or replaced, and trained, evaluated,
reported and asked for their status. Data are named of any kind and content. Defects, such as a traceback or a finished
run that was touched, are listed by what was said, each with its shortest case; nothing is shrunk, and ``--seed`` draws
others.
"""

import os
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from bench import ROOT, options_of, publish, table
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy

sys.path.insert(0, str(ROOT / "tests"))
from fuzzed_data import play_data, sources
from fuzzed_files import changes, play_change
from fuzzing import Ending, commands, play

from lid_vae.system.lightning_defaults import prepare_lightning

Defect = tuple[str, str]
Play = Callable[[Any, Path], Ending]


def measure(
    cases: int, number: int, drawn: SearchStrategy[Any], play: Play
) -> tuple[Counter[str], dict[Defect, list[str]]]:
    """How many cases of those ``drawn`` ended how; and those that are defects, by kind and what was said."""
    endings: Counter[str] = Counter()
    defects: dict[Defect, list[str]] = {}
    own = os.getcwd()

    @seed(number)
    @settings(
        max_examples=max(cases, 1),
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(drawn)
    def case(drawn: Any) -> None:
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            try:
                ending = play(drawn, Path(folder))
            finally:
                os.chdir(own)
        endings[ending.kind] += 1
        if not ending.sound:
            defects.setdefault((ending.kind, headline(ending)), []).append(repr(drawn)[:400])

    if cases:
        case()
    return endings, defects


def headline(ending: Ending) -> str:
    """The line that says most of what went wrong."""
    lines = [line.strip() for line in ending.text.splitlines() if line.strip()] or [""]
    return next((line for line in reversed(lines) if "Error" in line or "Exception" in line), lines[-1])[:160]


def main() -> None:
    parser = options_of(__doc__, options=5000, training=0, files=2000, data=3000, seed=0)
    parser.add_argument("--memory", type=int, default=4, help="GiB that a case may take beside what the process has")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    prepare_lightning()  # and not as a run does: Hypothesis needs small numbers
    memory = options.memory << 30
    kinds: dict[str, tuple[SearchStrategy[Any], Play]] = {
        "options": (commands(), lambda drawn, folder: play(drawn, folder, train=False, memory=memory)),
        "training": (commands(), lambda drawn, folder: play(drawn, folder, train=True, memory=memory)),
        "files": (changes(), lambda drawn, _: play_change(drawn, memory)),
        "data": (sources(), lambda drawn, _: play_data(drawn, memory)),
    }
    rows, found = [], []
    for name, (drawn, played) in kinds.items():
        start = time.perf_counter()
        endings, defects = measure(getattr(options, name), options.seed, drawn, played)
        whole = sum(endings.values())
        counts = (whole, endings["works"], endings["refused"], whole - endings["works"] - endings["refused"])
        rows.append([name, *(f"{count:,}" for count in counts), f"{time.perf_counter() - start:.0f}"])
        for (kind, said), cases in sorted(defects.items(), key=lambda item: -len(item[1])):
            found += ["", f"{name}, {len(cases)} times {kind}: `{said}`, first by", "", f"    {min(cases, key=len)}"]
    lines = table(["cases", "in all", "work", "refused in a paragraph", "defects", "seconds"], rows)
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    lines += [
        "",
        f"The largest memory of the process was {largest:.1f} GiB; each case was allowed {options.memory} GiB more.",
    ]
    publish("Options, files and data of any content", options, [*lines, *found])


if __name__ == "__main__":
    main()
