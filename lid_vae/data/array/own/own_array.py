"""The abstract data module of a user's own arrays: splits by the data seed, standardised vectors, pixels of images."""

__all__ = ["OwnArray"]

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lid_vae.data.array.array_data_module import ArrayDataModule, Corpus
from lid_vae.data.array.binarise import binarisation
from lid_vae.data.array.own.image_array import as_bytes, class_numbers
from lid_vae.data.array.own.real_array import Given, lay_out, real_array
from lid_vae.data.array.own.standardisation import Standardisation
from lid_vae.data.base import PARTS, Part
from lid_vae.data.split import Split, hold_out
from lid_vae.errors import UserError
from lid_vae.shapes import Int, Tensor


@dataclass(frozen=True)
class _Values:
    """Rows that are not standardised yet, with class numbers or without."""

    x: Tensor
    y: Int[Tensor, " N"] | None

    def __len__(self) -> int:
        return len(self.x)

    def rows(self, index: Int[Tensor, " n"]) -> "_Values":
        return _Values(self.x[index], None if self.y is None else self.y[index])


class OwnArray(ArrayDataModule, ABC):
    """[N, D] are vectors; [N, H, W], [N, H, W, 3] and [N, 3, H, W] images, grey or in colour.

    Vectors are standardised by default: mean and standard deviation of each column are those of the training part,
    before ``train_size``. Log-likelihoods are then of the standardised values; ``log_det_jacobian`` is what to add for
    those of the values in their own units. Images of whole numbers from 0 to 255 are grey levels or colours in [0, 1].

    Args:
        standardise: whether columns are standardised; None for vectors, unless all their values are 0 or 1, and not
            for images.
        channels: of an array with four axes, whether its channels are "first" or "last"; None where the shape tells.
        binarise: None for values as they are; or what becomes of values in [0, 1]: "dynamic" or "fixed", as in
            ``PixelDataModule``.
        options: those of ``DataModule``.

    Raises:
        UserError: in ``setup``, for arrays that are not as said here.
    """

    held_out: tuple[Part, ...] = ("test", "valid")
    """The parts that are held out of the training part where they are not given."""

    def __init__(
        self, standardise: bool | None = None, channels: str | None = None, binarise: str | None = None, **options: Any
    ) -> None:
        super().__init__(**options)
        self.binarisation = binarisation(binarise)
        if self.binarisation.binary and standardise:
            raise UserError(f"standardise=True and binarise={binarise} exclude each other. Leave one of them out.")
        self.standardise = standardise
        self.channels = channels

    @abstractmethod
    def given(self) -> Mapping[Part, Given]:
        """The examples: "train", and "valid" and "test" where these are not held out of it."""

    @abstractmethod
    def size(self, part: Part, count: int) -> int | None:
        """How many of ``count`` rows to hold out as ``part``; None for a tenth."""

    def load(self) -> Corpus:
        given = self.given()
        rows, image_shape = self._rows(given)
        labels, label_count = _labels(given, rows)
        values = self._values(rows, image_shape)
        found = {part: _Values(values[part], labels.get(part)) for part in given}
        self._check_enough(given)
        rest: _Values = found["train"]
        for part in self.held_out:
            if part not in found:
                rest, found[part] = hold_out(rest, self.size(part, len(rest)), self.seed, part)
        found.setdefault("test", found["valid"])
        found["train"] = rest
        self.standardisation = self._standardisation(found, image_shape)
        splits = {part: Split(self._stored(found[part].x, given), found[part].y) for part in PARTS}
        x = [splits[part].x for part in PARTS]
        self.binary = self.binarisation.binary or all(bool(((part == 0) | (part == part.max())).all()) for part in x)
        return Corpus(splits["train"], splits["valid"], splits["test"], image_shape, label_count)

    def _rows(self, given: Mapping[Part, Given]) -> tuple[dict[Part, np.ndarray], tuple[int, ...] | None]:
        """The rows of each part, and the shape that all their images have."""
        laid = {part: lay_out(real_array(one), self.channels, one.origin) for part, one in given.items()}
        rows, image_shape = laid["train"]
        for part, (other, shape) in laid.items():
            if shape != image_shape or other.shape[1] != rows.shape[1]:
                raise UserError(
                    f"{given[part].origin} holds examples of shape {list(given[part].x.shape[1:])}, and "
                    f"{given['train'].origin} of shape {list(given['train'].x.shape[1:])}. Give parts of one shape."
                )
        return {part: found for part, (found, _) in laid.items()}, image_shape

    def _values(self, rows: Mapping[Part, np.ndarray], image_shape: tuple[int, ...] | None) -> dict[Part, Tensor]:
        """Bytes where they are pixels, else floating point: single precision where it was so given."""
        whole = all(part.dtype.kind in "bui" for part in rows.values())
        low, high = min(float(part.min()) for part in rows.values()), max(float(part.max()) for part in rows.values())
        if self.binarisation.binary or (image_shape is not None and whole and low >= 0 and high <= 255):
            white = 1.0 if not whole or high <= 1 else 255.0
            if low < 0 or high > white:
                raise UserError(
                    f"binarise={'dynamic' if self.binarisation.anew else 'fixed'} takes values as probabilities, from "
                    f"0 to {white:g}, and these run from {low:g} to {high:g}. Rescale them, or leave binarise out."
                )
            return {part: as_bytes(found, white, Path(self.name)) for part, found in rows.items()}
        kept = (np.float32, np.float64)
        return {
            part: torch.from_numpy(np.array(found, found.dtype if found.dtype in kept else np.float64, order="C"))
            for part, found in rows.items()
        }

    def _check_enough(self, given: Mapping[Part, Given]) -> None:
        count, wanted = len(given["train"].x), 1 + len(PARTS) - len(given)
        if count < wanted:
            raise UserError(
                f"{given['train'].origin} holds {count} example{'s' * (count > 1)}, and a training, a validation and a "
                "test part need one each at the least. Give more, better thousands."
            )

    def _standardisation(
        self, found: Mapping[Part, _Values], image_shape: tuple[int, ...] | None
    ) -> Standardisation | None:
        train = found["train"].x
        if self.standardise is None:
            zeros_and_ones = all(bool(((one.x == 0) | (one.x == 1)).all()) for one in found.values())
            wanted = image_shape is None and train.dtype != torch.uint8 and not zeros_and_ones
        else:
            wanted = self.standardise
        return Standardisation.of(train.double()) if wanted else None

    def _stored(self, x: Tensor, given: Mapping[Part, Given]) -> Tensor:
        if x.dtype == torch.uint8 and self.standardisation is None:
            return x
        stored = x.float() if self.standardisation is None else self.standardisation.apply(x)
        if not bool(stored.isfinite().all()):
            raise UserError(
                f"{given['train'].origin} holds values up to {float(x.abs().max()):.3g}, beyond single precision. "
                "Rescale them."
            )
        return stored


def _labels(
    given: Mapping[Part, Given], rows: Mapping[Part, np.ndarray]
) -> tuple[dict[Part, Int[Tensor, " N"]], int | None]:
    """Class numbers of each part, by the labels of all parts together, and how many classes there are."""
    with_labels = {part: one.y for part, one in given.items() if one.y is not None}
    if not with_labels:
        return {}, None
    if len(with_labels) < len(given):
        lacking = next(one.origin for one in given.values() if one.y is None)
        raise UserError(f"{lacking} has no labels, and {given[next(iter(with_labels))].origin} has. Give all or none.")
    for part, y in with_labels.items():
        class_numbers(y, len(rows[part]), given[part].origin, "examples")
    together = np.concatenate([y.ravel() for y in with_labels.values()])
    numbers, count = class_numbers(together, len(together), given["train"].origin, "examples")
    cut = numbers.split([len(rows[part]) for part in with_labels])
    return dict(zip(with_labels, cut, strict=True)), count
