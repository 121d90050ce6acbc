"""What the pictures share: the axis that they are drawn on, arrays of what is given, the prior's moments."""

from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lid_vae.errors import UserError
from lid_vae.model.encoded import Encoded
from lid_vae.noise import generator

__all__ = ["as_array", "axis_of", "prior_moments"]

DRAWS = 10_000


def axis_of(axis: Axes | None, width: float = 4.2, height: float = 4.0) -> Axes:
    """``axis``, or for None the one of a new figure, ``width`` by ``height`` inches."""
    if axis is not None:
        return axis
    figure = Figure(figsize=(width, height), layout="constrained")
    made: Axes = figure.subplots()
    return made


def as_array(values: Any, name: str, dimensions: int) -> np.ndarray:
    """``values``, a tensor or an array, as an array. Raises ``UserError``, by ``name``, for other ``dimensions``."""
    array = values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else np.asarray(values)
    if array.ndim != dimensions or array.size == 0:
        shapes = {1: "[N]", 2: "[N, K]"}
        raise UserError(f"{name} has the shape {list(array.shape)}, and {shapes[dimensions]} is wanted.")
    return array


def prior_moments(q: Encoded) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of w under the prior of ``q``, [M] each, over ten thousand draws."""
    with torch.no_grad():
        w = q.prior().sample(DRAWS, generator("prior moments", device=q.mean.device))
    return w.mean(0).cpu().numpy(), w.std(0).cpu().numpy()
