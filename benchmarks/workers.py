"""Two joblib workers over one on runs of equal length: ``python benchmarks/workers.py output=benchmarks/reports``.

Each worker has one thread. Wants a machine on which nothing else runs. ``options=`` are those of the runs, separated by
spaces; ``seeds=`` is the range that each sweep runs.
"""

import os
import platform
import shlex
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

import bench  # noqa: F401  puts the repository on the path

from lid_vae.files import write_atomic

ROOT = Path(__file__).resolve().parents[1]
DEFAULTS = {
    "options": "model=lidsvae data=synthetic_text trainer.max_epochs=5",
    "seeds": "0-3",
    "workers": "1,2",
    "output": "",
}


def main(words: list[str]) -> None:
    options = DEFAULTS | dict(word.split("=", 1) for word in words)
    counts = [int(count) for count in options["workers"].split(",")]
    with tempfile.TemporaryDirectory() as name:
        sweep(Path(name) / "warm", options, 1, ["trainer.max_epochs=1", "seed=0"])  # data made, files in the page cache
        seconds = {count: sweep(Path(name) / str(count), options, count, []) for count in counts}
    rows = "".join(
        f"| {count} | {seconds[count]:.1f} | {seconds[counts[0]] / seconds[count]:.2f} |\n" for count in counts
    )
    report = (
        f"# joblib workers\n\n`python train.py {options['options']} -m seed={options['seeds']} hydra/launcher=joblib`, "
        f"from start to end, one thread each.\n\n| workers | seconds | speed-up |\n|---|---|---|\n{rows}\n"
        f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}.\n"
    )
    print(report)
    if options["output"]:
        path = Path(options["output"]) / f"{date.today()}-workers.md"
        write_atomic(path, f"{report}\nCommand: `python benchmarks/workers.py {shlex.join(words)}`\n")
        print(path)


def sweep(folder: Path, options: dict[str, str], workers: int, more: list[str]) -> float:
    """Seconds."""
    command = [sys.executable, str(ROOT / "train.py"), *shlex.split(options["options"]), "-m"]
    command += [f"seed={options['seeds']}", "hydra/launcher=joblib", f"hydra.launcher.workers={workers}"]
    command += [f"paths.runs={folder}", "logger=none", "callbacks.panels.every=0", *more]
    begun = time.perf_counter()
    subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begun


if __name__ == "__main__":
    main(sys.argv[1:])
