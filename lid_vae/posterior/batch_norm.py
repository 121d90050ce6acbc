"""BN-VAE: the posterior's mean, normalised over the batch to a fixed deviation, which gives the mean KL a floor."""

from collections.abc import Iterable

import torch
from torch import nn

from lid_vae.distribution.approximation import Approximation, Parameters
from lid_vae.errors import UserError
from lid_vae.noise import Rng
from lid_vae.posterior.amortized import AmortizedPosterior
from lid_vae.posterior.base import CalibratedPosterior, Posterior
from lid_vae.shapes import Float, Observations, Tensor

__all__ = ["BatchNormPosterior"]

EPSILON = 1e-5


class BatchNormPosterior(CalibratedPosterior):
    """A diagonal Gaussian posterior whose mean is ``gamma`` times the normalised mean plus a learned shift.

    Zhu et al. (2020, arXiv:2004.12585). From N(0, I) in d dimensions, and with the batch's own statistics,

        mean_x KL(q(w | x) || p(w)) >= 1/2 sum_m mean_x mean_m(x)^2 = (d gamma^2 + |shift|^2) / 2,

    for KL - mean^2 / 2 = (scale^2 - 1 - log scale^2) / 2 >= 0. (gamma^2 stands for gamma^2 v / (v + 1e-5) where the
    encoder's own mean has variance v.) No such floor is known for another prior, where this still runs. Every unit is
    active by construction once gamma >= 0.1: that says nothing of whether the decoder listens.

    Training normalises by the batch, evaluation by the statistics of the whole training set, which ``calibrate``
    measures. No buffer changes in a forward pass, as batch normalisation's running averages would, so training can be
    stacked over seeds. Raises ``UserError`` for any other posterior, for gamma <= 0, and for batches of one.
    """

    centre: Tensor
    variance: Tensor

    def __init__(self, posterior: Posterior, gamma: float = 0.5) -> None:
        super().__init__()
        if not gamma > 0:
            raise UserError(f"BatchNormPosterior needs gamma > 0, got gamma={gamma}. Use gamma=0.5.")
        if not isinstance(posterior, AmortizedPosterior):
            raise UserError(
                "BatchNormPosterior normalises the mean of a diagonal Gaussian q(w | x), and "
                f"{type(posterior).__name__} has none. "
                "Use a latent of real numbers (StandardNormalPrior or GaussianMixture), or the posterior as it is."
            )
        if len(posterior.flow) > 0:
            raise UserError(
                f"BatchNormPosterior needs a diagonal Gaussian q(w | x), and here {type(posterior.flow[0]).__name__} "
                "follows the Gaussian, so that its mean is not the posterior's and the floor of the KL is lost. Use "
                "gaussian_family with a latent of real numbers, or the posterior as it is."
            )
        if posterior.categories is not None:
            raise UserError(
                "BatchNormPosterior needs one Gaussian q(w | x), and a family with mixture='enumerate' has one for "
                "each "
                "category: normalised, all would have the same mean and standard deviation. Use mixture='conditional'."
            )
        self.posterior, self.gamma = posterior, float(gamma)
        self.latent_dimension, self.categories = posterior.latent_dimension, posterior.categories
        self.support, self.counts = posterior.support, posterior.counts
        self.shift = nn.Parameter(torch.zeros(self.latent_dimension))
        self.register_buffer("centre", torch.zeros(self.latent_dimension))
        self.register_buffer("variance", torch.ones(self.latent_dimension))

    def encode(self, x: Observations) -> Parameters:
        parameters = self.posterior.encode(x)
        mean = parameters["mean"]
        centre, variance = self.centre, self.variance
        if self.training:
            if len(x) < 2:
                raise UserError(
                    "BatchNormPosterior normalises over a batch, and this one has a single example. Use batch_size=64."
                )
            centre, variance = mean.mean(-2, keepdim=True), mean.var(-2, unbiased=False, keepdim=True)
        normalised = (mean - centre) / (variance + EPSILON).sqrt()
        return {**parameters, "mean": self.gamma * normalised + self.shift}

    def distribution(self, parameters: Parameters) -> Approximation:
        return self.posterior.distribution(parameters)

    def draw_noise(self, samples: int, batch: int, generator: Rng) -> Float[Tensor, "*keys S K B M"]:
        return self.posterior.draw_noise(samples, batch, generator)

    @torch.no_grad()
    def calibrate(self, batches: Iterable[Tensor]) -> None:
        means = torch.cat([self.posterior.encode(x)["mean"][0] for x in batches]).double()
        self.centre.copy_(means.mean(0))
        self.variance.copy_(means.var(0, unbiased=False))
