"""A split of a data set held as tensors, the batches cut from it, and the parts chosen by the data seed."""

__all__ = ["Batch", "Corpus", "Examples", "Rows", "Split", "as_float", "at_least_one", "hold_out", "subsample"]

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any, Generic, NamedTuple, Protocol, TypeVar, runtime_checkable

import torch

from lid_vae.errors import UserError
from lid_vae.noise import generator
from lid_vae.shapes import Float, Int, Observations, Tensor


class Batch(NamedTuple):
    """What a model trains on or is measured on.

    ``x`` is ready for the model: values, binarised where that was asked, or token ids, padded at the end with 0.
    ``y`` holds class numbers where the data have any, and ``index`` says which rows of the split these are.
    """

    x: Observations
    y: Int[Tensor, " B"] | None
    index: Int[Tensor, " B"]  # type: ignore[assignment]  # hides tuple.index, which no one needs


@runtime_checkable
class Rows(Protocol):
    """Examples that can be divided."""

    def __len__(self) -> int: ...

    def rows(self, index: Int[Tensor, " n"]) -> Any:
        """The rows ``index``, copied, in the same form."""


@runtime_checkable
class Examples(Rows, Protocol):
    """Examples held as tensors on one device, from which batches are cut."""

    def to(self, device: torch.device | str) -> Any:
        """The same examples on ``device``; nothing is copied where they are there already."""

    def arrays(self) -> list[Tensor]:
        """All that they are, labels last: what a checksum is taken of."""

    def order(self) -> Int[Tensor, " N"]:
        """The rows in the order in which they are evaluated."""

    def batch(self, index: Int[Tensor, " B"]) -> Batch:
        """The rows ``index`` as they are evaluated."""


@dataclass(frozen=True)
class Split:
    """Rows of a data set on one device.

    ``x`` is uint8 [N, D] for images, float32 [N, D] for real data; ``y`` are class numbers from 0, int64, or None.
    """

    x: Tensor
    y: Int[Tensor, " N"] | None = None

    def __post_init__(self) -> None:
        assert self.x.ndim == 2
        assert self.x.dtype in (torch.uint8, torch.float32)
        assert self.y is None or (self.y.shape == self.x.shape[:1] and self.y.dtype == torch.int64)

    def __len__(self) -> int:
        return self.x.shape[0]

    @property
    def device(self) -> torch.device:
        return self.x.device

    def to(self, device: torch.device | str) -> "Split":
        """The same rows on ``device``; nothing is copied where they are there already."""
        return Split(self.x.to(device), None if self.y is None else self.y.to(device))

    def rows(self, index: Int[Tensor, " n"]) -> "Split":
        """The rows ``index``, copied."""
        return Split(self.x[index], None if self.y is None else self.y[index])

    def arrays(self) -> list[Tensor]:
        return [self.x] if self.y is None else [self.x, self.y]

    def order(self) -> Int[Tensor, " N"]:
        return torch.arange(len(self), device=self.device)

    def batch(self, index: Int[Tensor, " B"]) -> Batch:
        """The rows ``index`` as they are evaluated: bytes as grey levels in [0, 1]."""
        rows = self.rows(index)
        return Batch(as_float(rows.x), rows.y, index)


AnyRows = TypeVar("AnyRows", bound=Rows)
AnyExamples = TypeVar("AnyExamples", bound=Examples)


@dataclass(frozen=True)
class Corpus(Generic[AnyRows]):
    """What a data set is: three disjoint splits, and what is known about them.

    Attributes:
        train, valid, test: the splits, in one form.
        image_shape: of images, (height, width) of grey ones, (3, height, width) of colour; values in that order.
        label_count: the number of classes, where there are labels.
        symbols: of text, the words to choose from where a published list names them; once they are numbered, all
            symbols in the order of their ids.
    """

    train: AnyRows
    valid: AnyRows
    test: AnyRows
    image_shape: tuple[int, ...] | None = None
    label_count: int | None = None
    symbols: Sequence[str] = ()

    def __getitem__(self, part: str) -> AnyRows:
        """The split of that name."""
        return {"train": self.train, "valid": self.valid, "test": self.test}[part]


def as_float(x: Tensor) -> Float[Tensor, "*shape"]:
    """Stored values ``x`` as the model takes them: bytes become grey levels in [0, 1], real values stay."""
    return x.float().div_(255) if x.dtype == torch.uint8 else x


def hold_out(split: AnyRows, size: int | None, seed: int, part: str) -> tuple[AnyRows, AnyRows]:
    """The rest, and ``size`` random rows (a tenth for None) held out of ``split`` as its ``part`` ("valid", "test").

    Which they are follows from the data ``seed`` and the part.

    Raises:
        UserError: if nothing would be held out, or nothing would be left.
    """
    if len(split) < 2:
        raise UserError(
            f"There is one example, which cannot be divided into a training part and a {part} part: from one nothing "
            "can be learnt or measured. Give at least a few, better thousands."
        )
    size = max(1, len(split) // 10) if size is None else size
    at_least_one(**{f"{part}_size": size})
    if size >= len(split):
        raise UserError(
            f"{part}_size={size} leaves no training data: there are {len(split)} examples to divide. "
            f"Choose {part}_size below {len(split)}."
        )
    order = torch.randperm(len(split), generator=generator(seed, "split", part))
    return split.rows(order[size:]), split.rows(order[:size])


def subsample(split: AnyRows, size: int | None, seed: int) -> AnyRows:
    """``size`` random rows of the training part ``split`` (all for None), drawn by the data ``seed``.

    A smaller subset lies inside a larger one.

    Raises:
        UserError: if there are fewer rows than that.
    """
    if size is None:
        return split
    if size > len(split):
        raise UserError(
            f"train_size={size} asks for more than there is: {len(split)} training examples are left after the "
            f"held-out parts. Choose train_size of at most {len(split)}, or None for all of them."
        )
    return split.rows(torch.randperm(len(split), generator=generator(seed, "subset"))[:size])


def at_least_one(**sizes: int | None) -> None:
    """Refuses what is no whole number from one on; None passes.

    Raises:
        UserError: naming the argument.
    """
    for name, size in sizes.items():
        if size is not None and (isinstance(size, bool) or not isinstance(size, Integral) or size < 1):
            raise UserError(f"{name}={size} must be at least 1, a whole number.")
