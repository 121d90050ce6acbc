"""Loaders that a user has made, as a training takes its data."""

from collections.abc import Iterator, Sized
from typing import Any

import pytorch_lightning as pl
import torch

from lid_vae.data.base import Part
from lid_vae.data.split import Batch
from lid_vae.data.stream import Loader
from lid_vae.errors import UserError
from lid_vae.model.form import Form
from lid_vae.shapes import Tensor

__all__ = ["LoaderData", "as_batch"]


def as_batch(batch: Any, form: Form, first: int) -> Batch:
    """``batch``, of any loader, with rows as the model of ``form`` takes them; ``first`` is its first row's number."""
    if isinstance(batch, Batch):
        return batch
    x = form.rows(batch if isinstance(batch, list) and batch and isinstance(batch[0], str) else [batch])
    y = _labels(batch)
    return Batch(x, None if y is None else y.to(x.device), torch.arange(first, first + len(x)))


class LoaderData:
    """The loaders that ``trainer`` was given for the model of ``form``; a loader's order is its own."""

    def __init__(self, trainer: pl.Trainer, form: Form) -> None:
        self.trainer, self.form = trainer, form
        self._extra: Iterator[Any] | None = None

    @property
    def batch_size(self) -> int:
        """That of the training loader, as far as it says."""
        return int(getattr(self.trainer.train_dataloader, "batch_size", None) or 1)

    @property
    def valid(self) -> Sized:
        """The validation examples."""
        loader = self._loader("valid")
        if loader is None:
            return ()
        known = getattr(loader, "dataset", None)
        return range(len(loader) * int(getattr(loader, "batch_size", None) or 1)) if known is None else known

    def batches(self, split: Part) -> Iterator[Batch]:
        """All batches of a ``split``, as its loader has them."""
        first = 0
        for raw in self._loader(split):
            batch = as_batch(raw, self.form, first)
            first += len(batch.x)
            yield batch

    def evaluation_loader(self, split: Part) -> Loader:
        """The batches of a ``split``, as often as they are asked for."""
        return _Again(self, split)

    def extra(self) -> Tensor:
        """x of a further batch, from a pass of its own over the training loader."""
        for _ in range(2):
            if self._extra is None:
                self._extra = iter(self._loader("train"))
            raw = next(self._extra, None)
            if raw is not None:
                return as_batch(raw, self.form, 0).x
            self._extra = None
        raise UserError("The training loader is empty.")

    def _loader(self, split: Part) -> Any:
        loaders = self.trainer.train_dataloader if split == "train" else self.trainer.val_dataloaders
        return loaders[0] if isinstance(loaders, list) else loaders


class _Again:
    def __init__(self, data: LoaderData, split: Part) -> None:
        self.data, self.split = data, split

    def __len__(self) -> int:
        return len(self.data._loader(self.split))

    def __iter__(self) -> Iterator[Batch]:
        return self.data.batches(self.split)


def _labels(batch: Any) -> Tensor | None:
    """The second of a tuple, or what a dictionary calls so, where these are class numbers."""
    found = None
    if isinstance(batch, dict):
        found = next((batch[key] for key in ("y", "label", "labels", "target") if key in batch), None)
    elif isinstance(batch, tuple | list) and len(batch) > 1:
        found = batch[1]
    if isinstance(found, Tensor) and found.ndim == 1 and not found.is_floating_point():
        return found.long()
    return None
