"""sigma-VAE: a Gaussian likelihood whose noise is the best for each training batch, and fixed in evaluation."""

from collections.abc import Iterable

import torch

from lid_vae.errors import UserError
from lid_vae.likelihood.base import CalibratedLikelihood, MakeMap, VectorObservation
from lid_vae.likelihood.gaussian import GaussianObservation
from lid_vae.map.base import Map
from lid_vae.shapes import Float, Tensor

__all__ = ["OptimalGaussianLikelihood", "OptimalGaussianObservation", "optimal_gaussian_likelihood"]


class OptimalGaussianObservation(VectorObservation):
    """N(mean, sigma^2 I) with the sigma under which the x that it is asked for are likeliest, at least ``floor``.

    ``scale`` is that of ``sample``, which knows no x.
    """

    def __init__(self, mean: Float[Tensor, "*batch D"], scale: Float[Tensor, ""], floor: float) -> None:
        self.mean, self.scale, self.floor = mean, scale, floor

    def log_prob(self, x: Tensor) -> Float[Tensor, "*batch"]:
        """sigma^2 is the mean of (x - mean)^2 over draws, examples and dimensions; no gradient passes through it."""
        variance = (x - self.mean).detach().square().mean().clamp_min(self.floor**2)
        return GaussianObservation(self.mean, variance.sqrt()).log_prob(x)

    def sample(self, generator: torch.Generator) -> Tensor:
        return GaussianObservation(self.mean, self.scale).sample(generator)


class OptimalGaussianLikelihood(CalibratedLikelihood):
    """x | w ~ N(map(w), sigma^2 I), sigma^2 = mean |x - map(w)|^2 / D (Rybkin, Daniilidis and Levine 2021).

    In training sigma is that of the batch: the value is a bound maximised over sigma, D log sigma up to a constant, and
    so the weight of the KL sets itself. Its derivative in sigma vanishes there, so that sigma may stand still in the
    gradient, which is exact for the mean bound of a batch; for bounds that are not a mean over draws, as importance
    weighting's, it is the gradient at that sigma.

    Evaluation uses one sigma, ``scale``, a buffer in the checkpoint: that of the whole training set under the model's
    q, which ``calibrate`` measures before each evaluation; never that of the examples evaluated, which would make the
    number no likelihood. ``likelihood=gaussian`` learns one sigma by gradient steps, the paper's other choice.

    Args:
        map: from w to the mean of x.
        scale: sigma until the first calibration, in the units of the data.
        scale_floor: the least sigma, in the units of the data.

    Raises:
        UserError: unless 0 < scale_floor < scale.

    Example:
        >>> from lid_vae.map import MLP
        >>> likelihood = OptimalGaussianLikelihood(MLP(2, 4, 16, 1))
        >>> likelihood(torch.zeros(5, 2)).log_prob(torch.zeros(5, 4)).shape
        torch.Size([5])
    """

    binary = False
    scale: Tensor

    def __init__(self, map: Map, scale: float = 0.13, scale_floor: float = 0.01) -> None:
        super().__init__(map)
        if not scale > scale_floor > 0:
            raise UserError(
                f"OptimalGaussianLikelihood needs 0 < scale_floor < scale, got scale={scale}, "
                f"scale_floor={scale_floor}."
            )
        self.scale_floor = scale_floor
        self.register_buffer("scale", torch.tensor(float(scale)))

    def forward(self, w: Float[Tensor, "*batch M"]) -> VectorObservation:
        if self.training:
            return OptimalGaussianObservation(self.map(w), self.scale, self.scale_floor)
        return GaussianObservation(self.map(w), self.scale)

    @torch.no_grad()
    def calibrate(self, draws: Iterable[tuple[Float[Tensor, "_ D"], Float[Tensor, "_ M"]]]) -> None:
        errors = [(x - self.map(w)).double().square().mean(-1) for x, w in draws]
        self.scale.copy_(torch.cat(errors).mean().sqrt().clamp_min(self.scale_floor))

    @torch.no_grad()
    def initialise(self, mean: Float[Tensor, " D"], w: Float[Tensor, "N M"]) -> None:
        self.map.initialise_bias(torch.zeros_like(mean))
        self.map.initialise_bias(mean - self.map(w).mean(0))


def optimal_gaussian_likelihood(
    map: MakeMap, latent_dimension: int, features: int, *, scale: float = 0.13, scale_floor: float = 0.01
) -> OptimalGaussianLikelihood:
    """The likelihood of vectors of ``features`` real numbers (D), its ``map`` made from M = ``latent_dimension`` to D.

    ``scale`` and ``scale_floor`` are those of ``OptimalGaussianLikelihood``.
    """
    return OptimalGaussianLikelihood(map(in_features=latent_dimension, out_features=features), scale, scale_floor)
