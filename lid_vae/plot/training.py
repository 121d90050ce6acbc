"""When units come to life, and when they die: the KL of each dimension over training."""

import re
from os import PathLike
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm

from lid_vae.errors import UserError
from lid_vae.log.metrics_file import read_metrics
from lid_vae.plot.axes import axis_of

__all__ = ["training"]

_NAME = re.compile(r"kl_by_dimension/(\d+)")
LEAST = 0.001


def training(run: str | PathLike[str], axis: Axes | None = None, name: str = "") -> Axes:
    """The KL of each dimension of w at every validation of a run, dark for much, those that end highest on top.

    The scale is logarithmic, from a thousandth of a nat: a row that is pale to the end is a unit that never lived, one
    that grows pale is a unit that died.

    Args:
        run: the folder of a run, such as ``runs/default/vae-mnist-gaussian/seed-0``, or its ``metrics.csv``.
        axis: where it is drawn; None for a new figure.
        name: what the title begins with, such as the model's name.

    Raises:
        UserError: if there is no ``metrics.csv``, or it has no KL by dimension, as of a model of text.
    """
    path = Path(run)
    path = path / "metrics.csv" if path.is_dir() else path
    rows = {step: line for step, line in read_metrics(path).items() if any(map(_NAME.fullmatch, line))}
    if not rows:
        raise UserError(f"{path} has no KL by dimension: its run has not been validated, or has one latent alone.")
    names = sorted({name for line in rows.values() for name in line if _NAME.fullmatch(name)})
    steps = sorted(rows)
    kl = np.array([[rows[step].get(name, np.nan) for step in steps] for name in names])
    order = np.argsort(-np.nan_to_num(kl[:, -1]), kind="stable")
    axis = axis_of(axis, 6.4, 3.4)
    shown = np.maximum(np.nan_to_num(kl[order]), LEAST)
    image = axis.pcolormesh(
        _edges(steps), np.arange(len(names) + 1), shown, cmap="Blues", norm=LogNorm(LEAST, max(shown.max(), 1.0))
    )
    axis.invert_yaxis()
    axis.figure.colorbar(image, ax=axis, label="KL, nats")
    axis.set_xlabel("step")
    axis.set_ylabel("dimension, by its KL at the end")
    told = f"{int((kl[:, -1] > 0.01).sum())} of {len(names)} dimensions above 0.01 nats at the end"
    axis.set_title(f"{name}\n{told}" if name else told)
    return axis


def _edges(steps: list[int]) -> np.ndarray:
    """Between the steps, and as far before the first and after the last."""
    if len(steps) == 1:
        return np.array([steps[0] - 0.5, steps[0] + 0.5])
    between = (np.array(steps[1:]) + np.array(steps[:-1])) / 2
    return np.concatenate([[2 * steps[0] - between[0]], between, [2 * steps[-1] - between[-1]]])
