"""The user's command for ten seeds from its start to the finished table: stacked, and one run after the other.

    python benchmarks/end_to_end.py                                 # pinwheel at its default width, its own epochs
    python benchmarks/end_to_end.py --threads 1 --epochs 5 --seeds 4 --rounds 2

Each is a command of its own and leaves the same files; they take turns, and of each the least of the rounds counts. On
a machine that others use, compare processor seconds, at one thread: threads that wait for each other use the processor.
``--options`` are more options of the runs, separated by spaces.
"""

import argparse
import json
import os
import shlex
import tempfile
from pathlib import Path
from typing import NamedTuple

from bench import options_of, process_seconds, publish, table

SINGLE = "one after the other"


class Cost(NamedTuple):
    """Seconds of a command; ``training``: wall-clock, from the start of a run to the end of its training, of all."""

    wall: float
    processor: float
    training: float


def ways(options: argparse.Namespace) -> dict[str, list[str]]:
    """Options of the command; the stack of each core is trained by a process of its own (joblib)."""
    size = -(-options.seeds // (os.cpu_count() or 1))
    return {
        "one stack": [],
        "a stack for each core": ["hydra/launcher=joblib", f"ensemble.size={size}", "hydra.launcher.threads=1"],
        SINGLE: ["hydra/launcher=basic"],
    }


def cost(options: argparse.Namespace, way: list[str]) -> Cost:
    """Of one command, whose files go to a folder that is removed."""
    with tempfile.TemporaryDirectory() as folder:
        overrides = [f"model={options.model}", f"data={options.data}", f"paths.runs={folder}", *way]
        overrides += shlex.split(options.options)
        if options.epochs:
            overrides.append(f"trainer.max_epochs={options.epochs}")
        seeds = f"seed=0-{options.seeds - 1}"
        wall, processor = process_seconds(["train.py", *overrides, "-m", seeds], options.threads)
        results = [json.loads(path.read_text()) for path in Path(folder).rglob("result.json")]
    assert len(results) == options.seeds
    return Cost(wall, processor, sum(result["seconds"] / result["seeds_together"] for result in results))


def main() -> None:
    parser = options_of(__doc__, model="lidgmvae", data="pinwheel", seeds=10, epochs=0, rounds=1, options="")
    options = parser.parse_args()
    found: dict[str, list[Cost]] = {name: [] for name in ways(options)}
    for _ in range(options.rounds):
        for name, way in ways(options).items():
            found[name].append(cost(options, way))
    least = {name: Cost(*map(min, zip(*costs, strict=True))) for name, costs in found.items()}
    base = least[SINGLE]
    rows = []
    for name, c in least.items():
        ratios = [f"{c.wall / base.wall:.2f}", f"{c.processor / base.processor:.2f}"]
        rows.append([name, f"{c.wall:.1f}", f"{c.processor:.1f}", f"{c.training:.1f}", *ratios])
    header = ["seeds", "wall, s", "processor, s", "of the wall, to the end of training", "wall, ratio"]
    sizes = f"with {options.options}" if options.options else "at default width"
    epochs = options.epochs or "its own number of"
    publish(
        "Ten seeds from the command to the table" if options.seeds == 10 else f"{options.seeds} seeds from end to end",
        options,
        [
            f"{options.model} on {options.data} {sizes}, {options.seeds} seeds, {epochs} epochs; the least of "
            f"{options.rounds} rounds.",
            "",
            *table([*header, "processor, ratio"], rows),
        ],
    )


if __name__ == "__main__":
    main()
