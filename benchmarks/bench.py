"""What the benchmarks share: the repository on the path, candidates that take turns, dated reports.

Processor seconds are those of all threads together; on a GPU (``--device cuda``) wall-clock seconds up to the end of
the work stand in their place. Candidates take turns, so that a busy machine slows them alike, and the tables give
medians and ratios.
"""

import argparse
import os
import platform
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import pytorch_lightning as pl
import torch

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # a clone works without being installed

from lid_vae.train.step.captured import Captured  # noqa: E402
from lid_vae.train.training import Training  # noqa: E402

WARM, EPOCHS = 2, 100_000
"""Turns that are not counted, and more epochs than any benchmark takes."""
Step = Callable[[], object]
_device = torch.device("cpu")


class Seconds(NamedTuple):
    """Of one turn: wall clock, the least of all and the median; processor (on a GPU wall clock), the median."""

    wall: float
    processor: float
    median_wall: float


def options_of(description: str | None, **defaults: Any) -> argparse.ArgumentParser:
    """A parser with ``--threads``, ``--device``, ``--report`` and a whole number for each of ``defaults``."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="seeds, peers, step_cost, roofline")
    parser.add_argument("--report", type=Path, help="also write the report to this file")
    for name, default in defaults.items():
        parser.add_argument(f"--{name}", type=type(default), default=default)
    return parser


def begin(options: argparse.Namespace) -> torch.device:
    """Prepares the process for measurements on a device, as a run does."""
    global _device
    from lid_vae.system.lightning_defaults import prepare_lightning
    from lid_vae.system.machine_habits import keep_freed_memory

    torch.set_num_threads(options.threads)
    keep_freed_memory()
    torch.set_flush_denormal(True)
    prepare_lightning()
    _device = torch.device(options.device)
    return _device


def take_turns(candidates: Mapping[str, Step], rounds: int, warm: int = 2) -> dict[str, Seconds]:
    """Times of each candidate over ``rounds`` rounds after ``warm`` more."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in candidates}
    for number in range(warm + rounds):
        for name, step in candidates.items():
            start = now()
            step()
            if number >= warm:
                times[name].append(since(start))
    return summary(times)


class TakingTurns(pl.Callback):
    """After every ``length`` steps that Lightning takes, one turn of each other candidate, each timed by itself.

    ``make`` builds the others at the first step, when Lightning has put the modules in place. The first turns of each
    are not counted. On a GPU a batch of Lightning's may be many steps, and a turn longer: its time is that of
    ``length`` steps. After ``turns`` training ends. ``longest`` is the most steps that were one batch, and ``captured``
    says of these whether they were replayed.
    """

    def __init__(self, lead: str, make: Callable[[], Mapping[str, Step]], length: int = 1) -> None:
        self.lead, self.make, self.length = lead, make, length
        self.times: dict[str, list[tuple[float, float]]] = {lead: []}
        self.mark: tuple[float, float] | None = None
        self.turn, self.turns, self.step, self.taken, self.longest = 0, 0, 0, 0, 0
        self.captured: Captured | None = None

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        if self.step == 0:
            self.others = self.make()
        step = pl_module.step if isinstance(pl_module, Training) else self.step + 1
        self.longest = max(self.longest, step - self.step)
        self.taken += step - self.step
        self.step = step
        if self.taken < self.length:
            return
        self.turn += 1
        counted = self.turn > WARM
        if counted and self.mark is not None:
            wall, processor = since(self.mark)
            share = self.length / self.taken
            self.times[self.lead].append((wall * share, processor * share))
        for name, other in self.others.items():
            start = now()
            other()
            if counted:
                self.times.setdefault(name, []).append(since(start))
        self.taken = 0
        self.mark = now()
        trainer.should_stop = self.turn >= self.turns

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.captured = pl_module._captured if isinstance(pl_module, Training) else None


def by_lightning(
    module: pl.LightningModule, data: pl.LightningDataModule, steps: int, turns: TakingTurns, *callbacks: pl.Callback
) -> dict[str, Seconds]:
    """``steps`` timed turns of ``module`` under a Trainer with nothing else to do, the others of ``turns`` between."""
    turns.turns = steps + WARM
    trainer = pl.Trainer(
        accelerator=_device.type,
        devices=1,
        max_epochs=EPOCHS,
        limit_val_batches=0,
        logger=False,
        callbacks=[*callbacks, turns],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, datamodule=data)
    return summary(turns.times)


def summary(times: Mapping[str, Sequence[tuple[float, float]]]) -> dict[str, Seconds]:
    return {
        name: Seconds(
            min(w for w, _ in found), statistics.median(p for _, p in found), statistics.median(w for w, _ in found)
        )
        for name, found in times.items()
    }


def now() -> tuple[float, float]:
    if _device.type == "cpu":
        return time.perf_counter(), time.process_time()
    torch.cuda.synchronize()
    return (time.perf_counter(),) * 2


def since(start: tuple[float, float]) -> tuple[float, float]:
    wall, processor = now()
    return wall - start[0], processor - start[1]


def process_seconds(arguments: Sequence[str], threads: int | None = None) -> tuple[float, float]:
    """Wall-clock and processor seconds of a program of its own, from its start to its end, its children included.

    Raises ``CalledProcessError``, after its last words, if it fails.
    """
    environment = os.environ if threads is None else {**os.environ, "OMP_NUM_THREADS": str(threads)}
    before, start = os.times(), time.perf_counter()
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True)
    wall, after = time.perf_counter() - start, os.times()
    if done.returncode:
        print(done.stdout[-2000:], done.stderr[-2000:], file=sys.stderr)
        done.check_returncode()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return wall, used


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Markdown; the first column is text, numbers stand right."""
    rule = ["---", *["---:"] * (len(header) - 1)]
    return [f"| {' | '.join(map(str, row))} |" for row in (header, rule, *rows)]


def publish(title: str, options: argparse.Namespace, lines: Sequence[str]) -> None:
    """Prints a report, with the command and the machine, and writes it where ``--report`` says."""
    text = "\n".join(
        [
            f"# {title}, {date.today()}",
            "",
            f"`{shlex.join(['python', *sys.argv])}`",
            "",
            f"torch {torch.__version__}, Python {platform.python_version()}, {_machine()}, "
            f"{options.threads} of {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the end.",
            "",
            *lines,
            "",
        ]
    )
    print(text)
    if options.report:
        options.report.parent.mkdir(parents=True, exist_ok=True)
        options.report.write_text(text)


def _machine() -> str:
    cpu = f"{platform.machine()} CPU"
    return cpu if _device.type == "cpu" else f"{torch.cuda.get_device_name(_device)}, {cpu}"
