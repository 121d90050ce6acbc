"""Amortised inference: one encoder pass gives q, and one joint step trains everything."""

from lid_vae.distribution.approximation import Approximation
from lid_vae.inference.base import Group, Inference, Update, Updates
from lid_vae.objective.base import Objective
from lid_vae.shapes import Float, Observations, Tensor
from lid_vae.vae import Autoencoder

__all__ = ["Amortized"]


class Amortized(Inference):
    """Kingma and Welling (2014)."""

    needs_gradient = False
    groups: tuple[Group, ...] = ("all",)

    def posterior(
        self, vae: Autoencoder, objective: Objective, x: Observations, noise: Float[Tensor, "S K B M"]
    ) -> Approximation:
        return vae.posterior.distribution(vae.posterior.encode(x))

    def updates(self) -> Updates:
        yield Update("all")
