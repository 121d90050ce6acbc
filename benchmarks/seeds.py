"""Time of ten seeds as one stack over ten seeds one by one, and Lightning's share of a stacked step, in one process.

python benchmarks/seeds.py                                  # pinwheel at its default width
python benchmarks/seeds.py --models gmvae --threads 1 --steps 10
python benchmarks/seeds.py --data mnist --device cuda       # medians of wall-clock time in place of processor time
"""

from pathlib import Path

import pytorch_lightning as pl
import torch
from bench import Seconds, Step, TakingTurns, begin, by_lightning, options_of, publish, table
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from lid_vae.data.array_data_module import ArrayDataModule
from lid_vae.run.build import build_data, build_module
from lid_vae.run.store import CONF
from lid_vae.sweep.ensemble_module import EnsembleModule
from lid_vae.sweep.seed_callbacks import SeedCallbacks
from lid_vae.sweep.seed_trainer import Member, SeedTrainer
from lid_vae.train.seed_data import SeedData
from lid_vae.train.vae_module import VAEModule

CPU = torch.device("cpu")


def configurations(options: list[str], seeds: int) -> list[DictConfig]:
    """The configurations of seeds 0, 1, ..."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return [compose("train", [*options, f"seed={seed}", "choices=null"]) for seed in range(seeds)]


def modules(cfgs: list[DictConfig], data: ArrayDataModule, device: torch.device = CPU) -> list[VAEModule]:
    """On ``device``, and the data with them: they begin from the data's directions, on the CPU."""
    data.to_device(CPU)
    shape = list(data.image_shape or (data.features,))
    made = [build_module(*recipe(cfg), data, shape, data.label_count).to(device) for cfg in cfgs]
    data.to_device(device)
    return made


def one_by_one(cfgs: list[DictConfig], data: ArrayDataModule, device: torch.device) -> Step:
    """A bare loop over the seeds, each with its own data, noise, clipping and optimiser."""
    made = modules(cfgs, data, device)
    optimizers = [module.make_optimizer(module.parameters()) for module in made]
    streams = [data.train_stream(module.seed) for module in made]

    def step() -> None:
        for module, optimizer, stream in zip(made, optimizers, streams, strict=True):
            x = stream.batch(module.step).x
            loss = -module(x, module.noise(module.step, 0, len(x))).mean()
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(module.parameters(), module.gradient_clip or float("inf"))
            optimizer.step()
            module.step += 1

    return step


def stacked(cfgs: list[DictConfig], data: ArrayDataModule, device: torch.device = CPU) -> Step:
    """A bare loop over the same stack: data, noise, bound, backward, clipping and optimisers, without a Trainer."""
    module = ensemble(cfgs, data, device).to(device)
    module.trainer = pl.Trainer(
        accelerator=device.type, logger=False, enable_progress_bar=False, enable_model_summary=False
    )
    (optimizer,) = module.configure_optimizers()
    streams = SeedData(data, [member.module.seed for member in module.members]).streams()
    leaves = module.stack.parameters

    def step() -> None:
        x = streams.batch(module.step).x
        noise = module._noise(module.step, 0, x.shape[1])
        for leaf in leaves.values():
            leaf.grad = None
        (-module.stack.forward(x, noise).mean(-1)).sum().backward()
        module._clip([leaves[name].grad for name in module.names["all"]])
        optimizer.step()
        module.step += 1

    return step


def ensemble(cfgs: list[DictConfig], data: ArrayDataModule, device: torch.device = CPU) -> EnsembleModule:
    made = modules(cfgs, data, device)
    return EnsembleModule([Member(module, SeedTrainer(module, data, [], [], Path()), None) for module in made])


def measure(cfgs: list[DictConfig], data: ArrayDataModule, steps: int, device: torch.device) -> dict[str, Seconds]:
    """One step of each candidate."""
    module = ensemble(cfgs, data, device)
    turns = TakingTurns(
        "one stack, Lightning",
        lambda: {
            "one stack, bare loop": stacked(cfgs, data, device),
            "one by one, bare loop": one_by_one(cfgs, data, device),
            "one seed, bare loop": one_by_one(cfgs[:1], data, device),
        },
    )
    seeds = SeedData(data, [member.module.seed for member in module.members])
    return by_lightning(module, seeds, steps, turns, SeedCallbacks(module.members))


def main() -> None:
    parser = options_of(__doc__, data="pinwheel", seeds=10, steps=40)
    parser.add_argument("--models", nargs="+", default=["gmvae", "lidgmvae"])
    options = parser.parse_args()
    device = begin(options)
    rows = []
    for model in options.models:
        cfgs = configurations([f"model={model}", f"data={options.data}"], options.seeds)
        found = measure(cfgs, build_data(cfgs[0].data), options.steps, device)
        single, bare = found["one by one, bare loop"].processor, found["one stack, bare loop"].processor
        for name, seconds in found.items():
            over = f"{seconds.processor / bare - 1:+.1%}" if name == "one stack, Lightning" else ""
            times = [f"{1e3 * seconds.wall:.1f}", f"{1e3 * seconds.processor:.1f}"]
            rows.append([model, name, *times, f"{seconds.processor / single:.2f}", over])
    header = ["model", "candidate", "ms a step, wall (least)", "ms a step, processor (median)", "over one by one"]
    lines = table([*header, "Lightning's share"], rows)
    publish(
        "Seeds together and one by one", options, [f"{options.data}, {options.seeds} seeds, default width.", "", *lines]
    )


if __name__ == "__main__":
    main()
