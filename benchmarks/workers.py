"""Two joblib workers over one on runs of equal length: ``python benchmarks/workers.py --threads 1``.

Each worker has ``--threads``. Wants a machine on which nothing else runs. ``--options`` are those of the runs,
separated by spaces.
"""

import shlex
import tempfile

from bench import options_of, process_seconds, publish, table

OPTIONS = "model=lidsvae data=synthetic_text trainer.max_epochs=5"


def sweep(options: str, seeds: int, workers: int, threads: int, *more: str) -> float:
    """Seconds of wall-clock time."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["train.py", *shlex.split(options), "-m", f"seed=0-{seeds - 1}" if seeds > 1 else "seed=0"]
        command += ["hydra/launcher=joblib", f"hydra.launcher.workers={workers}", f"paths.runs={folder}"]
        wall, _ = process_seconds([*command, "logger=none", "callbacks.panels.every=0", *more], threads)
    return wall


def main() -> None:
    parser = options_of(__doc__, options=OPTIONS, seeds=4)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    options = parser.parse_args()
    sweep(options.options, 1, 1, options.threads, "trainer.max_epochs=1")  # data made, files in the page cache
    seconds = {workers: sweep(options.options, options.seeds, workers, options.threads) for workers in options.workers}
    first = seconds[options.workers[0]]
    rows = [[workers, f"{wall:.1f}", f"{first / wall:.2f}"] for workers, wall in seconds.items()]
    note = f"{options.seeds} runs of {options.options}, from start to end, {options.threads} thread(s) each."
    publish("joblib workers", options, [note, "", *table(["workers", "seconds", "speed-up"], rows)])


if __name__ == "__main__":
    main()
