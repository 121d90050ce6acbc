"""How many random ``kill -9`` a run survives: ``python benchmarks/kills.py kills=30 output=docs/results``.

One run is killed again and again, over its training, its checkpoints and its evaluation, and begun again each time;
then its result is held against that of an undisturbed run.
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
    "samples=20", "trainer.check_val_every_n_epoch=1", "trainer.log_every_n_steps=1", "logger=default",
)  # fmt: skip
TIME = ("seconds", "seconds_per_step", "command")


def main(words: list[str]) -> None:
    options = {"kills": "30", "epochs": "60", "seed": "0", "output": ""} | dict(word.split("=", 1) for word in words)
    kills, rng = int(options["kills"]), random.Random(int(options["seed"]))
    with tempfile.TemporaryDirectory() as name:
        report = compare(Path(name), kills, int(options["epochs"]), rng)
    print(report)
    if options["output"]:
        path = Path(options["output"]) / f"{date.today()}-kills.md"
        write_atomic(path, f"{report}\nCommand: `python benchmarks/kills.py {' '.join(words)}`\n")
        print(path)


def compare(folder: Path, kills: int, epochs: int, rng: random.Random) -> str:
    """A run killed ``kills`` times beside one left alone, as Markdown. Raises ``AssertionError`` if they differ."""
    reference = folder / "undisturbed"
    assert start(reference, epochs).wait() == 0
    disturbed = folder / "disturbed"
    moments = []
    while len(moments) < kills:
        moment = kill(disturbed, epochs, rng)
        if moment is None:  # it was faster: back to its middle, so that there is something to kill
            set_back(disturbed)
        else:
            moments.append(moment)
        check_whole(disturbed)
    assert start(disturbed, epochs).wait() == 0
    ours, theirs = result(disturbed), result(reference)
    assert ours == theirs, {key for key in theirs if ours.get(key) != theirs[key]}
    rows = [only(path, "metrics.csv").read_text() for path in (disturbed, reference)]
    assert rows[0] == rows[1]
    return describe(moments)


def start(folder: Path, epochs: int) -> "subprocess.Popen[bytes]":
    command = [sys.executable, str(ROOT / "train.py"), *RUN, f"trainer.max_epochs={epochs}", f"paths.runs={folder}"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def kill(folder: Path, epochs: int, rng: random.Random) -> str | None:
    """Kills a run a while after it has begun its work; what it was at. None where it had ended before."""
    process = start(folder, epochs)
    while process.poll() is None and not list(folder.rglob("*.lock")):
        time.sleep(0.005)
    deadline = time.monotonic() + rng.uniform(0.0, 6.0)
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    process.kill()
    if process.wait() != -signal.SIGKILL:
        return None
    if list(folder.rglob("*.tmp")):
        return "writing a file"
    last = list(folder.rglob("last.ckpt"))
    if not last:
        return "before the first checkpoint"
    checkpoint = load_checkpoint(last[0])["lid_vae"]
    return "evaluation" if checkpoint["step"] == checkpoint["steps"] else "training"


def set_back(folder: Path) -> None:
    """A finished run as it was before its evaluation."""
    only(folder, "result.json").unlink()


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


def describe(moments: list[str]) -> str:
    counts = "".join(f"| {moment} | {moments.count(moment)} |\n" for moment in sorted(set(moments)))
    return (
        f"# Random kills survived: {len(moments)} of {len(moments)}\n\n"
        "`kill -9` at random moments of one run, begun again each time. After every kill all checkpoints, JSON files "
        "and `metrics.csv` were read and found whole. The final `result.json` (less its times) and `metrics.csv` are "
        "those of an undisturbed run, bit for bit.\n\n"
        f"| the killed run was at | kills |\n|---|---|\n{counts}\n"
        f"lid_vae {__version__}, PyTorch {torch.__version__}, Python {platform.python_version()}, CPU, one thread.\n"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
