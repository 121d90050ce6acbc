"""A user's array as rows of real numbers: what is none is refused, with the place of the first fault."""

__all__ = ["Given", "lay_out", "real_array"]

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lid_vae.data.array.own.image_array import channels_first
from lid_vae.errors import UserError

_INSTEAD = {
    "c": "Give real and imaginary parts as values of their own",
    "O": "Objects are never taken: give one array of numbers, with examples of equal size",
    "U": "Encode words as numbers, or take them out",
    "S": "Encode words as numbers, or take them out",
}


@dataclass(frozen=True)
class Given:
    """Examples as a user gives them.

    Attributes:
        x: the values, the examples along the first axis.
        y: a label for each, or None.
        origin: where they are from, for messages.
        columns: what the columns of x are called; empty where they have no names.
    """

    x: np.ndarray
    y: np.ndarray | None
    origin: str
    columns: Sequence[str] = ()


def real_array(given: Given) -> np.ndarray:
    """The values of ``given``, of a type that NumPy computes with.

    Raises:
        UserError: if they are no finite real numbers, or there are none.
    """
    x, origin = given.x, given.origin
    if x.dtype.kind not in "buif":
        instead = _INSTEAD.get(x.dtype.kind, "Give numbers")
        raise UserError(f"{origin} holds {x.dtype}, not real numbers. {instead}.")
    if x.size == 0:
        raise UserError(f"{origin} is empty: its shape is {x.shape}. Give at least a few examples, better thousands.")
    if x.dtype.kind == "f" and not (finite := np.isfinite(x)).all():
        raise UserError(
            f"{(~finite).sum()} of {x.size} values in {origin} are NaN or infinite, the first "
            f"{_place(np.argwhere(~finite)[0].tolist(), given.columns)}. Fill the gaps or take such examples out."
        )
    return x


def lay_out(x: np.ndarray, channels: str | None, origin: str) -> tuple[np.ndarray, tuple[int, ...] | None]:
    """Rows [N, D] of ``x``, and the shape of an image: (height, width), (3, height, width), or None of vectors.

    [N, D] are vectors, [N, H, W] grey images, and four axes images with ``channels`` "first" or "last" (None: where
    they can be). ``origin`` is named in messages.

    Raises:
        UserError: for any other shape.
    """
    if x.ndim == 2:
        return x, None
    if x.ndim == 4:
        x = channels_first(x, channels, origin)
        x = x[:, 0] if x.shape[1] == 1 else x
    elif x.ndim != 3:
        column = f" One number for each example is a column: reshape it to [{x.size}, 1]." if x.ndim == 1 else ""
        raise UserError(
            f"{origin} has {x.ndim} axes: its shape is {x.shape}. Vectors are [examples, values]; images are [images, "
            f"height, width], or with colours [images, height, width, 3] or [images, 3, height, width].{column}"
        )
    return x.reshape(len(x), -1), x.shape[1:]


def _place(index: list[int], columns: Sequence[str]) -> str:
    row, *inside = index
    if len(inside) == 1:
        column = f"{inside[0]} ({columns[inside[0]]})" if columns else str(inside[0])
        return f"in row {row}, column {column}, counted from 0"
    return f"in example {row}" + (f" at {inside}, counted from 0" if inside else ", counted from 0")
