"""The importance-weighted bound."""

from math import log

import torch

from lid_vae.distribution.approximation import Approximation
from lid_vae.errors import UserError
from lid_vae.objective.base import Objective
from lid_vae.shapes import Float, Tensor
from lid_vae.vae import VAE

__all__ = ["ImportanceWeighted"]


class ImportanceWeighted(Objective):
    """log (1/S) sum_s p(x, w_s) / q(w_s | x), Burda, Grosse and Salakhutdinov (2016), eq. 8, for each example.

    The logarithm is taken for each example, never of a mean over the batch. Enumerated categories are summed exactly.
    Raises ``UserError`` for draws without a reparametrised gradient.
    """

    def __init__(self, samples: int = 5) -> None:
        super().__init__()
        if samples < 1:
            raise UserError(
                f"The importance-weighted bound needs at least one sample, got objective.samples={samples}."
            )
        self.samples = samples

    def forward(
        self, vae: VAE, x: Float[Tensor, "B D"], q: Approximation, noise: Float[Tensor, "S K B M"]
    ) -> Float[Tensor, " B"]:
        if not q.reparametrised:
            raise UserError(
                "The importance-weighted bound needs reparametrised draws, which a Bernoulli latent has not. "
                "Use objective=elbo, or prior.component=gamma, log_normal or gaussian."
            )
        weight = vae.terms(x, q, noise).log_evidence_weight()
        return torch.logsumexp(weight, 0) - log(len(weight))

    def advance(self, step: int, steps: int) -> None:
        """No schedule."""
