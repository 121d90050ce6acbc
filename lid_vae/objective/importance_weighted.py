"""The importance-weighted bound."""

from math import log

import torch

from lid_vae.distribution.approximation import Approximation
from lid_vae.errors import UserError
from lid_vae.objective.base import Objective
from lid_vae.shapes import Float, Observations, Tensor
from lid_vae.vae import Autoencoder

__all__ = ["ImportanceWeighted"]


class ImportanceWeighted(Objective):
    """log (1/S) sum_s p(x, w_s) / q(w_s | x), Burda, Grosse and Salakhutdinov (2016), eq. 8, for each example.

    The logarithm is taken for each example, never of a mean over the batch. With enumerated categories: sum_k q(k | x)
    log (1/S) sum_s p(x, k, w_sk) / q(k, w_sk | x), an evidence lower bound in z and importance-weighted in w. S is
    ``samples``. Summing the categories inside the logarithm would be tighter, but q(z | x) cancels from that sum and
    would never be trained. Raises ``UserError`` for draws without a reparametrised gradient.

    >>> from lid_vae.likelihood import GaussianLikelihood
    >>> from lid_vae.map import MLP
    >>> from lid_vae.posterior import AmortizedPosterior, MLPEncoder
    >>> from lid_vae.prior import StandardNormalPrior
    >>> from lid_vae.vae import Autoencoder
    >>> posterior = AmortizedPosterior(MLPEncoder((4,), 16), latent_dimension=2)
    >>> vae = Autoencoder(StandardNormalPrior(2), GaussianLikelihood(MLP(2, 4, 16, 1)), posterior)
    >>> objective = ImportanceWeighted(samples=8)
    >>> x, noise = torch.randn(10, 4), posterior.draw_noise(objective.samples, 10, torch.Generator().manual_seed(0))
    >>> objective(vae, x, posterior.distribution(posterior.encode(x)), noise).shape
    torch.Size([10])
    """

    def __init__(self, samples: int = 5) -> None:
        super().__init__()
        if samples < 1:
            raise UserError(f"ImportanceWeighted needs at least one sample, got samples={samples}. Use samples=5.")
        self.samples = samples

    def forward(
        self, vae: Autoencoder, x: Observations, q: Approximation, noise: Float[Tensor, "S K B M"]
    ) -> Float[Tensor, " B"]:
        if not q.reparametrised:
            raise UserError(
                "The importance-weighted bound needs reparametrised draws, which a Bernoulli latent has not. "
                "Use ELBO, or a prior with component='gamma', 'log_normal' or 'gaussian'."
            )
        terms = vae.terms(x, q, noise)
        weight = terms.log_weight()
        bound = torch.logsumexp(weight, 0, keepdim=True) - log(len(weight))
        return terms.expectation(bound).squeeze(0)
