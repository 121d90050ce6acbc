"""How long ``status`` and the report take on 10,000 runs: ``python benchmarks/status.py output=benchmarks/reports``.

A folder of simulated runs is made from one real result: 1,000 configurations of ten seeds, a few of them failed,
interrupted or never begun.
"""

import io
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import bench  # noqa: F401  puts the repository on the path
from rich.console import Console

from lid_vae.files import write_atomic
from lid_vae.report.build import build
from lid_vae.sweep.status import describe_states, read_states

ROOT = Path(__file__).resolve().parents[1]
SMALL = ("data.per_class=60", "data.valid_size=50", "data.test_size=60", "trainer.max_epochs=1", "width=8", "samples=4")


def main(words: list[str]) -> None:
    options = {"configurations": "1000", "seeds": "10", "output": ""} | dict(word.split("=", 1) for word in words)
    configurations, seeds = int(options["configurations"]), int(options["seeds"])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "runs" / "simulated"
        files = simulate(folder, example(Path(name)), configurations, seeds)
        states, lines = timed(lambda: list(describe_states(folder, read_states(folder))))
        report, _ = timed(lambda: build([folder], folder / "report", Console(file=io.StringIO())))
    text = (
        f"# Status and report on {configurations * seeds:,} simulated runs\n\n"
        f"{configurations:,} configurations of {seeds} seeds, {files:,} files read; the files in the page cache.\n\n"
        "| | seconds |\n|---|---|\n"
        f"| `python -m lid_vae.sweep status` | {states:.2f} |\n| `python -m lid_vae.report` | {report:.2f} |\n\n"
        f"    {lines[0].partition(': ')[2]}\n\n"
        f"Python {platform.python_version()}, {os.cpu_count()} cores, {platform.machine()}, imports apart.\n"
    )
    print(text)
    if options["output"]:
        path = Path(options["output"]) / f"{date.today()}-status.md"
        write_atomic(path, f"{text}\nCommand: `python benchmarks/status.py {' '.join(words)}`\n")
        print(path)


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    begun = time.perf_counter()
    value = work()
    return time.perf_counter() - begun, value


def example(folder: Path) -> dict[str, object]:
    """A real result, of a run that takes a moment."""
    command = [sys.executable, str(ROOT / "train.py"), *SMALL, "logger=none", f"paths.runs={folder / 'example'}"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    (path,) = (folder / "example").rglob("result.json")
    return json.loads(path.read_text())


def simulate(folder: Path, result: dict[str, object], configurations: int, seeds: int) -> int:
    """The number of files written. Of a hundred runs one has failed, one was interrupted, one never begun."""
    files = 0
    names = {}
    for number in range(configurations):
        place = folder / f"lidgmvae-pinwheel-realnvp-{number:08x}"
        names[place.name] = f"0-{seeds - 1}"
        for seed in range(seeds):
            fate = (number * seeds + seed) % 100
            run = place / f"seed-{seed}"
            if fate == 3:
                continue
            run.mkdir(parents=True)
            if fate == 1:
                (run / "failed.json").write_text(json.dumps({"error": "The training bound became nan at step 6."}))
            elif fate != 2:
                own = {**result, "seed": seed, "learning_rate": 0.001 * (number + 1), "config_hash": f"{number:08x}"}
                (run / "result.json").write_text(json.dumps({**own, "experiment": "simulated"}, indent=2))
            files += fate != 2
    write_atomic(folder / "sweep.json", json.dumps({"runs": names}))
    return files + 1


if __name__ == "__main__":
    main(sys.argv[1:])
