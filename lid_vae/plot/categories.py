"""q(z | x) of every example: a flat field where z tells nothing of x, a diagonal where it tells the label."""

from math import log
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from scipy.optimize import linear_sum_assignment

from lid_vae.errors import UserError
from lid_vae.model.encoded import Encoded
from lid_vae.plot.axes import as_array, axis_of

__all__ = ["categories", "information"]

ROWS = 500


def categories(q: Any, labels: Any = None, axis: Axes | None = None, name: str = "") -> Axes:
    """The probabilities of the categories of every example, a row for each, a column for each category.

    Rows are sorted by label, then by their most probable category. Columns have the order of the labels that they hold
    most of. The title gives the mutual information of the examples drawn and their category, H(q(z)) less the
    mean of H(q(z | x)), beside the most that K categories can tell, log K nats (Wang, Blei and Cunningham, 2021).

    Args:
        q: what ``model.encode(x)`` gives of a model with categories, or the probabilities q(z = k | x), [N, K].
        labels: the class of each example, [N]; None: they are not sorted by one.
        axis: where it is drawn; None for a new figure.
        name: what the title begins with, such as the model's name.

    Raises:
        UserError: if the model has no categories, or shapes do not fit.

    >>> import torch, lid_vae
    >>> axis = lid_vae.plot.categories(torch.eye(3).repeat(5, 1), torch.arange(3).repeat(5), name="all told")
    >>> axis.get_title()
    'all told\\nI(x; z) = 1.10 of 1.10 nats'
    """
    if isinstance(q, Encoded):
        if q.category_probability is None:
            raise UserError("This model has no categories. Draw its continuous latents: lid_vae.plot.dimensions.")
        q = q.category_probability
    q_NK = as_array(q, "q", 2)
    if q_NK.min() < 0 or not np.allclose(q_NK.sum(1), 1, atol=1e-3):
        raise UserError("q holds no probabilities: each row is of one example, and sums to one over the categories.")
    given = np.zeros(len(q_NK)) if labels is None else as_array(labels, "labels", 1)
    names, classes = np.unique(given, return_inverse=True)
    if len(classes) != len(q_NK):
        raise UserError(f"There are {len(q_NK)} examples and {len(classes)} labels: give one for each.")
    columns = _order(q_NK, classes)
    best = q_NK[:, columns].argmax(1)
    rows = np.lexsort((best, classes))
    axis = axis_of(axis)
    # Neighbours are averaged here, down to rows that can be seen: matplotlib would blur the columns too.
    groups = np.array_split(q_NK[np.ix_(rows, columns)], min(len(q_NK), ROWS))
    seen = np.stack([group.mean(0) for group in groups])
    extent = (-0.5, q_NK.shape[1] - 0.5, len(q_NK) - 0.5, -0.5)
    axis.imshow(seen, cmap="Blues", vmin=0, vmax=1, aspect="auto", interpolation="nearest", extent=extent)
    axis.set_xticks(range(q_NK.shape[1]), [str(column) for column in columns])
    axis.set_xlabel("category")
    ends = np.flatnonzero(np.diff(classes[rows])) + 0.5
    axis.hlines(ends, -0.5, q_NK.shape[1] - 0.5, color="0.75", linewidth=0.6)
    if labels is not None:
        middles = [float(np.mean(np.flatnonzero(classes[rows] == k))) for k in range(classes.max() + 1)]
        axis.set_yticks(middles, [str(value) for value in names])
        axis.set_ylabel("label of the example")
    else:
        axis.set_yticks([])
        axis.set_ylabel("example")
    told = f"I(x; z) = {information(q_NK):.2f} of {log(q_NK.shape[1]):.2f} nats"
    axis.set_title(f"{name}\n{told}" if name else told)
    return axis


def information(q_NK: np.ndarray) -> float:
    """The mutual information of one of the examples ``q_NK``, drawn evenly, and its category, nats: exact for these."""
    with np.errstate(divide="ignore", invalid="ignore"):
        within = -np.nansum(q_NK * np.log(q_NK), 1).mean()
        marginal = q_NK.mean(0)
        return float(max(-np.nansum(marginal * np.log(marginal)) - within, 0.0))


def _order(q_NK: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Categories in the order of the classes that they hold most of, each of a class of its own as far as there are."""
    held = np.stack([q_NK[classes == k].mean(0) for k in range(classes.max() + 1)])  # [classes, K]
    rows, matched = linear_sum_assignment(-held)
    first = [int(column) for _, column in sorted(zip(rows, matched, strict=True))]
    rest = sorted(set(range(q_NK.shape[1])) - set(first), key=lambda column: int(held[:, column].argmax()))
    return np.array([*first, *rest])
