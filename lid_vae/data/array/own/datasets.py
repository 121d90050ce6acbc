"""x and labels of a data set object: a PyTorch Dataset, a table of Hugging Face's datasets, or any sequence."""

__all__ = ["as_array", "read_dataset"]

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from lid_vae.errors import UserError

_X = ("x", "image", "images", "img", "pixel_values", "data", "features", "input", "inputs")
_Y = ("y", "label", "labels", "target", "targets", "class", "fine_label")


def as_array(values: Any, origin: str) -> np.ndarray:
    """A tensor, a NumPy array, a data frame or a nested list ``values`` as one array.

    ``origin`` says in messages what that is. Raises ``UserError`` where examples are not of one size.
    """
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu()
        values = (values.float() if values.dtype == torch.bfloat16 else values).numpy()
    try:
        array = np.asarray(values)
        words = array.dtype == object and array.size > 0 and all(isinstance(value, str) for value in array.flat)
        return array.astype(str) if words else array  # words of a data frame are objects
    except ValueError as error:
        raise UserError(f"{origin} is no array: {error}. Give examples of equal size.") from error


def read_dataset(
    dataset: Any, x: str | Sequence[str] | None = None, y: str | None = None
) -> tuple[np.ndarray, np.ndarray | None]:
    """All x of a ``dataset`` and its labels, or None for those.

    A table with ``column_names``, as of Hugging Face, is read by columns. Anything else by its examples: x alone, a
    tuple (x, label), or a dictionary.

    Args:
        dataset: what has examples.
        x: the column or key of x, or several columns of numbers; None for the first of x, image, images, img,
            pixel_values, data, features, input and inputs that there is.
        y: that of the labels; None for the first of y, label, labels, target, targets, class and fine_label, if any.

    Raises:
        UserError: where x is not found, or examples are not of equal size.
    """
    names = getattr(dataset, "column_names", None)
    if isinstance(names, list | tuple) and _indexed(dataset):
        kind = f"{type(dataset).__name__} of columns"
        key_x, key_y = _keys(names, x, y, kind)
        return _columns(dataset, key_x), None if key_y is None else _stack(dataset[key_y], key_y)
    examples = [dataset[index] for index in range(len(dataset))] if _indexed(dataset) else list(dataset)
    if not examples:
        raise UserError(f"{type(dataset).__name__} holds no examples. Give at least a few, better thousands.")
    first = examples[0]
    if isinstance(first, Mapping):
        key_x, key_y = _keys(list(first), x, y, f"{type(dataset).__name__} of dictionaries")
        table = {key: [one[key] for one in examples] for key in [*_listed(key_x), *([] if key_y is None else [key_y])]}
        return _columns(table, key_x), None if key_y is None else _stack(table[key_y], key_y)
    if x is not None or y is not None:
        raise UserError(
            f"x={x} and y={y} name columns, and an example of {type(dataset).__name__} has none. Leave them out."
        )
    if isinstance(first, tuple):
        labels = [one[1] for one in examples] if len(first) > 1 else None
        return _stack([one[0] for one in examples], "x"), None if labels is None else _stack(labels, "y")
    return _stack(examples, "x"), None


def _indexed(dataset: Any) -> bool:
    return hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__")


def _keys(names: Sequence[Any], x: Any, y: str | None, kind: str) -> tuple[Any, str | None]:
    for option, key in [*(("x", one) for one in _listed(x)), ("y", y)]:
        if key is not None and key not in names:
            near = difflib.get_close_matches(str(key), map(str, names), n=1)
            hint = f" Did you mean {option}='{near[0]}'?" if near else ""
            raise UserError(f"{option}='{key}' is not in this {kind}.{hint} It has {', '.join(map(str, names))}.")
    key_x = x or next((key for key in _X if key in names), None)
    if key_x is None:
        raise UserError(
            f"This {kind} has {', '.join(map(str, names))}, and x is looked for under {', '.join(_X)}. Say which it "
            "is, with x='...', or x=['...', '...'] for several columns of numbers."
        )
    return key_x, y or next((key for key in _Y if key in names and key not in _listed(key_x)), None)


def _listed(key: Any) -> list[Any]:
    return [] if key is None else [key] if isinstance(key, str) else list(key)


def _columns(table: Any, key: str | Sequence[str]) -> np.ndarray:
    if isinstance(key, str):
        return _stack(table[key], key)
    found = [_stack(table[one], one) for one in key]
    return np.concatenate([column.reshape(len(column), -1) for column in found], 1)


def _stack(values: Any, key: str) -> np.ndarray:
    if isinstance(values, np.ndarray | torch.Tensor):
        return as_array(values, key)
    found = [as_array(value, key) for value in values]
    shapes = {one.shape for one in found}
    if len(shapes) > 1:
        raise UserError(
            f"Examples of {key} differ in size: {' and '.join(map(str, sorted(shapes)[:2]))}. Give all one size, "
            "pictures by resizing them."
        )
    return np.stack(found) if found else np.empty(0)
