"""Gaussian likelihood with one noise scale, learned or fixed."""

import torch
from torch import nn

from lid_vae.distribution.gaussian import normal_log_prob
from lid_vae.errors import UserError
from lid_vae.likelihood.base import MakeMap, VectorLikelihood, VectorObservation
from lid_vae.map.base import Map
from lid_vae.map.convex.positive import inverse_softplus, positive
from lid_vae.shapes import Float, Tensor

__all__ = ["GaussianLikelihood", "gaussian_likelihood"]


class GaussianObservation(VectorObservation):
    """N(mean, scale^2 I)."""

    def __init__(self, mean: Float[Tensor, "*batch D"], scale: Float[Tensor, ""]) -> None:
        self.mean, self.scale = mean, scale

    def log_prob(self, x: Tensor) -> Float[Tensor, "*batch"]:
        return normal_log_prob(x, self.mean, self.scale).sum(-1)

    def sample(self, generator: torch.Generator) -> Tensor:
        noise = torch.randn(self.mean.shape, generator=generator, device=self.mean.device, dtype=self.mean.dtype)
        return self.mean + self.scale * noise


class GaussianLikelihood(VectorLikelihood):
    """x | w ~ N(map(w), sigma^2 I), sigma learned from ``scale`` on, or fixed unless ``learn_scale``.

    It is at least ``scale_floor``; both are in the units of the data. Start with small noise: at sigma = 1 the noise
    explains everything and identifiable and classical models collapse alike. ``collapse_expected`` says where that
    begins. Raises ``UserError`` unless 0 < ``scale_floor`` < ``scale``.

    >>> from lid_vae.map import MLP
    >>> likelihood = GaussianLikelihood(MLP(2, 4, 16, 1))
    >>> likelihood(torch.zeros(5, 2)).log_prob(torch.zeros(5, 4)).shape
    torch.Size([5])
    """

    binary = False

    def __init__(self, map: Map, scale: float = 0.13, scale_floor: float = 0.01, learn_scale: bool = True) -> None:
        super().__init__(map)
        if not scale > scale_floor > 0:
            raise UserError(
                f"GaussianLikelihood needs 0 < scale_floor < scale, got scale={scale}, scale_floor={scale_floor}."
            )
        self.scale_floor = scale_floor
        self.raw_scale = nn.Parameter(inverse_softplus(torch.tensor(float(scale - scale_floor))), learn_scale)

    def forward(self, w: Float[Tensor, "*batch M"]) -> GaussianObservation:
        return GaussianObservation(self.map(w), self.noise_scale())

    def noise_scale(self) -> Float[Tensor, ""]:
        """sigma, in the units of the data."""
        return self.scale_floor + positive(self.raw_scale)

    @torch.no_grad()
    def initialise(self, mean: Float[Tensor, " D"], w: Float[Tensor, "N M"]) -> None:
        self.map.initialise_bias(torch.zeros_like(mean))
        self.map.initialise_bias(mean - self.map(w).mean(0))


def gaussian_likelihood(
    map: MakeMap,
    latent_dimension: int,
    features: int,
    *,
    scale: float = 0.13,
    scale_floor: float = 0.01,
    learn_scale: bool = True,
) -> GaussianLikelihood:
    """The likelihood of vectors of ``features`` real numbers (D), its ``map`` made from M = ``latent_dimension`` to D.

    ``scale``, ``scale_floor`` and ``learn_scale`` are those of ``GaussianLikelihood``.
    """
    made = map(in_features=latent_dimension, out_features=features)
    return GaussianLikelihood(made, scale, scale_floor, learn_scale)
