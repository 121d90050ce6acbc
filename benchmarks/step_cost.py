"""Cost of one optimisation step of LIDGMVAE over that of gmvae, equal widths and hidden layers, in one process.

    python benchmarks/step_cost.py                   # MNIST's shape: 64 -> 784, width 512, 8 hidden layers, batch 128
    python benchmarks/step_cost.py --rounds 5        # a quick look

Steps of all models are interleaved, so that a busy machine slows them alike; the table gives medians and their ratio to
gmvae's. ``autograd`` is the same Brenier map with its gradient taken by autograd.grad(create_graph=True).
"""

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import torch
from torch import nn

from lid_vae.likelihood import BernoulliLikelihood
from lid_vae.map import ComposedMap, Map, classical_mlp, composed_brenier, composed_gradient_network
from lid_vae.map.monotone import MonotoneMap
from lid_vae.noise import generator
from lid_vae.objective import ELBO
from lid_vae.posterior import AmortizedPosterior, MLPEncoder, RealNVP
from lid_vae.prior import GaussianMixture
from lid_vae.vae import VAE

FEATURES, LATENT, CATEGORIES = 784, 64, 10


class AutogradMap(Map):
    """A composed map whose maps differentiate their potentials by autograd, as the public implementations do."""

    def __init__(self, map_: ComposedMap) -> None:
        super().__init__()
        self.map = map_
        self.in_features, self.out_features = map_.in_features, map_.out_features
        self.hidden_layers = map_.hidden_layers

    def forward(self, u: torch.Tensor) -> torch.Tensor:
        for map_, lift in self.map.stages():
            u = self._gradient(map_, u if lift is None else u @ lift.mT)
        return u

    def initialise_bias(self, bias: torch.Tensor) -> None:
        self.map.initialise_bias(bias)

    def align(self, data: torch.Tensor) -> None:
        self.map.align(data)

    @staticmethod
    def _gradient(map_: MonotoneMap, u: torch.Tensor) -> torch.Tensor:
        u = u if u.requires_grad else u.requires_grad_()
        return torch.autograd.grad(map_.potential(u).sum(), u, create_graph=True)[0]


def build(make_map: Callable[[], Map], width: int, mixture: str) -> VAE:
    torch.manual_seed(0)
    categories = CATEGORIES if mixture == "enumerate" else None
    posterior = AmortizedPosterior(MLPEncoder((FEATURES,), width), LATENT, [RealNVP(LATENT, width)], categories)
    return VAE(GaussianMixture(CATEGORIES, LATENT), BernoulliLikelihood(make_map()), posterior)


def make_step(vae: VAE, batch: int) -> Callable[[], None]:
    optimizer = torch.optim.Adam(vae.parameters(), 1e-3, fused=True)
    objective = ELBO()
    rng = generator("benchmark")
    x = torch.bernoulli(torch.full((batch, FEATURES), 0.2), generator=rng)
    noise = vae.posterior.draw_noise(1, batch, rng)

    def step() -> None:
        q = vae.posterior.distribution(vae.posterior.encode(x))
        loss = -objective(vae, x, q, noise).mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(vae.parameters(), 20.0)
        optimizer.step()

    return step


def measure(steps: dict[str, Callable[[], None]], rounds: int) -> dict[str, float]:
    """Median seconds of each, the candidates taking turns."""
    for step in steps.values():
        for _ in range(3):
            step()
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--hidden-layers", type=int, default=4, help="of each of the two maps")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--report", type=Path, help="also write the table to this file")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    size = {"width": options.width, "hidden_layers": options.hidden_layers, "depth": 2}
    maps: dict[str, Callable[[], Map]] = {
        "gmvae (MLP)": lambda: classical_mlp(LATENT, FEATURES, **size),
        "lidgmvae (Brenier, closed form)": lambda: composed_brenier(LATENT, FEATURES, skips="none", **size),
        "lidgmvae (gradient network)": lambda: composed_gradient_network(LATENT, FEATURES, **size),
        "lidgmvae (Brenier, autograd)": lambda: AutogradMap(composed_brenier(LATENT, FEATURES, skips="none", **size)),
    }
    lines = [
        f"# Step cost, {date.today()}",
        "",
        f"`python benchmarks/step_cost.py --width {options.width} --hidden-layers {options.hidden_layers} "
        f"--batch {options.batch} --rounds {options.rounds} --threads {options.threads}`",
        "",
        f"torch {torch.__version__}, Python {platform.python_version()}, {platform.machine()} CPU, "
        f"{options.threads} threads. {LATENT} latents, {FEATURES} features, {CATEGORIES} categories, RealNVP.",
        "",
        "| posterior | model | ms a step (median) | over gmvae |",
        "|---|---|---:|---:|",
    ]
    for mixture in ("conditional", "enumerate"):
        steps = {name: make_step(build(make, options.width, mixture), options.batch) for name, make in maps.items()}
        medians = measure(steps, options.rounds)
        base = medians["gmvae (MLP)"]
        lines += [f"| {mixture} | {name} | {1e3 * t:.1f} | {t / base:.2f} |" for name, t in medians.items()]
    text = "\n".join(lines) + "\n"
    print(text)
    if options.report:
        options.report.parent.mkdir(parents=True, exist_ok=True)
        options.report.write_text(text)


if __name__ == "__main__":
    main()
