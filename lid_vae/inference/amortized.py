"""Amortised inference: one encoder pass gives q, and one joint step trains everything."""

from lid_vae.distribution.approximation import Approximation
from lid_vae.inference.base import Draw, Group, Inference, Minimise
from lid_vae.objective.base import Objective
from lid_vae.shapes import Float, Tensor
from lid_vae.vae import VAE

__all__ = ["Amortized"]


class Amortized(Inference):
    """Kingma and Welling (2014)."""

    needs_gradient = False
    groups: tuple[Group, ...] = ("all",)

    def posterior(
        self, vae: VAE, objective: Objective, x: Float[Tensor, "B D"], noise: Float[Tensor, "S K B M"]
    ) -> Approximation:
        return vae.posterior.distribution(vae.posterior.encode(x))

    def update(
        self, vae: VAE, objective: Objective, x: Tensor, noise: Tensor, minimise: Minimise, draw: Draw
    ) -> Float[Tensor, " B"]:
        value = objective(vae, x, self.posterior(vae, objective, x, noise), noise)
        minimise(-value.mean(), "all")
        return value.detach()

    def validated(self, information: float) -> None:
        """Nothing depends on it."""
