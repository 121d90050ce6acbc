"""How long ``status`` and the report take on 10,000 runs: ``python benchmarks/status.py``.

A folder of simulated runs is made from one real result: 1,000 configurations of ten seeds, a few of them failed,
interrupted or never begun.
"""

import io
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import options_of, process_seconds, publish, table
from rich.console import Console

from lid_vae.launch.status import describe_states, read_states
from lid_vae.report.build import build
from lid_vae.system.files import write_atomic

SMALL = ("data.per_class=60", "data.valid_size=50", "data.test_size=60", "trainer.max_epochs=1", "width=8", "samples=4")


def main() -> None:
    options = options_of(__doc__, configurations=1000, seeds=10).parse_args()
    configurations, seeds = options.configurations, options.seeds
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "runs" / "simulated"
        files = simulate(folder, example(Path(name)), configurations, seeds)
        states, lines = timed(lambda: list(describe_states(folder, read_states(folder))))
        report, _ = timed(lambda: build([folder], folder / "report", Console(file=io.StringIO())))
    rows = [["`python -m lid_vae.sweep status`", f"{states:.2f}"], ["`python -m lid_vae.report`", f"{report:.2f}"]]
    note = f"{configurations:,} configurations of {seeds} seeds, {files:,} files read; the files in the page cache."
    said = [note, "", *table(["imports apart", "seconds"], rows), "", f"    {lines[0].partition(': ')[2]}"]
    publish(f"Status and report on {configurations * seeds:,} simulated runs", options, said)


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    begun = time.perf_counter()
    value = work()
    return time.perf_counter() - begun, value


def example(folder: Path) -> dict[str, object]:
    """A real result, of a run that takes a moment."""
    process_seconds(["train.py", *SMALL, "logger=none", f"paths.runs={folder / 'example'}"])
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
    main()
