"""The distortion: how badly x is told by draws of q."""

from lid_vae.distribution.approximation import Approximation
from lid_vae.measure.base import DrawMeasure
from lid_vae.shapes import Float, Tensor
from lid_vae.vae import LogTerms

__all__ = ["Distortion"]


class Distortion(DrawMeasure):
    """-E_q[log p(x | w)], nats for each example: the bound is minus the distortion and the rate, which is the KL.

    Alemi et al. (2018), "Fixing a broken ELBO". A collapsed model has a rate of 0 and the distortion of a model without
    latents.
    """

    def value(self, terms: LogTerms, q: Approximation) -> Float[Tensor, "S B"]:
        return -terms.expectation(terms.log_likelihood)
