"""How many ``kill -9`` runs survive, of one seed or of three that train together.

    python benchmarks/kills.py --kills 30
    python benchmarks/kills.py --kills 30 --stacks

A run is killed over its training, its checkpoints and its evaluation, and begun again each time by the same command;
then its results are held against those of an undisturbed one, bit for bit. A stack that is killed between the
checkpoints of two seeds has seeds at different steps: these train on apart from one another, in groups of other sizes,
which round otherwise. They are counted by themselves, and may differ by ``MARGIN`` times what the same seeds, each
trained alone from the beginning, differ from the stack.
"""

import csv
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any

from bench import ROOT, options_of, publish, table

from lid_vae.system.checkpoint import load_checkpoint

RUN = (
    "model=gmvae", "data.per_class=60", "data.valid_size=50", "data.test_size=60", "data.batch_size=64", "width=8",
    "samples=100", "trainer.log_every_n_steps=1", "logger=default",
)  # fmt: skip
# What a result says of its making: how long it took, what was called, and how many were left to train then.
MAKING = ("seconds", "seconds_per_step", "command", "seeds_together")
STACK = 3
# Rounding grows by the same chance whatever the groups: ten times leaves room, and no wrong batch comes near.
MARGIN = 10


@dataclass
class Runs:
    """Commands that train the ``seeds`` for some ``epochs`` each, and how they are killed."""

    seeds: int
    epochs: int
    threads: int
    rng: random.Random

    def start(self, folder: Path, *more: str) -> "subprocess.Popen[bytes]":
        command = [sys.executable, str(ROOT / "train.py"), *RUN, f"trainer.max_epochs={self.epochs}", *more]
        # With a validation after every four steps, kills fell between the checkpoints of all stacks, and none was left.
        command += [f"trainer.check_val_every_n_epoch={1 if self.seeds == 1 else 4}"]
        command += [f"paths.runs={folder}", *(["-m", f"seed=0-{self.seeds - 1}"] if self.seeds > 1 else [])]
        environment = {**os.environ, "OMP_NUM_THREADS": str(self.threads)}
        return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def finish(self, folder: Path, *more: str) -> None:
        assert self.start(folder, *more).wait() == 0, f"the command has failed in {folder}"

    def aims(self, number: int) -> tuple[str, ...]:
        """Of run ``number``: every second stack is killed between two checkpoints, and the others stay together."""
        return ("any", "between" if self.seeds > 1 and number % 2 else "writing", "evaluation")

    def kill(self, folder: Path, aim: str) -> str | None:
        """Kills a run that has begun its work; what it was at. None where it had ended before.

        ``aim``: at a random moment; after one, in the midst of ``writing``, when a half-written file is seen, or
        ``between`` the checkpoints of two seeds; or at a random moment of the evaluation. A miss counts as what it hit.
        """
        left_before = half_written(folder)
        process = self.start(folder)

        def until(seen: Callable[[], Any]) -> None:
            while process.poll() is None and not seen():
                time.sleep(0.0005)

        until(lambda: list(folder.rglob("*.lock")))
        if aim == "evaluation":
            until(lambda: self.trained(folder))
        longest = self.seeds if aim == "evaluation" else 5 if self.seeds == 1 else 10
        moment = time.monotonic() + self.rng.uniform(0.0, longest)
        until(lambda: time.monotonic() > moment)
        if aim == "writing":
            until(lambda: half_written(folder) - left_before)
        if aim == "between":
            before = last_written(folder)
            until(lambda: last_written(folder) != before)
        process.kill()
        if process.wait() != -signal.SIGKILL:
            return None
        if half_written(folder) - left_before:
            return "writing a file"
        if self.apart(folder):
            return "training, between the checkpoints of two seeds"
        if self.trained(folder):
            return "evaluation"
        return "training" if last_written(folder) else "before the first checkpoint"

    def steps(self, folder: Path) -> dict[str, tuple[int, int]]:
        """Of each seed with a checkpoint, the step that it stands at, and of how many."""
        found = {path.parents[1].name: load_checkpoint(path)["lid_vae"] for path in folder.rglob("last.ckpt")}
        return {seed: (says["step"], says["steps"]) for seed, says in found.items()}

    def trained(self, folder: Path) -> bool:
        """Whether every last checkpoint is that of the last step."""
        found = self.steps(folder)
        return len(found) == self.seeds and all(step == steps for step, steps in found.values())

    def apart(self, folder: Path) -> set[str]:
        """The seeds that will train on in other groups than undisturbed ones: not all stand at the same step."""
        found = {f"seed-{seed}": (0, 1) for seed in range(self.seeds)} | self.steps(folder)
        alike = len({step for step, _ in found.values()}) == 1
        return set() if alike else {seed for seed, (step, steps) in found.items() if step < steps}


@dataclass
class Tally:
    """What the kills hit, and how the seeds came out of them: the differences of those that trained apart."""

    moments: list[str] = field(default_factory=list)
    runs: int = 0
    equal: int = 0
    apart: list[float] = field(default_factory=list)
    rounding: float = 0.0


def compare(folder: Path, kills: int, epochs: int, rng: random.Random, seeds: int = 1, threads: int = 1) -> Tally:
    """Runs killed ``kills`` times in all beside one left alone. Raises ``AssertionError`` if they differ.

    Each run is killed once for each of its aims and then finished and compared, unless it comes to its end before.
    """
    runs, tally = Runs(seeds, epochs, threads, rng), Tally()
    reference = folder / "undisturbed"
    runs.finish(reference)
    if seeds > 1:
        runs.finish(folder / "alone", "ensemble.size=1")
        tally.rounding = max(difference(folder / "alone", reference, f"seed-{seed}") for seed in range(seeds))
    while len(tally.moments) < kills:
        disturbed = folder / f"disturbed-{tally.runs}"
        apart: set[str] = set()
        for aim in runs.aims(tally.runs)[: kills - len(tally.moments)]:
            moment = runs.kill(disturbed, aim)
            check_whole(disturbed)
            if moment is None:
                break
            tally.moments.append(moment)
            apart |= runs.apart(disturbed)
        runs.finish(disturbed)
        for seed in (f"seed-{number}" for number in range(seeds)):
            found = difference(disturbed, reference, seed)
            allowed = MARGIN * tally.rounding if seed in apart else 0.0
            assert found <= allowed, f"{disturbed}, {seed}: {found:.1e}, allowed {allowed:.1e}; {tally.moments[-3:]}"
            if seed in apart:
                tally.apart.append(found)
            else:
                tally.equal += 1
        tally.runs += 1
    return tally


def difference(ours: Path, theirs: Path, seed: str) -> float:
    """The largest of any number in the result and the metrics of a seed, absolute below one and relative above.

    Raises ``AssertionError`` where what is no real number differs, or one has what the other has not.
    """
    found, wanted = (dict(outcome(folder, seed)) for folder in (ours, theirs))
    assert found.keys() == wanted.keys(), found.keys() ^ wanted.keys()
    largest = 0.0
    for name, value in wanted.items():
        if value == found[name]:
            continue
        if isinstance(value, float) and isinstance(found[name], float) and isfinite(value) and isfinite(found[name]):
            largest = max(largest, abs(found[name] - value) / max(1.0, abs(value)))
        else:
            raise AssertionError(f"{ours}, {seed}: {name} is {found[name]}, not {value}")
    return largest


def outcome(folder: Path, seed: str) -> Iterator[tuple[str, Any]]:
    """Every value of ``result.json``, less its ``MAKING``, and of ``metrics.csv``, by a name."""
    result = json.loads(only(folder, f"{seed}/result.json").read_text())
    yield from flat("result", {key: value for key, value in result.items() if key not in MAKING})
    with only(folder, f"{seed}/metrics.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            yield from ((f"{row['step']} {key}", float(value) if value else None) for key, value in row.items())


def flat(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """What is nested in ``value``, by the way there."""
    if not isinstance(value, dict | list):
        yield name, value
        return
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
        yield from flat(f"{name}.{key}", inner)


def half_written(folder: Path) -> set[Path]:
    return set(folder.rglob("*.tmp"))


def last_written(folder: Path) -> dict[Path, int]:
    """When each last checkpoint was written."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("last.ckpt")}


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


def only(folder: Path, name: str) -> Path:
    (path,) = folder.rglob(name)
    return path


def describe(tally: Tally, seeds: int) -> list[str]:
    kills, moments = len(tally.moments), tally.moments
    where = "in the midst of writing a file"
    if seeds > 1:
        where += " or, in every second run, between the checkpoints of two seeds"
    lines = [
        f"{'Stacks of ' + str(seeds) + ' seeds' if seeds > 1 else 'Runs of one seed'}, survived: {kills} of {kills}.",
        "",
        f"`kill -9`, {kills} times in {tally.runs} runs, each begun again until it was finished. Aimed, in turn until "
        f"the run had come to its end, at a random moment, {where}, and at a random moment of the evaluation. After "
        "every kill all checkpoints, JSON files and `metrics.csv` were read and found whole. `result.json` (less "
        f"{', '.join(MAKING)}) and `metrics.csv` of every seed were held against those of an undisturbed run.",
        "",
        *table(["the killed run was at", "kills"], [[name, moments.count(name)] for name in sorted(set(moments))]),
        "",
    ]
    rows = [["as in the undisturbed run", tally.equal, "0 (bit for bit)"]]
    if seeds > 1:
        rows.append(["apart, from different steps", len(tally.apart), f"{max(tally.apart, default=0.0):.1e}"])
    lines += table(["the seeds trained", "seeds", "largest difference"], rows)
    if seeds > 1:
        lines += [
            "",
            f"Each seed trained alone from the beginning differs from the stack by up to {tally.rounding:.1e}; allowed "
            f"was {MARGIN} times as much. Differences are absolute below one, relative above.",
        ]
    return lines


def main() -> None:
    parser = options_of(__doc__, kills=30, epochs=40, seed=0)
    parser.add_argument("--stacks", action="store_true", help=f"kill runs of {STACK} seeds that train together")
    parser.add_argument("--folder", type=Path, help="leave all runs here, to be looked at")
    options = parser.parse_args()
    seeds = STACK if options.stacks else 1
    with nullcontext(options.folder) if options.folder else tempfile.TemporaryDirectory() as name:
        rng = random.Random(options.seed)
        tally = compare(Path(name), options.kills, options.epochs, rng, seeds, options.threads)
    publish("Random kills", options, describe(tally, seeds))


if __name__ == "__main__":
    main()
