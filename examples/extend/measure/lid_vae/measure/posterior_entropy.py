"""The entropy of the posterior: how much of the latent a single observation leaves open."""

from lid_vae.distribution.approximation import Approximation
from lid_vae.measure.base import DrawMeasure
from lid_vae.shapes import Float, Tensor
from lid_vae.vae import LogTerms

__all__ = ["PosteriorEntropy"]


class PosteriorEntropy(DrawMeasure):
    """-E_q[log q(w | x)], nats; of all latents together where categories are enumerated.

    That of a collapsed latent is the prior's. For a Gaussian of M dimensions and standard deviations s_d it is
    M log(2 pi e) / 2 + sum_d log s_d (Cover and Thomas 2006, theorem 8.4.1).
    """

    def value(self, terms: LogTerms, q: Approximation) -> Float[Tensor, "S B"]:
        return -terms.expectation(terms.log_posterior)
