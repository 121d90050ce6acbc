"""The picture of a report: which dimensions move with x, and what each says of it."""

from typing import TYPE_CHECKING

import numpy as np

from lid_vae.diagnosis.report import Dimension, LatentReport, Report

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot"]

LEAST = 1e-6  # of an activity on a logarithmic axis


def plot(report: Report) -> "Figure":
    """For each block of ``report`` two panels: each dimension's activity beside the threshold, and its KL."""
    from matplotlib.figure import Figure

    blocks = list(report.latent.values())
    figure = Figure(figsize=(9, 2.8 * len(blocks)), layout="constrained")
    axes = figure.subplots(len(blocks), 2, squeeze=False)
    for (left, right), block in zip(axes, blocks, strict=True):
        _activity(left, block)
        _divergence(right, block)
    figure.suptitle(f"{report.model}: active dimensions dark, collapsed ones red", fontsize=10)
    return figure


def _activity(axis: "Axes", block: LatentReport) -> None:
    numbers = [one.number for one in block.dimensions]
    heights = [max(one.activity, LEAST) for one in block.dimensions]
    errors = [2 * one.error for one in block.dimensions]
    axis.bar(numbers, heights, yerr=errors, color=_inks(block.dimensions), width=0.8)
    axis.axhline(block.dimensions[0].threshold, color="black", linestyle="dashed", linewidth=0.9)
    axis.set_yscale("log")
    axis.set_ylim(bottom=LEAST)
    axis.set_xlabel(f"dimension of {block.name}" if block.kind == "continuous" else f"category of {block.name}")
    axis.set_ylabel("Var E[z | x] / prior variance")
    axis.spines[["top", "right"]].set_visible(False)


def _divergence(axis: "Axes", block: LatentReport) -> None:
    axis.spines[["top", "right"]].set_visible(False)
    if block.usage is not None:
        axis.bar(range(len(block.usage)), block.usage, color=_inks(block.dimensions), width=0.8)
        axis.set_xlabel(f"category of {block.name}")
        axis.set_ylabel("q(z)")
        return
    found = [one for one in block.dimensions if one.kl is not None]
    if not found:
        axis.set_axis_off()
        axis.text(0.5, 0.5, "no KL by dimension:\nthe prior's marginals\nhave no closed form", ha="center", va="center")
        return
    estimates = [one.kl for one in found if one.kl is not None]
    axis.bar(
        [one.number for one in found],
        [one.value for one in estimates],
        yerr=[2 * one.error for one in estimates],
        color=_inks(tuple(found)),
        width=0.8,
    )
    axis.set_xlabel(f"dimension of {block.name}")
    axis.set_ylabel("KL, nats")


def _inks(dimensions: tuple[Dimension, ...]) -> list[str]:
    from lid_vae.picture.drawing import colours  # which imports matplotlib

    return colours(np.array([0 if one.active else 1 for one in dimensions]), len(dimensions))
