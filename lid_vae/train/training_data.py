"""What a training asks of its data: of a data module, or of loaders that a user has made."""

from collections.abc import Iterator, Sized
from typing import Protocol, runtime_checkable

from lid_vae.data.base import Part
from lid_vae.data.split import Batch
from lid_vae.data.stream import Loader

__all__ = ["TrainingData"]


@runtime_checkable
class TrainingData(Protocol):
    """Batches of two splits. ``batch_size`` is that of training."""

    batch_size: int

    @property
    def valid(self) -> Sized:
        """The examples of the validation split."""

    def batches(self, split: Part) -> Iterator[Batch]:
        """All batches of a ``split``, as they are evaluated."""

    def evaluation_loader(self, split: Part) -> Loader:
        """The same, as often as they are asked for."""
