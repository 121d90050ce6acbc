"""What the arithmetic of training does to the numbers: the same runs in 64, 32 and 16 bits, side by side.

    python benchmarks/precision.py --threads 1

Evaluation is in 32 bits whatever training was in (in 64 for 64-true, whose weights are). TF32 exists on GPUs alone.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from bench import ROOT, options_of, publish, table

PRECISIONS = ("64-true", "32-true", "bf16-mixed")


def results(precision: str, model: str, seeds: int, epochs: int, threads: int) -> list[dict]:
    """result.json of each seed."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable, "train.py", f"model={model}", "data=digits", f"trainer.precision={precision}",
            f"trainer.max_epochs={epochs}", "logger=none", "callbacks.panels.every=0", "samples=50",
            "trainer.enable_progress_bar=false", f"paths.runs={folder}", "-m", f"seed=0-{seeds - 1}",
        ]  # fmt: skip
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True, env=environment)
        return [json.loads(path.read_text()) for path in sorted(Path(folder).rglob("result.json"))]


def main() -> None:
    parser = options_of(__doc__, seeds=3, epochs=30)
    parser.add_argument("--models", nargs="+", default=["gmvae", "lidgmvae"])
    parser.add_argument("--precisions", nargs="+", default=PRECISIONS)
    options = parser.parse_args()
    rows = []
    for model in options.models:
        for precision in options.precisions:
            found = results(precision, model, options.seeds, options.epochs, options.threads)
            cells = [
                ("LL", [run["ll"]["mean"] for run in found], 2),
                ("MI", [run["latent"]["z"]["mi"] for run in found], 3),
                ("accuracy", [run["accuracy"] for run in found], 3),
            ]
            step = 1e3 * sum(run["seconds_per_step"] for run in found) / len(found)
            rows.append([model, precision, *(", ".join(f"{v:.{d}f}" for v in vs) for _, vs, d in cells), f"{step:.1f}"])
    header = ["model", "trainer.precision", "LL, each seed", "MI(z)", "accuracy", "ms a step of the stack, wall"]
    note = f"digits, {options.epochs} epochs, seeds 0 to {options.seeds - 1} as one stack. Nats."
    publish("Precision of training", options, [note, "", *table(header, rows)])


if __name__ == "__main__":
    main()
