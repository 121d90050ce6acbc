"""Full-rank lifts R^M -> R^D with orthonormal columns: the beta_2 of Definition 4, fixed once built."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
import torch.nn.functional as F
from torch import nn

from lid_vae.errors import UserError
from lid_vae.map.blocks import AddedBlocks, AffineBlocks, folded, tiled
from lid_vae.shapes import Float, Tensor

__all__ = [
    "CyclicLift",
    "DenseLift",
    "Lift",
    "LiftName",
    "PadLift",
    "axes_shared",
    "make_lift",
    "pad_lift",
    "pca_lift",
    "random_lift",
    "spread_lift",
]

LiftName = Literal["pad", "random", "pca", "spread"]

# Numbers in a block from which on a pass over them costs more than its call.
MANY = 10_000


class Lift(nn.Module, ABC):
    """u -> B u, where B of shape [D, M] has orthonormal columns, so |B a - B b| = |a - b|."""

    in_features: int
    out_features: int

    @abstractmethod
    def forward(self, u: Float[Tensor, "*batch M"]) -> Float[Tensor, "*batch D"]:
        """B u."""

    def added(self, x: Float[Tensor, "*batch D"], u: Float[Tensor, "*batch M"]) -> Float[Tensor, "*batch D"]:
        """x + B u."""
        return x + self(u)

    def affine(
        self, hidden: Float[Tensor, "*batch n"], layer: nn.Linear, u: Float[Tensor, "*batch M"]
    ) -> Float[Tensor, "*batch D"]:
        """layer(hidden) + B u."""
        return self.added(layer(hidden), u)

    @abstractmethod
    def transposed(self, x: Float[Tensor, "*batch D"]) -> Float[Tensor, "*batch M"]:
        """B' x; of the rows of a matrix A, the product A B."""

    @abstractmethod
    def projected(self, weight: Float[Tensor, "D n"]) -> Float[Tensor, "M n"]:
        """B' W, for the ``weight`` W, [D, n], of a layer onto R^D: ``transposed`` of its columns."""


class DenseLift(Lift):
    """Any B, ``weight``. Raises ``UserError`` if D < M (not injective) or if the columns are not orthonormal."""

    weight: Tensor

    def __init__(self, weight: Float[Tensor, "D M"]) -> None:
        super().__init__()
        self.out_features, self.in_features = weight.shape
        _check_dimensions(self.in_features, self.out_features)
        gram = weight.double().mT @ weight.double()
        if not torch.allclose(gram, torch.eye(len(gram)).to(gram), atol=1e-4):
            raise UserError("A lift needs a matrix with orthonormal columns. Use pad_lift, random_lift or pca_lift.")
        self.register_buffer("weight", weight)

    def forward(self, u: Float[Tensor, "*batch M"]) -> Float[Tensor, "*batch D"]:
        return u @ self.weight.mT

    def transposed(self, x: Float[Tensor, "*batch D"]) -> Float[Tensor, "*batch M"]:
        return x @ self.weight

    def projected(self, weight: Float[Tensor, "D n"]) -> Float[Tensor, "M n"]:
        return self.weight.mT @ weight


class PadLift(Lift):
    """From M, ``in_features``, to D, ``out_features``: ones on the main diagonal of B and zeros elsewhere.

    Raises ``UserError`` if D < M.
    """

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        _check_dimensions(in_features, out_features)
        self.in_features, self.out_features = in_features, out_features

    def forward(self, u: Float[Tensor, "*batch M"]) -> Float[Tensor, "*batch D"]:
        return F.pad(u, (0, self.out_features - self.in_features))

    def transposed(self, x: Float[Tensor, "*batch D"]) -> Float[Tensor, "*batch M"]:
        return x[..., : self.in_features]

    def projected(self, weight: Float[Tensor, "D n"]) -> Float[Tensor, "M n"]:
        return weight[: self.in_features]


class CyclicLift(Lift):
    """B_dm = value_d where m = d mod M, else 0: one entry in each row, so that it costs D products and not D M.

    M is ``in_features``, and D numbers are in ``value``. A vocabulary has ten thousand rows. Columns are scaled to
    length one. Raises ``UserError`` if D < M, or if a column is zero.
    """

    value: Tensor

    def __init__(self, in_features: int, value: Float[Tensor, " D"]) -> None:
        super().__init__()
        self.in_features, self.out_features = in_features, len(value)
        _check_dimensions(self.in_features, self.out_features)
        length = folded(value.double().square(), in_features).sum(-2).sqrt()
        if not bool((length > 0).all()):
            raise UserError("A lift needs a matrix of full rank, and a column of this one is zero.")
        self.register_buffer("value", (value / tiled(length, self.out_features)).to(value.dtype))

    def forward(self, u: Float[Tensor, "*batch M"]) -> Float[Tensor, "*batch D"]:
        return tiled(u, self.out_features) * self.value

    def added(self, x: Float[Tensor, "*batch D"], u: Float[Tensor, "*batch M"]) -> Float[Tensor, "*batch D"]:
        if self._in_blocks(x.numel(), x, u):
            return AddedBlocks.apply(x, u, self.value)  # type: ignore[no-any-return, no-untyped-call]
        return super().added(x, u)

    def affine(
        self, hidden: Float[Tensor, "*batch n"], layer: nn.Linear, u: Float[Tensor, "*batch M"]
    ) -> Float[Tensor, "*batch D"]:
        if self._in_blocks(u[..., 0].numel() * self.out_features, hidden, layer.weight, u):
            return AffineBlocks.apply(hidden, layer.weight, layer.bias, u, self.value)  # type: ignore[no-any-return, no-untyped-call]
        return super().affine(hidden, layer, u)

    def transposed(self, x: Float[Tensor, "*batch D"]) -> Float[Tensor, "*batch M"]:
        return folded(x * self.value, self.in_features).sum(-2)

    def projected(self, weight: Float[Tensor, "D n"]) -> Float[Tensor, "M n"]:
        padded = F.pad(weight * self.value.unsqueeze(-1), (0, 0, 0, -len(weight) % self.in_features))
        return padded.unflatten(0, (-1, self.in_features)).sum(0)

    def _in_blocks(self, numbers: int, *tensors: Tensor) -> bool:
        """Whether a result of so many numbers is to be made block by block."""
        blocks = -(-self.out_features // self.in_features)
        alike = all(x.device.type == "cpu" and x.dtype == self.value.dtype for x in tensors)
        return alike and numbers >= MANY * blocks and not torch.compiler.is_compiling()


def pad_lift(in_features: int, out_features: int) -> Lift:
    """From ``in_features`` to ``out_features``: ones on the main diagonal and zeros elsewhere, the paper's choice."""
    return PadLift(in_features, out_features)


def spread_lift(in_features: int, out_features: int) -> Lift:
    """Each direction over all of the D dimensions' length: every M-th of them, with random signs of equal size.

    From M, ``in_features``, to D, ``out_features``. The count sketch of Charikar, Chen and Farach-Colton (2002). For a
    vocabulary, where ``pad`` would move the M most frequent words alone. Signs from torch's global generator.
    """
    _check_dimensions(in_features, out_features)
    signs = 2 * torch.randint(2, (out_features,)) - 1
    return CyclicLift(in_features, signs.to(torch.get_default_dtype()))


def random_lift(in_features: int, out_features: int) -> Lift:
    """From M, ``in_features``, to D, ``out_features``: orthonormal columns uniform over all such matrices.

    By the QR decomposition of a Gaussian matrix, from torch's global generator.
    """
    _check_dimensions(in_features, out_features)
    columns, triangle = torch.linalg.qr(torch.randn(out_features, in_features, dtype=torch.float64))
    return DenseLift((columns * triangle.diagonal().sign()).to(torch.get_default_dtype()))


def pca_lift(in_features: int, data: Float[Tensor, "N D"]) -> DenseLift:
    """The leading principal directions of ``data``; each column's largest entry is positive, so that signs repeat.

    Raises ``UserError`` if there are fewer than ``in_features`` dimensions.
    """
    _check_dimensions(in_features, data.shape[1])
    columns = _axes(data)[:, :in_features]
    largest = columns.gather(0, columns.abs().argmax(0, keepdim=True))
    return DenseLift((columns * largest.sign()).to(torch.get_default_dtype()))


_found: dict[tuple[int, ...], Tensor] | None = None


@contextmanager
def axes_shared() -> Iterator[None]:
    """Within it all data of one shape are the same, and their principal directions are found once.

    As for the seeds of a run, and for what is tried before: of images they take seconds.
    """
    global _found
    _found = {}
    try:
        yield
    finally:
        _found = None


def _axes(data: Float[Tensor, "N D"]) -> Float[Tensor, "D D"]:
    """Eigenvectors of the covariance, the leading one first."""
    kept = {} if _found is None else _found
    if data.shape not in kept:
        centred = data.double() - data.double().mean(0)
        _, vectors = torch.linalg.eigh(centred.mT @ centred / len(data))
        kept[data.shape] = vectors.flip(-1)
    return kept[data.shape]


def make_lift(name: LiftName, in_features: int, out_features: int) -> Lift:
    """The lift of a ``name`` from ``in_features`` to ``out_features``.

    That of "pca" is random until it is given the directions of the data. Raises ``UserError`` for a name that is not
    known.
    """
    makers = {"pad": pad_lift, "random": random_lift, "pca": random_lift, "spread": spread_lift}
    if name not in makers:
        raise UserError(f"lift={name} is not known. Use one of {', '.join(makers)}.")
    return makers[name](in_features, out_features)


def _check_dimensions(in_features: int, out_features: int) -> None:
    if out_features < in_features:
        raise UserError(
            f"A lift goes from fewer dimensions to more, got {in_features} -> {out_features}, which cannot be "
            f"injective. Use a latent dimension of at most {out_features}."
        )
