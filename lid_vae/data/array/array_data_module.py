"""The abstract data module of everything that fits in memory as one array: images and points."""

__all__ = ["ArrayDataModule", "Corpus", "PixelDataModule"]

from abc import ABC
from functools import cached_property
from typing import Any

import torch

from lid_vae.data.array.binarise import UNBINARISED, Binarisation, binarisation
from lid_vae.data.array.own.standardisation import Standardisation
from lid_vae.data.base import DataModule, Part
from lid_vae.data.split import Corpus, Split, as_float
from lid_vae.data.stream import TrainStream
from lid_vae.shapes import Float, Tensor


class ArrayDataModule(DataModule[Split], ABC):
    """A ``DataModule`` of rows of equal size: real values, as they are."""

    binarisation: Binarisation = UNBINARISED
    standardisation: Standardisation | None = None
    """How the columns were standardised; None where they are as they were."""

    @property
    def features(self) -> int:
        """D, the values per example."""
        return self.train.x.shape[1]

    @property
    def shape(self) -> list[int]:
        return list(self.image_shape or (self.features,))

    @property
    def in_unit_interval(self) -> bool:
        splits = (self.train.x, self.valid.x, self.test.x)
        return all(x.dtype == torch.uint8 or bool(((x >= 0) & (x <= 1)).all()) for x in splits)

    @property
    def log_det_jacobian(self) -> float | None:
        """What to add to a log-likelihood for that of x in its own units, nats; None where x is in these."""
        return None if self.standardisation is None else self.standardisation.log_det_jacobian

    def training_array(self) -> Float[Tensor, "N D"]:
        """The training split before binarisation: grey values in [0, 1], or real values."""
        return as_float(self.train.x)

    def mean(self) -> Float[Tensor, " D"]:
        """The mean of the training split, the mean of its Bernoulli draws where it is binarised."""
        return self._mean.to(self.train.x.device)

    @cached_property
    def _mean(self) -> Float[Tensor, " D"]:
        """Found once for all seeds of a run."""
        return self.training_array().mean(0)

    def evaluated(self, part: Part) -> Split:
        return self.binarisation.frozen(self.corpus[part], self.seed, part)

    def new_stream(self, seed: int) -> TrainStream:
        split = self.train if self.binarisation.anew else self.evaluation_loader("train").split
        return TrainStream(split, self.batch_size, seed, self.binarisation.prepare)


class PixelDataModule(ArrayDataModule, ABC):
    """An ``ArrayDataModule`` of grey images.

    The fixed binarisation comes from the data seed, the noise of the dynamic one from the seed of the run.

    Args:
        binarise: what becomes of grey values: "dynamic", drawn anew for every training batch and once for evaluation;
            "fixed", drawn once for both; "none" or None, kept.
        options: those of ``DataModule``.
    """

    def __init__(self, binarise: str | None = "dynamic", **options: Any) -> None:
        super().__init__(**options)
        self.binarisation = binarisation(binarise)
        self.binary = self.binarisation.binary
