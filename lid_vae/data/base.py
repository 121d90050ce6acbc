"""The abstract data module: what the rest of the program asks of images, points and text alike."""

__all__ = ["DataModule", "Part"]

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sized
from pathlib import Path
from typing import Literal

import torch
from pytorch_lightning import LightningDataModule

from lid_vae.data.split import Batch, at_least_one
from lid_vae.data.stream import Loader, SharedLoader, SharedStream, Stream, StreamLoader
from lid_vae.shapes import Float, Tensor
from lid_vae.world import sharing, world

Part = Literal["train", "valid", "test"]


class DataModule(LightningDataModule, ABC):
    """Splits on one device, training batches by (seed, step), evaluation batches in a fixed order.

    ``seed`` is the data seed: splits, subsets and generated data come from it and from nothing else. ``train_seed`` is
    the seed of the run: the order of the batches, and what is drawn anew for each of them. A subclass downloads in
    ``prepare_data`` where it can, and loads in ``setup``, once for all stages.

    Args:
        root: the folder of the data sets; None where none is needed.
        batch_size: examples per training batch.
        seed: the data seed.
        train_seed: the seed of the run.
        train_size: how many training examples to keep; None for all.
        valid_size: how many validation examples there are to be; None for what the data set has by itself.
        eval_batch_size: examples per evaluation batch.

    Raises:
        UserError: for sizes that are not positive, or that the data cannot serve (in ``setup``).
    """

    name: str

    def __init__(
        self,
        *,
        root: str | None,
        batch_size: int,
        seed: int,
        train_seed: int,
        train_size: int | None,
        valid_size: int | None,
        eval_batch_size: int,
    ) -> None:
        super().__init__()
        at_least_one(
            batch_size=batch_size, train_size=train_size, valid_size=valid_size, eval_batch_size=eval_batch_size
        )
        self.root = None if root is None else Path(root).expanduser()
        self.batch_size = batch_size
        self.seed = seed
        self.train_seed = train_seed
        self.train_size = train_size
        self.valid_size = valid_size
        self.eval_batch_size = eval_batch_size

    @property
    @abstractmethod
    def train(self) -> Sized:
        """The training split, as it is stored; ``valid`` and ``test`` likewise."""

    @property
    @abstractmethod
    def valid(self) -> Sized: ...

    @property
    @abstractmethod
    def test(self) -> Sized: ...

    @property
    @abstractmethod
    def shape(self) -> list[int]:
        """Of one observation: [D], [height, width], or for text [V], the symbols of the vocabulary."""

    @property
    @abstractmethod
    def image_shape(self) -> tuple[int, int] | None:
        """(height, width) of an image; None where the data are no images."""

    @property
    @abstractmethod
    def label_count(self) -> int | None:
        """The number of classes; None where there are no labels."""

    @property
    @abstractmethod
    def binary(self) -> bool:
        """Whether every value that the model sees is 0 or 1."""

    @property
    @abstractmethod
    def checksum(self) -> str:
        """SHA-256 over everything in use: equal sums, equal data."""

    @abstractmethod
    def training_array(self) -> Float[Tensor, "N D"] | None:
        """The training split as real vectors; None for text, which is none."""

    @abstractmethod
    def mean(self) -> Float[Tensor, " D"]:
        """The mean of an observation over the training split; of text the frequency of each symbol, [V]."""

    @abstractmethod
    def train_stream(self, seed: int) -> Stream:
        """The training batches of another run on the same data (``seed`` stands for ``train_seed``)."""

    @abstractmethod
    def evaluation_loader(self, split: Part, batch_size: int | None = None) -> Loader:
        """All of a split in a fixed order, the same every time, training split included."""

    @abstractmethod
    def to_device(self, device: torch.device | str) -> None:
        """Moves the splits to ``device``, where the batches are then made; streams made before stay where they are."""

    def stream(self, seed: int | None = None) -> Stream:
        """The training batches of the run of this ``seed`` (None: ``train_seed``); of several processes each has its
        share of every batch.
        """
        stream = self.train_stream(self.train_seed if seed is None else seed)
        return stream if world().size == 1 else SharedStream(stream, world())

    def batches(self, split: Part, batch_size: int | None = None) -> Iterator[Batch]:
        """The batches of ``evaluation_loader``."""
        return iter(self.evaluation_loader(split, batch_size))

    def train_dataloader(self) -> StreamLoader:
        """The stream as Lightning takes it; resumes in mid-epoch from a checkpoint of the trainer.

        It begins at the ``step`` of a module that counts its own: from a checkpoint written at the end of an epoch,
        Lightning resumes with that epoch as the current one, and does not give the loader its state back.
        """
        self._follow_trainer()
        stream = self.stream()
        if self.trainer is None:
            return StreamLoader(stream)
        step = getattr(self.trainer.lightning_module, "step", None)
        return StreamLoader(stream, self.trainer.current_epoch * len(stream) if step is None else step)

    def val_dataloader(self) -> Loader:
        return self._shared("valid")

    def test_dataloader(self) -> Loader:
        return self._shared("test")

    def _shared(self, split: Part) -> Loader:
        """The batches that ``sharing`` gives to this process."""
        self._follow_trainer()
        loader = self.evaluation_loader(split)
        place = sharing(len(loader))
        return loader if place.size == 1 else SharedLoader(loader, place)

    def _follow_trainer(self) -> None:
        if self.trainer is not None:
            self.to_device(self.trainer.strategy.root_device)
