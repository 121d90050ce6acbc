"""Full-rank lifts R^M -> R^D with orthonormal columns: the beta_2 of Definition 4, fixed once built."""

import torch
from torch import nn

from lid_vae.errors import UserError
from lid_vae.shapes import Float, Tensor

__all__ = ["Lift", "pad_lift", "pca_lift", "random_lift"]


class Lift(nn.Module):
    """u -> B u, where B of shape [D, M] has orthonormal columns, so |B a - B b| = |a - b|.

    Raises ``UserError`` if D < M (not injective) or if the columns are not orthonormal.
    """

    weight: Tensor

    def __init__(self, weight: Float[Tensor, "D M"]) -> None:
        super().__init__()
        _check_dimensions(weight.shape[1], weight.shape[0])
        gram = weight.double().mT @ weight.double()
        if not torch.allclose(gram, torch.eye(len(gram)).to(gram), atol=1e-4):
            raise UserError("A lift needs a matrix with orthonormal columns. Use pad_lift, random_lift or pca_lift.")
        self.register_buffer("weight", weight)

    def forward(self, u: Float[Tensor, "*batch M"]) -> Float[Tensor, "*batch D"]:
        return u @ self.weight.mT


def pad_lift(in_features: int, out_features: int) -> Lift:
    """Ones on the main diagonal and zeros elsewhere, the paper's choice."""
    _check_dimensions(in_features, out_features)
    return Lift(torch.eye(out_features, in_features))


def random_lift(in_features: int, out_features: int) -> Lift:
    """Orthonormal columns uniform over all such matrices (QR of a Gaussian matrix), from torch's global generator."""
    _check_dimensions(in_features, out_features)
    columns, triangle = torch.linalg.qr(torch.randn(out_features, in_features, dtype=torch.float64))
    return Lift((columns * triangle.diagonal().sign()).to(torch.get_default_dtype()))


def pca_lift(in_features: int, data: Float[Tensor, "N D"]) -> Lift:
    """The leading principal directions of ``data``; each column's largest entry is positive, so that signs repeat.

    Raises ``UserError`` if there are fewer than ``in_features`` dimensions.
    """
    _check_dimensions(in_features, data.shape[1])
    centred = data.double() - data.double().mean(0)
    covariance = centred.mT @ centred / len(data)
    _, vectors = torch.linalg.eigh(covariance)
    columns = vectors.flip(-1)[:, :in_features]
    largest = columns.gather(0, columns.abs().argmax(0, keepdim=True))
    return Lift((columns * largest.sign()).to(torch.get_default_dtype()))


def _check_dimensions(in_features: int, out_features: int) -> None:
    if out_features < in_features:
        raise UserError(
            f"A lift goes from fewer dimensions to more, got {in_features} -> {out_features}, which cannot be "
            f"injective. Use a latent dimension of at most {out_features}."
        )
