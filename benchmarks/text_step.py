"""Tokens per second of a step on sequences: LIDSVAE over svae at equal sizes, anchored maps too, and peak memory.

    python benchmarks/text_step.py                        # width 256, V = 10,000 and 20,000, 32 sentences of 22 symbols
    python benchmarks/text_step.py --width 128 --rounds 10
    python benchmarks/text_step.py --memory 1             # instead, peak memory of a process against V and T

Models take turns, so that a busy machine slows them alike; the table gives medians and their ratio to svae's.
"""

import argparse
import resource
import subprocess
import sys
from functools import partial

import torch
from bench import Step, begin, options_of, publish, table, take_turns

from lid_vae.likelihood import autoregressive_likelihood
from lid_vae.map import LinearMap, SkipMLP, anchored, composed_brenier, composed_gradient_network, counterpart_mlp
from lid_vae.map.base import MakeMap
from lid_vae.objective import ELBO
from lid_vae.posterior import AmortizedPosterior, LSTMEncoder
from lid_vae.prior import StandardNormalPrior
from lid_vae.vae import Autoencoder

LATENT = 32
NETWORKS = {
    "svae": partial(counterpart_mlp, hidden_layers=1, depth=2),
    "svae, map=skip_mlp": partial(SkipMLP, hidden_layers=1),
    "linear_svae": LinearMap,
}
MAPS = {
    **NETWORKS,
    "lidsvae, lift=spread": partial(composed_brenier, hidden_layers=1, depth=2, lift="spread", skips="none"),
    "lidsvae, lift=pad": partial(composed_brenier, hidden_layers=1, depth=2, lift="pad", skips="none"),
    "lidsvae, gradient network": partial(composed_gradient_network, hidden_layers=1, depth=2, lift="spread"),
}
ANCHORED = {f"lidsvae, anchored {name}": name for name in NETWORKS}
# An anchored map's turn comes after its network's: what is compared is near in time.
ORDER = [
    *(name for pair in ANCHORED.items() for name in reversed(pair)),
    *(name for name in MAPS if name not in NETWORKS),
]
MEASURED = ("svae", "lidsvae, lift=spread")


def map_of(name: str, width: int) -> MakeMap:
    if name in ANCHORED:
        return partial(anchored, network=map_of(ANCHORED[name], width), anchor=LATENT, lift="spread")
    return MAPS[name] if name == "linear_svae" else partial(MAPS[name], width=width)


def build(name: str, symbols: int, width: int) -> Autoencoder:
    torch.manual_seed(0)
    make_map = map_of(name, width)
    likelihood = autoregressive_likelihood(make_map, LATENT, symbols, embedding=width, hidden=width)
    encoder = LSTMEncoder((symbols,), width, width)
    return Autoencoder(StandardNormalPrior(LATENT), likelihood, AmortizedPosterior(encoder, LATENT))


def step_of(vae: Autoencoder, symbols: int, batch: int, length: int) -> Step:
    optimizer, objective = torch.optim.Adam(vae.parameters(), fused=True), ELBO()
    x = torch.randint(1, symbols, (batch, length), generator=torch.Generator().manual_seed(0))
    noise = torch.randn(1, 1, batch, LATENT, generator=torch.Generator().manual_seed(1))

    def step() -> None:
        q = vae.posterior.distribution(vae.posterior.encode(x))
        optimizer.zero_grad()
        (-objective(vae, x, q, noise).mean()).backward()
        optimizer.step()

    return step


def speed(options: argparse.Namespace) -> list[str]:
    rows = []
    for symbols in options.vocabularies or (10_000, 20_000):
        steps = {
            name: step_of(build(name, symbols, options.width), symbols, options.batch, options.length) for name in ORDER
        }
        times = take_turns(steps, options.rounds)
        for name, seconds in times.items():
            rate = options.batch * options.length / seconds.processor
            over, cost = f"{times['svae'].processor / seconds.processor:.2f}", ""
            if name in ANCHORED:
                cost = f"{seconds.processor / times[ANCHORED[name]].processor:.2f}"
            rows.append([name, f"{symbols:,}", f"{rate:,.0f}", over, cost])
    return [
        f"Width {options.width}, {options.batch} sentences of {options.length} symbols, latent {LATENT}, with Adam; "
        f"medians of {options.rounds} rounds. An anchor's cost: time with it over that of its network alone.",
        "",
        *table(["model", "V", "tokens per processor second", "over svae", "cost of the anchor"], rows),
    ]


def memory(options: argparse.Namespace) -> list[str]:
    rows = []
    for symbols in options.vocabularies or (5_000, 10_000, 20_000):
        for length in options.lengths:
            rows.append([f"{symbols:,}", length, *(peak(name, symbols, length, options) for name in MEASURED)])
    return [
        f"Most resident memory, MiB, of a process that takes three training steps: width {options.width}, "
        f"{options.batch} sentences.",
        "",
        *table(["V", "T", *MEASURED], rows),
    ]


def peak(name: str, symbols: int, length: int, options: argparse.Namespace) -> int:
    command = [sys.executable, __file__, "--one", name, "--symbols", symbols, "--length", length]
    command += ["--width", options.width, "--batch", options.batch, "--threads", options.threads]
    found = subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True)
    return int(found.stdout)


def main() -> None:
    parser = options_of(__doc__, width=256, batch=32, length=22, rounds=10, memory=0, symbols=10_000, one="")
    parser.add_argument("--vocabularies", type=int, nargs="+", help="the sizes V, in place of those that are usual")
    parser.add_argument("--lengths", type=int, nargs="+", default=[20, 40, 80], help="the lengths T for --memory")
    options = parser.parse_args()
    begin(options)
    if options.one:
        step = step_of(
            build(options.one, options.symbols, options.width), options.symbols, options.batch, options.length
        )
        for _ in range(3):
            step()
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
        return
    if options.memory:
        publish("Peak memory of a step on sequences", options, memory(options))
    else:
        publish("A training step on sequences", options, speed(options))


if __name__ == "__main__":
    main()
