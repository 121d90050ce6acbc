"""Time of ten seeds as one stack over ten seeds one by one, and Lightning's share of a stacked step, in one process.

python benchmarks/seeds.py                                  # pinwheel at its default width
python benchmarks/seeds.py --models gmvae --threads 1 --steps 10
python benchmarks/seeds.py --data mnist --device cuda       # medians of wall-clock time in place of processor time
"""

from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

import torch
from bench import Seconds, Step, TakingTurns, begin, by_lightning, options_of, publish, table
from hydra.types import RunMode
from omegaconf import OmegaConf

from lid_vae.data.base import DataModule
from lid_vae.inference.base import Update
from lid_vae.run.build import build_data, build_module
from lid_vae.run.plan import Parts
from lid_vae.run.store import own_presets, without_hydra
from lid_vae.shapes import Tensor
from lid_vae.train.ensemble import Ensemble, MemberData
from lid_vae.train.member import Member
from lid_vae.train.step.stack import Stack
from lid_vae.train.step.take_step import take_step
from lid_vae.train.step.together import Alone, Together
from lid_vae.train.vae_module import VAEModule

CPU = torch.device("cpu")
Config = Mapping[str, Any]


def configurations(options: Sequence[str], seeds: int) -> list[Config]:
    """The resolved configurations of seeds 0, 1, ..., as plain values."""
    loader = own_presets().loader
    composed = [loader.load_configuration("train", [*options, f"seed={seed}"], RunMode.RUN) for seed in range(seeds)]
    return [OmegaConf.to_container(without_hydra(cfg), resolve=True) for cfg in composed]  # type: ignore[misc]


def modules(configs: Sequence[Config], data: DataModule, device: torch.device = CPU) -> list[VAEModule]:
    """On ``device``, and the data with them: they begin from the data's directions, on the CPU."""
    data.to_device(CPU)
    made = [build_module(Parts.of(c), c["seed"], data, data.shape, data.label_count).to(device) for c in configs]
    data.to_device(device)
    return made


def together(made: Sequence[VAEModule]) -> Together:
    """Modules as a training holds them: one alone, several stacked."""
    return Alone(made[0]) if len(made) == 1 else Stack(made)


def bare(configs: Sequence[Config], data: DataModule, device: torch.device = CPU) -> Step:
    """A loop over the steps of one training: data, noise, bound, backward, clipping, optimiser, without a Trainer."""
    made = together(modules(configs, data, device))
    (optimizer,) = made.optimizers([None] * len(configs))
    stream = MemberData(data, [config["seed"] for config in configs]).stream()
    numbers = count()

    def minimise(loss: Tensor, update: Update) -> None:
        made.differentiate(loss, update.group, torch.autograd.backward)
        optimizer.step()

    def step() -> None:
        number = next(numbers)

        def batch(draw: int) -> tuple[Tensor, Tensor]:
            found = stream.batch(number, draw)
            return found.x, made.noise(number, draw, found.index.shape[-1])

        take_step(made.inference.updates(), made.forward, minimise, *batch(0), batch)

    return step


def one_by_one(configs: Sequence[Config], data: DataModule, device: torch.device = CPU) -> Step:
    """The loops of these seeds, each a training of its own, in turn."""
    steps = [bare([config], data, device) for config in configs]

    def step() -> None:
        for each in steps:
            each()

    return step


def ensemble(configs: Sequence[Config], data: DataModule, device: torch.device = CPU) -> tuple[Ensemble, MemberData]:
    """The training that Lightning drives, and its data."""
    members = [Member(module) for module in modules(configs, data, device)]
    return Ensemble(members, data), MemberData(data, [config["seed"] for config in configs])


def measure(configs: Sequence[Config], data: DataModule, steps: int, device: torch.device) -> dict[str, Seconds]:
    """One step of each candidate."""
    turns = TakingTurns(
        "one stack, Lightning",
        lambda: {
            "one stack, bare loop": bare(configs, data, device),
            "one by one, bare loop": one_by_one(configs, data, device),
            "one seed, bare loop": bare(configs[:1], data, device),
        },
    )
    return by_lightning(*ensemble(configs, data, device), steps, turns)


def main() -> None:
    parser = options_of(__doc__, data="pinwheel", seeds=10, steps=40)
    parser.add_argument("--models", nargs="+", default=["gmvae", "lidgmvae"])
    options = parser.parse_args()
    device = begin(options)
    rows = []
    for model in options.models:
        configs = configurations([f"model={model}", f"data={options.data}"], options.seeds)
        found = measure(configs, build_data(configs[0]["data"]), options.steps, device)
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
