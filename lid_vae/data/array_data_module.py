"""The abstract data module of everything that fits in memory as one array: images and points."""

__all__ = ["ArrayDataModule", "Corpus"]

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch

from lid_vae.data.base import DataModule, Part
from lid_vae.data.binarise import Binarisation
from lid_vae.data.split import Split, as_float, subsample
from lid_vae.data.stream import SplitLoader, TrainStream
from lid_vae.shapes import Float, Tensor


@dataclass(frozen=True)
class Corpus:
    """What a data module loads: three disjoint splits, and what is known about them."""

    train: Split
    valid: Split
    test: Split
    image_shape: tuple[int, int] | None = None
    label_count: int | None = None


class ArrayDataModule(DataModule, ABC):
    """A ``DataModule`` of rows of equal size.

    A subclass says how to ``load`` its corpus. The fixed binarisation comes from the data seed, the noise of the
    dynamic one from the seed of the run. Arguments beside those of ``DataModule``:

    Args:
        valid_size: how many examples to hold out for validation; None for a tenth.
        binarisation: what becomes of the stored values on their way to the model.
    """

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
        super().__init__(
            root=root,
            batch_size=batch_size,
            seed=seed,
            train_seed=train_seed,
            train_size=train_size,
            valid_size=valid_size,
            eval_batch_size=eval_batch_size,
        )
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
    def shape(self) -> list[int]:
        return list(self.image_shape or (self.features,))

    @property
    def image_shape(self) -> tuple[int, int] | None:
        return self._loaded().image_shape

    @property
    def label_count(self) -> int | None:
        return self._loaded().label_count

    @property
    def binary(self) -> bool:
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

    def train_stream(self, seed: int) -> TrainStream:
        if "training" not in self._derived:
            self._derived["training"] = self._binarisation.training(self.train, self.seed)
        return TrainStream(self._derived["training"], self.batch_size, seed, self._binarisation.prepare)

    def evaluation_loader(self, part: Part, batch_size: int | None = None) -> SplitLoader:
        """All of a split in its own order, with the same pixels every time."""
        if part not in self._derived:
            self._derived[part] = self._binarisation.evaluation(self._split(part), self.seed, part)
        return SplitLoader(self._derived[part], batch_size or self.eval_batch_size)

    def to_device(self, device: torch.device | str) -> None:
        self._splits = {part: split.to(device) for part, split in self._splits.items()}
        self._derived = {part: split.to(device) for part, split in self._derived.items()}

    def _loaded(self) -> Corpus:
        if self._corpus is None:
            raise RuntimeError(f"{type(self).__name__} holds nothing yet: call setup() first.")
        return self._corpus

    def _split(self, part: str) -> Split:
        self._loaded()
        return self._splits[part]
