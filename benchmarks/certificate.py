"""Likelihood and divergence against the certified constant, and what the worst seed of each row reaches.

    python benchmarks/certificate.py runs/table2_pinwheel_maps --plot docs/figures/pinwheel-maps-certificate.png

From the ``result.json`` files alone, but for ``--closest``, which asks the checkpoints. On the pinwheel the rows stand
beside the true density on the same points; the best row without a certificate, by its mean LL, is the baseline that
others are compared with on equal seeds.
"""

import argparse
import csv
import warnings
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev

import torch
from bench import table

import lid_vae
from lid_vae.appearance import appearances
from lid_vae.data import Pinwheel
from lid_vae.report.numbers.comparison import compare
from lid_vae.report.study.results import read
from lid_vae.report.study.study import Row
from lid_vae.run.build import build_data

READ = {
    "ll": lambda result: result["ll"]["mean"],
    "elbo": lambda result: result["elbo"],
    "validation_elbo": lambda result: result["validation"]["elbo"],
    "au": lambda result: result["latent"]["z"]["au"],
    "kl": lambda result: result["latent"]["z"]["kl"],
    "mi": lambda result: result["latent"]["z"]["mi"],
    "accuracy": lambda result: result["accuracy"],
    "constant": lambda result: result.get("inverse_lipschitz"),
    "learning_rate": lambda result: result.get("learning_rate"),
    "ms": lambda result: 1e3 * result["seconds_per_step"] / result["seeds_together"],
}


def values(row: Row, name: str, seeds: Sequence[int] | None = None) -> list[float]:
    """One number for each seed; none where the row has no such number."""
    found = [READ[name](row.results[seed]) for seed in row.seeds if seeds is None or seed in seeds]
    return [] if None in found else found


def by_constant(rows: Sequence[Row]) -> list[Row]:
    """Rows without a certificate, in their order, then the others, the greatest mean constant first."""
    return sorted(rows, key=lambda row: -mean(values(row, "constant") or [float("inf")]))


def true_density(row: Row, part: str) -> float | None:
    """Mean log-density of a ``part`` of the row's data under the law that they come from; None of data without one."""
    data = build_data((row.config or {})["data"])
    return data.law.log_density(getattr(data, part).x).mean().item() if isinstance(data, Pinwheel) else None


def on_validation(row: Row) -> None:
    """Puts what was measured on the validation split in the place of what was on the test split."""
    row.results = {seed: {**result, **result["validation"]} for seed, result in row.results.items()}


@torch.no_grad()
def closest(row: Row) -> float:
    """The least distance of two components of the prior, in standard deviations, over the row's seeds."""
    found = []
    for seed in row.seeds:
        model = lid_vae.load(row.place / f"seed-{seed}" / "checkpoints" / "best.ckpt")
        components = model.vae.prior().components
        found.append(torch.pdist(components.location / components.scale).min().item())
    return min(found)


def baseline(rows: Sequence[Row]) -> Row | None:
    """The best row without a certificate, of those with the most seeds."""
    free = [row for row in rows if not values(row, "constant")]
    return max(free, key=lambda row: (len(row.seeds), mean(values(row, "ll"))), default=None)


def spread(found: Sequence[float]) -> str:
    return f"{mean(found):.3f} ({stdev(found):.3f})" if len(found) > 1 else f"{found[0]:.3f}"


def against(row: Row, other: Row) -> str:
    """The mean difference of LL on equal seeds, with its 95 % bootstrap interval."""
    seeds = sorted({*row.seeds} & {*other.seeds})
    if row is other or not seeds:
        return ""
    (found,) = compare([(values(row, "ll", seeds), values(other, "ll", seeds))], [None])
    interval = "" if found.low is None else f" [{found.low:+.3f}, {found.high:+.3f}]"
    return f"{found.difference:+.3f}{interval}"


def lines(rows: Sequence[Row], truth: float | None, distances: Sequence[float] = ()) -> list[str]:
    best = baseline(rows)
    header = ["row", "seeds", "LL", "least LL"]
    header += [f"less {best.label}"] if best else []
    header += [] if truth is None else ["less the true density"]
    header += ["KL(z)", "least MI(z)", "least accuracy", "least constant"]
    header += ["closest components, sd"] if distances else []
    cells = []
    for place, row in enumerate(rows):
        constants = values(row, "constant")
        ll = values(row, "ll")
        cells.append(
            [
                row.label,
                len(row.seeds),
                spread(ll),
                f"{min(ll):.3f}",
                *([against(row, best)] if best else []),
                *([] if truth is None else [f"{mean(ll) - truth:+.3f}"]),
                spread(values(row, "kl")),
                f"{min(values(row, 'mi')):.3f}",
                f"{min(values(row, 'accuracy')):.4f}",
                f"{min(constants):.2e}" if constants else "",
                *([f"{distances[place]:.2f}"] if distances else []),
            ]
        )
    return table(header, cells)


def write(rows: Sequence[Row], path: Path) -> None:
    """A line for each run; ``ms`` is of one seed's step."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["row", "seed", *READ])
        for row in rows:
            for seed in row.seeds:
                writer.writerow([row.label, seed, *(number(row.results[seed]) for number in READ.values())])


def plot(rows: Sequence[Row], truth: float | None, path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.4, 3.4), layout="constrained")
    certified = [row for row in rows if values(row, "constant")]
    best = baseline(rows)
    for axis, name in zip(figure.subplots(1, 2), ("ll", "kl"), strict=True):
        for row, look in zip(certified, appearances([row.model for row in certified]), strict=True):
            x, y = values(row, "constant"), values(row, name)
            face = look.colour if look.filled else "white"
            axis.semilogx(x, y, ".", color=look.colour, alpha=0.45)
            axis.semilogx(mean(x), mean(y), look.marker, color=look.colour, markerfacecolor=face, label=row.title)
        if best:
            axis.axhline(mean(values(best, name)), color="gray", linewidth=0.9, linestyle="dashed", label=best.title)
        if name == "ll" and truth is not None:
            axis.axhline(truth, color="black", linewidth=0.9, linestyle="dotted", label="true density")
        axis.set(xlabel="certified inverse-Lipschitz constant", ylabel="LL, nats" if name == "ll" else "KL(z), nats")
        axis.spines[["top", "right"]].set_visible(False)
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside right center", frameon=False, fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of finished runs, of one experiment")
    parser.add_argument("--plot", type=Path, help="also draw the curve into this file")
    parser.add_argument("--csv", type=Path, help="also write every run into this file")
    parser.add_argument(
        "--validation", action="store_true", help="of the validation split, by which options are chosen"
    )
    parser.add_argument("--closest", action="store_true", help="also how near two components of a mixture prior come")
    options = parser.parse_args()
    part = "valid" if options.validation else "test"
    for found in read([options.folder]).tables:
        rows = by_constant([row for row in found.rows if row.results])
        if options.validation:
            for row in rows:
                on_validation(row)
        truth = true_density(rows[0], part)
        if truth is not None:
            print(f"True density on the {part} points: {truth:.4f} nats.\n")
        with warnings.catch_warnings(action="ignore"):
            distances = [closest(row) for row in rows] if options.closest else []
        print("\n".join(lines(rows, truth, distances)))
        if options.csv:
            write(rows, options.csv)
        if options.plot:
            plot(rows, truth, options.plot)


if __name__ == "__main__":
    main()
