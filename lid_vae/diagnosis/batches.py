"""Batches of x from whatever holds data: a tensor, an array, a Dataset, a DataLoader, a LightningDataModule."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from lid_vae.errors import UserError
from lid_vae.shapes import Tensor

__all__ = ["KEYS", "Split", "batches_of"]

Split = Literal["train", "val", "test"]
KEYS = ("x", "image", "images", "data", "pixel_values", "img", "inputs", "input")
"""Where x may be in a batch that is a dictionary."""
LOADERS = {"train": "train_dataloader", "val": "val_dataloader", "test": "test_dataloader"}
STAGES = {"train": "fit", "val": "fit", "test": "test"}


def batches_of(
    data: Any, batch_size: int, split: Split, device: torch.device | str | None, dtype: torch.dtype | None
) -> Iterator[Tensor]:
    """x [B, ...] of each batch of ``data``, on ``device`` and, if it is of real numbers, as ``dtype``.

    ``data`` is what ``diagnose`` takes. ``batch_size``, in examples, is for a tensor, array or ``Dataset``; loaders
    have their own. ``split`` is for a data module.
    Raises ``UserError`` for no data, for NaN, and for what x cannot be found in.
    """
    empty = True
    for number, batch in enumerate(_raw(data, batch_size, split)):
        x = _observations(batch)
        if len(x) == 0:
            continue
        empty = False
        if x.is_floating_point():
            if not bool(x.isfinite().all()):
                raise UserError(
                    f"Batch {number} of the data holds NaN or infinite values, of which nothing can be measured. Take "
                    "such examples out, or fill their gaps, before diagnose."
                )
            x = x.to(dtype or (torch.get_default_dtype() if isinstance(data, np.ndarray) else x.dtype))
        elif dtype is not None and x.dtype in (torch.uint8, torch.bool) and x.ndim > 1:
            x = x.to(dtype)
        yield x if device is None else x.to(device)
    if empty:
        raise UserError("The data hold no examples; diagnose needs some, a few hundred at the least for its errors.")


def _raw(data: Any, batch_size: int, split: Split) -> Iterator[Any]:
    if isinstance(data, np.ndarray):
        if data.dtype == object:
            raise UserError("The array holds objects, no numbers; give one array of numbers, the batch first.")
        data = torch.as_tensor(np.ascontiguousarray(data))
    if isinstance(data, Tensor):
        if data.ndim == 0:
            raise UserError("The data are a single number; give a tensor with the batch first.")
        yield from data.split(batch_size) if len(data) else ()
    elif isinstance(data, Dataset) and not isinstance(data, DataLoader):
        yield from DataLoader(data, batch_size=batch_size)
    elif any(hasattr(data, name) for name in LOADERS.values()):
        yield from _loader(data, split)
    elif hasattr(data, "__iter__") and not isinstance(data, str | bytes | Mapping):
        yield from data
    else:
        raise UserError(
            f"Data of type {type(data).__name__} cannot be read. Give a tensor or a NumPy array with the batch first, "
            "a Dataset, a DataLoader or a LightningDataModule."
        )


def _loader(module: Any, split: Split) -> Any:
    """The loader of a split of a data module, set up where it was not."""
    if split not in LOADERS:
        raise UserError(f"split={split!r} is none of {', '.join(LOADERS)}.")
    if getattr(module, "trainer", None) is None:
        if hasattr(module, "prepare_data"):
            module.prepare_data()
        if hasattr(module, "setup"):
            module.setup(STAGES[split])
    make = getattr(module, LOADERS[split], None)
    # Lightning's own raises: a split that nobody wrote
    missing = make is None or "lightning" in getattr(make, "__module__", "").split(".")[0]
    found = None if missing or make is None else make()
    if found is None or (isinstance(found, Sequence) and not found):
        raise UserError(
            f'{type(module).__name__} has no {LOADERS[split]}. Say which split it has: split="train", "val" or "test".'
        )
    return found[0] if isinstance(found, Sequence) else found


def _observations(batch: Any) -> Tensor:
    """x of a batch: itself, the first of a tuple, or what a dictionary calls so."""
    if isinstance(batch, Mapping):
        tensors = {key: value for key, value in batch.items() if isinstance(value, Tensor)}
        named = [key for key in KEYS if key in tensors]
        if named:
            return tensors[named[0]]
        if len(tensors) == 1:
            return next(iter(tensors.values()))
        raise UserError(
            f"A batch is a dictionary of {', '.join(map(str, batch)) or 'nothing'}; x is looked for under "
            f"{', '.join(KEYS)}. Rename it, or give a loader that yields x."
        )
    if isinstance(batch, tuple | list) and len(batch):
        return _observations(batch[0])
    if isinstance(batch, np.ndarray):
        return torch.as_tensor(batch)
    if not isinstance(batch, Tensor):
        raise UserError(
            f"A batch is a {type(batch).__name__}, and must be a tensor, a tuple that begins with one, or a "
            "dictionary. A Dataset of pictures needs transform=ToTensor()."
        )
    return batch
