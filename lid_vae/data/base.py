"""The abstract data module of everything that fits in memory as one array: images and points."""

__all__ = ["ArrayDataModule", "Batch", "Corpus", "Split", "TrainStream"]

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from pytorch_lightning import LightningDataModule

from lid_vae.data.binarise import Binarisation
from lid_vae.data.split import Batch, Split, as_float, at_least_one, subsample
from lid_vae.data.stream import SplitLoader, StreamLoader, TrainStream
from lid_vae.errors import UserError
from lid_vae.shapes import Float, Tensor

Part = Literal["train", "valid", "test"]


@dataclass(frozen=True)
class Corpus:
    """What a data module loads: three disjoint splits, and what is known about them."""

    train: Split
    valid: Split
    test: Split
    image_shape: tuple[int, int] | None = None
    label_count: int | None = None


class ArrayDataModule(LightningDataModule, ABC):
    """Splits on one device, training batches by (seed, step), evaluation batches in a fixed order.

    A subclass says how to ``load`` its corpus, and downloads in ``prepare_data`` where it can. ``seed`` is the data
    seed: splits, subsets, generated data and the fixed binarisation come from it and from nothing else. ``train_seed``
    is the seed of the run: the order of the batches and the noise of dynamic binarisation.

    Args:
        root: the folder of the data sets; None where none is needed.
        batch_size: examples per training batch.
        seed: the data seed.
        train_seed: the seed of the run.
        train_size: how many training examples to keep; None for all.
        valid_size: how many examples to hold out for validation.
        eval_batch_size: examples per evaluation batch.
        binarisation: what becomes of the stored values on their way to the model.

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
        binarisation: Binarisation,
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
        self._binarisation = binarisation
        self._corpus: Corpus | None = None
        self._splits: dict[str, Split] = {}
        self._derived: dict[str, Split] = {}
        self._checksum: str | None = None

    @abstractmethod
    def load(self) -> Corpus:
        """Reads or generates the three splits on the CPU, before ``train_size`` is applied."""

    def setup(self, stage: str | None = None) -> None:
        """Loads once, for all stages."""
        if self._corpus is None:
            corpus = self.load()
            train = subsample(corpus.train, self.train_size, self.seed)
            self._splits = {"train": train, "valid": corpus.valid, "test": corpus.test}
            self._corpus = corpus

    @property
    def train(self) -> Split:
        return self._split("train")

    @property
    def valid(self) -> Split:
        return self._split("valid")

    @property
    def test(self) -> Split:
        return self._split("test")

    @property
    def features(self) -> int:
        """D, the values per example."""
        return self.train.x.shape[1]

    @property
    def image_shape(self) -> tuple[int, int] | None:
        """(height, width) of an image; None where the rows are no images."""
        return self._loaded().image_shape

    @property
    def label_count(self) -> int | None:
        """The number of classes; None where there are no labels."""
        return self._loaded().label_count

    @property
    def binary(self) -> bool:
        """Whether every value that the model sees is 0 or 1."""
        return self._binarisation.binary

    @property
    def checksum(self) -> str:
        """SHA-256 over the stored values and labels in use: equal sums, equal data."""
        if self._checksum is None:
            digest = hashlib.sha256()
            for part in ("train", "valid", "test"):
                split = self._split(part)
                for array in (split.x, split.y):
                    if array is not None:
                        digest.update(f"{part} {tuple(array.shape)} {array.dtype};".encode())
                        digest.update(array.cpu().contiguous().numpy().data)
            self._checksum = digest.hexdigest()
        return self._checksum

    def training_array(self) -> Float[Tensor, "N D"]:
        """The training split before binarisation: grey values in [0, 1], or real values."""
        return as_float(self.train.x)

    def mean(self) -> Float[Tensor, " D"]:
        """The mean of the training split, the mean of its Bernoulli draws where it is binarised."""
        return self.training_array().mean(0)

    def stream(self) -> TrainStream:
        """The training batches of this run."""
        return self.train_stream(self.train_seed)

    def train_stream(self, seed: int) -> TrainStream:
        """The training batches of another run on the same data (``seed`` stands for ``train_seed``)."""
        if "training" not in self._derived:
            self._derived["training"] = self._binarisation.training(self.train, self.seed)
        return TrainStream(self._derived["training"], self.batch_size, seed, self._binarisation.prepare)

    def batches(self, split: Part, batch_size: int | None = None) -> Iterator[Batch]:
        """All of a split in its own order, with the same pixels every time, training split included."""
        return iter(self._evaluation_loader(split, batch_size))

    def to_device(self, device: torch.device | str) -> None:
        """Moves the splits to ``device``, where the batches are then made; streams made before stay where they are."""
        self._splits = {part: split.to(device) for part, split in self._splits.items()}
        self._derived = {part: split.to(device) for part, split in self._derived.items()}

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

    def val_dataloader(self) -> SplitLoader:
        self._follow_trainer()
        return self._evaluation_loader("valid")

    def test_dataloader(self) -> SplitLoader:
        self._follow_trainer()
        return self._evaluation_loader("test")

    def _loaded(self) -> Corpus:
        if self._corpus is None:
            raise RuntimeError(f"{type(self).__name__} holds nothing yet: call setup() first.")
        return self._corpus

    def _split(self, part: str) -> Split:
        self._loaded()
        return self._splits[part]

    def _evaluation_loader(self, part: Part, batch_size: int | None = None) -> SplitLoader:
        if part not in self._derived:
            self._derived[part] = self._binarisation.evaluation(self._split(part), self.seed, part)
        return SplitLoader(self._derived[part], batch_size or self.eval_batch_size)

    def _follow_trainer(self) -> None:
        if self.trainer is None:
            return
        if self.trainer.world_size > 1:
            raise UserError(
                f"The trainer has {self.trainer.world_size} devices, and each would train on the same batches. Use "
                f"trainer.devices=1, and one process for each seed."
            )
        self.to_device(self.trainer.strategy.root_device)
