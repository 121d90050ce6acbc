"""Cost of a training step as width, depth, categories, data dimension and seeds grow, with fitted exponents.

    python benchmarks/curves.py --threads 1 --plot benchmarks/reports/curves.png

One size grows at a time from the same base, over its ``--points`` smallest values. The exponent is the slope of
log(time) over log(size) across the upper half of the sizes: 0 where overhead rules, 1 where the cost is proportional.
"""

from collections.abc import Callable
from itertools import pairwise
from math import log
from pathlib import Path

import torch
from bench import Step, options_of, publish, table, take_turns
from seeds import configurations, together

from lid_vae.appearance import appearance
from lid_vae.noise import generator
from lid_vae.run.build import build_module
from lid_vae.run.plan import Parts
from lid_vae.system.machine_habits import keep_freed_memory

BASE = {"width": 128, "batch": 512, "dimension": 64, "latent": 8, "categories": 10, "layers": 2, "maps": 2, "seeds": 1}
SIZES = {
    "width": (64, 128, 256, 512, 1024),
    "maps": (2, 3, 4, 6, 8),
    "categories": (5, 10, 20, 40, 80),
    "dimension": (16, 64, 256, 1024, 2048),
    "seeds": (1, 2, 4, 8, 16),
}


def forward_backward(
    model: str, *, width: int, batch: int, dimension: int, latent: int, categories: int, layers: int, maps: int,
    seeds: int, options: tuple[str, ...] = (), device: torch.device | str = "cpu",
) -> Step:  # fmt: skip
    """The bound of a batch and its gradient, on binary data of noise, for ``seeds`` that train together."""
    settings = [
        f"model={model}", "data=digits", "gradient_clip=null", f"width={width}", f"latent_dimension={latent}",
        f"categories={categories}", "extra_categories=true", f"map.depth={maps}", f"map.hidden_layers={layers}",
        "map.lift=random" if model == "lidgmvae" else "map=mlp", *options,
    ]  # fmt: skip
    configs = configurations(settings, seeds)
    made = together([build_module(Parts.of(c), c["seed"], None, [dimension], None).to(device) for c in configs])
    rng = generator("benchmark")
    x = torch.bernoulli(torch.full((seeds, batch, dimension), 0.3), generator=rng).to(device)
    x, noise = x if seeds > 1 else x[0], made.noise(0, 0, batch)

    def step() -> None:
        made.differentiate(-made.forward(x, noise).mean(-1), "all", torch.autograd.backward)

    return step


def exponent(points: list[tuple[float, float]]) -> float:
    """Least-squares slope of log y over log x."""
    xs, ys = [log(x) for x, _ in points], [log(y) for _, y in points]
    x_mean, y_mean = sum(xs) / len(xs), sum(ys) / len(ys)
    return sum((x - x_mean) * (y - y_mean) for x, y in zip(xs, ys, strict=True)) / sum((x - x_mean) ** 2 for x in xs)


def curve(model: str, name: str, rounds: int, points: int) -> list[tuple[float, float]]:
    """Processor seconds of a step at each size, the sizes taking turns."""
    more: Callable[[int], dict[str, int]] = lambda size: {**BASE, name: size}  # noqa: E731
    mixture = ("family.mixture=enumerate",) if name == "categories" else ()
    steps = {str(size): forward_backward(model, **more(size), options=mixture) for size in SIZES[name][:points]}
    return [(float(size), found.processor) for size, found in take_turns(steps, rounds).items()]


def plot(curves: dict[tuple[str, str], list[tuple[float, float]]], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3 * len(SIZES), 3.2), layout="constrained")
    for axis, name in zip(figure.subplots(1, len(SIZES)), SIZES, strict=True):
        for (model, what), points in curves.items():
            if what == name:
                look = appearance(model)
                style = {"color": look.colour, "marker": look.marker, "linestyle": look.line, "label": look.name}
                axis.loglog([x for x, _ in points], [1e3 * y for _, y in points], **style)
        axis.set_xlabel(name)
    figure.axes[0].set_ylabel("ms a step (processor)")
    figure.axes[0].legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = options_of(__doc__, rounds=7, points=5)
    parser.add_argument("--plot", type=Path, help="also draw the curves into this file")
    options = parser.parse_args()
    if options.points < 3:
        parser.error("An exponent needs two points in the upper half: --points 3 or more.")
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    curves = {
        (model, name): curve(model, name, options.rounds, options.points)
        for name in SIZES
        for model in ("gmvae", "lidgmvae")
    }
    rows = []
    for (model, name), points in curves.items():
        times = ", ".join(f"{1e3 * y:.1f}" for _, y in points)
        local = ", ".join(f"{log(b[1] / a[1]) / log(b[0] / a[0]):.2f}" for a, b in pairwise(points))
        sizes = ", ".join(f"{x:.0f}" for x, _ in points)
        rows.append([name, model, sizes, times, local, f"{exponent(points[len(points) // 2 :]):.2f}"])
    lines = table(
        ["size", "model", "values", "ms a step (processor)", "between neighbours", "exponent, upper half"], rows
    )
    base = ", ".join(f"{name} {size}" for name, size in BASE.items())
    note = f"Base: {base}; forward and backward, RealNVP. Categories are enumerated where they grow, else conditional."
    publish("What a step costs as sizes grow", options, [note, "", *lines])
    if options.plot:
        plot(curves, options.plot)


if __name__ == "__main__":
    main()
