"""Time of ten seeds as one stack over ten seeds one by one, and Lightning's share of a stacked step, in one process.

    python benchmarks/seeds.py                                  # pinwheel at its default width
    python benchmarks/seeds.py --model gmvae --threads 1 --steps 10
    python benchmarks/seeds.py --report benchmarks/reports/2026-11-22-seeds.md

The candidates take turns, so that a busy machine slows them alike. Wall-clock seconds are the least of the steps,
processor seconds their median.
"""

import argparse
import os
import platform
import shlex
import statistics
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from lid_vae.build import build_data, build_module
from lid_vae.data.base import DataModule
from lid_vae.memory import keep_freed_memory
from lid_vae.module.vae_module import VAEModule
from lid_vae.quiet import quiet_lightning
from lid_vae.sweep.ensemble_module import EnsembleModule
from lid_vae.sweep.run_folder import CONF
from lid_vae.sweep.seed_callbacks import SeedCallbacks
from lid_vae.sweep.seed_data import SeedData
from lid_vae.sweep.seed_trainer import Member, SeedTrainer

Step = Callable[[int], None]


def modules(cfgs: list[DictConfig], data: DataModule) -> list[VAEModule]:
    shape = data.shape
    return [build_module(cfg, data, shape, data.label_count) for cfg in cfgs]


def one_by_one(cfgs: list[DictConfig], data: DataModule) -> Step:
    """A bare loop over the seeds, each with its own data, noise, clipping and optimiser."""
    made = modules(cfgs, data)
    optimizers = [module.make_optimizer(module.parameters()) for module in made]
    streams = [data.train_stream(module.seed) for module in made]

    def step(number: int) -> None:
        for module, optimizer, stream in zip(made, optimizers, streams, strict=True):
            x = stream.batch(number).x
            loss = -module(x, module.noise(number, 0, len(x))).mean()
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(module.parameters(), module.gradient_clip or float("inf"))
            optimizer.step()

    return step


class TakingTurns(pl.Callback):
    """After each step of the ensemble by Lightning, one of every other candidate, each timed by itself."""

    def __init__(self, make: dict[str, Callable[[], Step]]) -> None:
        self.make = make
        self.times: dict[str, list[tuple[float, float]]] = {name: [] for name in ("one stack, Lightning", *make)}
        self.mark: tuple[float, float] | None = None

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        if index == 0:
            self.candidates = {name: make() for name, make in self.make.items()}
        if self.mark is not None:
            self.times["one stack, Lightning"].append(since(self.mark))
        for name, step in self.candidates.items():
            start = now()
            step(index)
            if index > 1:
                self.times[name].append(since(start))
        self.mark = now()


def now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def since(start: tuple[float, float]) -> tuple[float, float]:
    return time.perf_counter() - start[0], time.process_time() - start[1]


def stacked(module: EnsembleModule, data: DataModule) -> Step:
    """A bare loop over the same stack: data, noise, bound, backward, clipping and optimisers, without a Trainer."""
    streams = SeedData(data, [member.module.seed for member in module.members]).streams()
    names = module.names["all"]
    optimizers = [member.trainer.steppers[0] for member in module.members]

    def step(number: int) -> None:
        x = streams.batch(number).x
        noise = torch.stack([member.module.noise(number, 0, x.shape[1]) for member in module.members])
        leaves = module.stack.parameters
        for leaf in leaves.values():
            leaf.grad = None
        (-module.stack.forward(x, noise).mean(-1)).sum().backward()
        module._clip([leaves[name].grad for name in names])
        for seed, optimizer in enumerate(optimizers):
            for parameter, name in zip(optimizer.param_groups[0]["params"], names, strict=True):
                gradient = leaves[name].grad
                parameter.grad = None if gradient is None else gradient[seed]
            optimizer.step()

    return step


def measure(cfgs: list[DictConfig], data: DataModule, steps: int) -> dict[str, tuple[float, float]]:
    """Wall-clock seconds (least) and processor seconds (median) for one step of each candidate."""
    members = [Member(made, SeedTrainer(made, data, [], [], Path()), None) for made in modules(cfgs, data)]
    module = EnsembleModule(members)
    turns = TakingTurns(
        {
            "one stack, bare loop": lambda: stacked(module, data),
            "one by one, bare loop": lambda: one_by_one(cfgs, data),
        }
    )
    quiet_lightning()
    trainer = pl.Trainer(
        accelerator="cpu",
        devices=1,
        max_steps=steps + 2,
        limit_val_batches=0,
        logger=False,
        callbacks=[SeedCallbacks(members), turns],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, datamodule=SeedData(data, [member.module.seed for member in members]))
    return {
        name: (min(w for w, _ in found), statistics.median(p for _, p in found)) for name, found in turns.times.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", nargs="+", default=["gmvae", "lidgmvae"])
    parser.add_argument("--data", default="pinwheel")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--report", type=Path, help="also write the table to this file")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    lines = [
        f"# Seeds together and one by one, {date.today()}",
        "",
        f"`{shlex.join(['python', *sys.argv])}`",
        "",
        f"torch {torch.__version__}, Python {platform.python_version()}, {platform.machine()}, {options.threads} of "
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}. {options.data}, {options.seeds} seeds, default width.",
        "",
        "| model | candidate | ms a step, wall (least) | ms a step, processor (median) | over one by one (processor) |",
        "|---|---|---:|---:|---:|",
    ]
    for model in options.model:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            cfgs = [
                compose("train", [f"model={model}", f"data={options.data}", f"seed={seed}", "choices=null"])
                for seed in range(options.seeds)
            ]
        data = build_data(cfgs[0])
        found = measure(cfgs, data, options.steps)
        base = found["one by one, bare loop"][1]
        lines += [
            f"| {model} | {name} | {1e3 * wall:.1f} | {1e3 * processor:.1f} | {processor / base:.2f} |"
            for name, (wall, processor) in found.items()
        ]
    text = "\n".join(lines) + "\n"
    print(text)
    if options.report:
        options.report.parent.mkdir(parents=True, exist_ok=True)
        options.report.write_text(text)


if __name__ == "__main__":
    main()
