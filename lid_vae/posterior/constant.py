"""A posterior that does not look: the standard normal for every x."""

import torch

from lid_vae.distribution.approximation import Parameters
from lid_vae.distribution.flow_gaussian import FlowGaussian
from lid_vae.noise import Rng, normal
from lid_vae.posterior.base import Posterior
from lid_vae.shapes import Float, Observations, Tensor

__all__ = ["ConstantPosterior"]


class ConstantPosterior(Posterior):
    """q(w | x) = N(0, I_M) with M = ``latent_dimension``.

    With an idle latent and that prior it is exact, and so is the log-likelihood by sampling.
    """

    counts = True
    support = "real"
    categories = None
    unit: Tensor

    def __init__(self, latent_dimension: int) -> None:
        super().__init__()
        self.latent_dimension = latent_dimension
        self.register_buffer("unit", torch.ones(latent_dimension), persistent=False)

    def encode(self, x: Observations) -> Parameters:
        return {"mean": torch.zeros_like(self.unit).expand(1, len(x), -1)}

    def distribution(self, parameters: Parameters) -> FlowGaussian:
        return FlowGaussian(parameters["mean"], self.unit.expand_as(parameters["mean"]))

    def draw_noise(self, samples: int, batch: int, generator: Rng) -> Float[Tensor, "*keys S K B M"]:
        shape = (samples, 1, batch, self.latent_dimension)
        return normal(shape, generator, self.unit.dtype)
