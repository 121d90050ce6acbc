"""How many ``kill -9`` runs survive: ``python benchmarks/kills.py kills=30 output=benchmarks/reports``.

A run is killed over its training, its checkpoints and its evaluation, and begun again each time; then its result is
held against that of an undisturbed run.
"""

import json
import os
import platform
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import bench  # noqa: F401  puts the repository on the path
import torch

from lid_vae import __version__
from lid_vae.checkpoint import load_checkpoint
from lid_vae.files import write_atomic

ROOT = Path(__file__).resolve().parents[1]
RUN = (
    "model=gmvae", "data.per_class=60", "data.valid_size=50", "data.test_size=60", "data.batch_size=64", "width=8",
    "samples=100", "trainer.check_val_every_n_epoch=1", "trainer.log_every_n_steps=1", "logger=default",
)  # fmt: skip
TIME = ("seconds", "seconds_per_step", "command")
AIMS = ("any", "writing", "evaluation")


def main(words: list[str]) -> None:
    options = {"kills": "30", "epochs": "40", "seed": "0", "output": ""} | dict(word.split("=", 1) for word in words)
    kills, rng = int(options["kills"]), random.Random(int(options["seed"]))
    with tempfile.TemporaryDirectory() as name:
        report = compare(Path(name), kills, int(options["epochs"]), rng)
    print(report)
    if options["output"]:
        path = Path(options["output"]) / f"{date.today()}-kills.md"
        write_atomic(path, f"{report}\nCommand: `python benchmarks/kills.py {' '.join(words)}`\n")
        print(path)


def compare(folder: Path, kills: int, epochs: int, rng: random.Random) -> str:
    """Runs killed ``kills`` times in all beside one left alone, as Markdown. Raises ``AssertionError`` if they differ.

    Each run is killed once for each of ``AIMS`` and then finished and compared, unless it comes to its end before.
    """
    reference = folder / "undisturbed"
    assert start(reference, epochs).wait() == 0
    moments: list[str] = []
    runs = 0
    while len(moments) < kills:
        disturbed = folder / f"disturbed-{runs}"
        aim = AIMS[len(moments) % len(AIMS)]
        moment = kill(disturbed, aim, epochs, rng)
        check_whole(disturbed)
        if moment is not None:
            moments.append(moment)
        if moment is None or aim == AIMS[-1] or len(moments) == kills:
            assert start(disturbed, epochs).wait() == 0
            same(disturbed, reference)
            runs += 1
    return describe(moments, runs)


def same(disturbed: Path, reference: Path) -> None:
    ours, theirs = result(disturbed), result(reference)
    assert ours == theirs, {key for key in theirs if ours.get(key) != theirs[key]}
    rows = [only(path, "metrics.csv").read_text() for path in (disturbed, reference)]
    assert rows[0] == rows[1]


def start(folder: Path, epochs: int) -> "subprocess.Popen[bytes]":
    command = [sys.executable, str(ROOT / "train.py"), *RUN, f"trainer.max_epochs={epochs}", f"paths.runs={folder}"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def kill(folder: Path, aim: str, epochs: int, rng: random.Random) -> str | None:
    """Kills a run that has begun its work; what it was at. None where it had ended before.

    ``aim``: at a random moment; in the midst of writing, when a half-written file is seen after one; or at a random
    moment of the evaluation. A miss counts as what it hit.
    """
    left_before = half_written(folder)
    process = start(folder, epochs)

    def until(seen: Callable[[], Any]) -> None:
        while process.poll() is None and not seen():
            time.sleep(0.0005)

    until(lambda: list(folder.rglob("*.lock")))
    if aim == "evaluation":
        until(lambda: trained(folder))
    moment = time.monotonic() + rng.uniform(0.0, 1.0 if aim == "evaluation" else 5.0)
    until(lambda: time.monotonic() > moment)
    if aim == "writing":
        until(lambda: half_written(folder) - left_before)
    process.kill()
    if process.wait() != -signal.SIGKILL:
        return None
    if half_written(folder) - left_before:
        return "writing a file"
    if trained(folder):
        return "evaluation"
    return "training" if list(folder.rglob("last.ckpt")) else "before the first checkpoint"


def half_written(folder: Path) -> set[Path]:
    return set(folder.rglob("*.tmp"))


def trained(folder: Path) -> bool:
    """Whether the last checkpoint is that of the last step."""
    last = list(folder.rglob("last.ckpt"))
    if not last:
        return False
    found = load_checkpoint(last[0])["lid_vae"]
    return bool(found["step"] == found["steps"])


def check_whole(folder: Path) -> None:
    """Every file that stands under its own name can be read."""
    for path in folder.rglob("*.ckpt"):
        load_checkpoint(path)
    for path in folder.rglob("*.json"):
        json.loads(path.read_text())
    for path in folder.rglob("metrics.csv"):
        lines = path.read_text().splitlines(keepends=True)
        assert all(line.endswith("\n") for line in lines)
        assert len({line.count(",") for line in lines}) == 1


def result(folder: Path) -> dict[str, Any]:
    values = json.loads(only(folder, "result.json").read_text())
    return {key: value for key, value in values.items() if key not in TIME}


def only(folder: Path, name: str) -> Path:
    (path,) = folder.rglob(name)
    return path


def describe(moments: list[str], runs: int) -> str:
    counts = "".join(f"| {moment} | {moments.count(moment)} |\n" for moment in sorted(set(moments)))
    return (
        f"# Random kills survived: {len(moments)} of {len(moments)}\n\n"
        f"`kill -9`, {len(moments)} times in {runs} runs, each begun again until it was finished: a third at random "
        "moments, a third when a half-written file was seen after one, a third at random moments of the evaluation. "
        "After every kill all checkpoints, JSON files and `metrics.csv` were read and found whole. Every final "
        "`result.json` (less its times) and `metrics.csv` is that of an undisturbed run, bit for bit.\n\n"
        f"| the killed run was at | kills |\n|---|---|\n{counts}\n"
        f"lid_vae {__version__}, PyTorch {torch.__version__}, Python {platform.python_version()}, CPU, one thread.\n"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
