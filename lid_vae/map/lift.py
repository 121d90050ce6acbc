"""Full-rank lifts R^M -> R^D with orthonormal columns: the beta_2 of Definition 4, fixed once built."""

from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import nn

from lid_vae.errors import UserError
from lid_vae.shapes import Float, Tensor

__all__ = ["CyclicLift", "DenseLift", "Lift", "PadLift", "pad_lift", "pca_lift", "random_lift", "spread_lift"]


class Lift(nn.Module, ABC):
    """u -> B u, where B of shape [D, M] has orthonormal columns, so |B a - B b| = |a - b|."""

    in_features: int
    out_features: int

    @abstractmethod
    def forward(self, u: Float[Tensor, "*batch M"]) -> Float[Tensor, "*batch D"]:
        """B u."""

    @abstractmethod
    def transposed(self, x: Float[Tensor, "*batch D"]) -> Float[Tensor, "*batch M"]:
        """B' x; of the rows of a matrix A, the product A B."""


class DenseLift(Lift):
    """Any B. Raises ``UserError`` if D < M (not injective) or if the columns are not orthonormal."""

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


class PadLift(Lift):
    """Ones on the main diagonal of B and zeros elsewhere. Raises ``UserError`` if D < M."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        _check_dimensions(in_features, out_features)
        self.in_features, self.out_features = in_features, out_features

    def forward(self, u: Float[Tensor, "*batch M"]) -> Float[Tensor, "*batch D"]:
        return F.pad(u, (0, self.out_features - self.in_features))

    def transposed(self, x: Float[Tensor, "*batch D"]) -> Float[Tensor, "*batch M"]:
        return x[..., : self.in_features]


class CyclicLift(Lift):
    """B_dm = value_d where m = d mod M, else 0: one entry in each row, so that it costs D products and not D M.

    A vocabulary has ten thousand rows. Columns are scaled to length one. Raises ``UserError`` if D < M, or if a column
    is zero.
    """

    value: Tensor

    def __init__(self, in_features: int, value: Float[Tensor, " D"]) -> None:
        super().__init__()
        self.in_features, self.out_features = in_features, len(value)
        _check_dimensions(self.in_features, self.out_features)
        length = self._folded(value.double().square()).sum(-2).sqrt()
        if not bool((length > 0).all()):
            raise UserError("A lift needs a matrix of full rank, and a column of this one is zero.")
        self.register_buffer("value", (value / self._tiled(length)).to(value.dtype))

    def forward(self, u: Float[Tensor, "*batch M"]) -> Float[Tensor, "*batch D"]:
        return self._tiled(u) * self.value

    def transposed(self, x: Float[Tensor, "*batch D"]) -> Float[Tensor, "*batch M"]:
        return self._folded(x * self.value).sum(-2)

    def _tiled(self, u: Tensor) -> Tensor:
        copies = -(-self.out_features // self.in_features)
        tiled = u.unsqueeze(-2).expand(*u.shape[:-1], copies, self.in_features)
        return tiled.flatten(-2)[..., : self.out_features]

    def _folded(self, x: Tensor) -> Tensor:
        """[*batch, D] as [*batch, copies, M], zeros at the end."""
        short = -self.out_features % self.in_features
        return F.pad(x, (0, short)).unflatten(-1, (-1, self.in_features))


def pad_lift(in_features: int, out_features: int) -> Lift:
    """Ones on the main diagonal and zeros elsewhere, the paper's choice."""
    return PadLift(in_features, out_features)


def spread_lift(in_features: int, out_features: int) -> Lift:
    """Each direction over all of the D dimensions' length: every M-th of them, with random signs of equal size.

    The count sketch of Charikar, Chen and Farach-Colton (2002). For a vocabulary, where ``pad`` would move the M most
    frequent words alone. Signs from torch's global generator.
    """
    _check_dimensions(in_features, out_features)
    signs = 2 * torch.randint(2, (out_features,)) - 1
    return CyclicLift(in_features, signs.to(torch.get_default_dtype()))


def random_lift(in_features: int, out_features: int) -> Lift:
    """Orthonormal columns uniform over all such matrices (QR of a Gaussian matrix), from torch's global generator."""
    _check_dimensions(in_features, out_features)
    columns, triangle = torch.linalg.qr(torch.randn(out_features, in_features, dtype=torch.float64))
    return DenseLift((columns * triangle.diagonal().sign()).to(torch.get_default_dtype()))


def pca_lift(in_features: int, data: Float[Tensor, "N D"]) -> DenseLift:
    """The leading principal directions of ``data``; each column's largest entry is positive, so that signs repeat.

    Raises ``UserError`` if there are fewer than ``in_features`` dimensions.
    """
    _check_dimensions(in_features, data.shape[1])
    centred = data.double() - data.double().mean(0)
    covariance = centred.mT @ centred / len(data)
    _, vectors = torch.linalg.eigh(covariance)
    columns = vectors.flip(-1)[:, :in_features]
    largest = columns.gather(0, columns.abs().argmax(0, keepdim=True))
    return DenseLift((columns * largest.sign()).to(torch.get_default_dtype()))


def _check_dimensions(in_features: int, out_features: int) -> None:
    if out_features < in_features:
        raise UserError(
            f"A lift goes from fewer dimensions to more, got {in_features} -> {out_features}, which cannot be "
            f"injective. Use a latent dimension of at most {out_features}."
        )
