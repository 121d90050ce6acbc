"""A factorised Bernoulli approximation of a binary latent; draws carry no gradient."""

import torch
import torch.nn.functional as F

from lid_vae.distribution.approximation import Approximation, LatentSample
from lid_vae.shapes import Float, Tensor

__all__ = ["BernoulliApproximation"]


class BernoulliApproximation(Approximation):
    """q(w | x) = prod_m Bernoulli(w_m | logits_m); ``noise`` is uniform on (0, 1).

    ``logits`` are a row for each category and example; ``log_category`` is log q(z | x), or None, as in the base.
    """

    reparametrised = False

    def __init__(self, logits: Float[Tensor, "K B M"], log_category: Float[Tensor, "K B"] | None = None) -> None:
        self.logits, self.log_category = logits, log_category

    def sample(self, noise: Float[Tensor, "S K B M"]) -> LatentSample:
        w = (noise < torch.sigmoid(self.logits)).to(self.logits.dtype).detach()
        return LatentSample(w, self._log_prob(w, self.logits), w)

    def marginal_log_prob(self, sample: LatentSample) -> Float[Tensor, "S K B"]:
        if self.log_category is None:
            return sample.log_prob
        terms = [self.log_category[k] + self._log_prob(sample.w, self.logits[k]) for k in range(len(self.logits))]
        return torch.logsumexp(torch.stack(terms), 0)

    def expectation(self) -> Float[Tensor, "K B M"]:
        return torch.sigmoid(self.logits)

    def statistic(self, base: Float[Tensor, "*batch M"]) -> Float[Tensor, "*batch P"]:
        return base

    def natural(self) -> tuple[Float[Tensor, "K B P"], Float[Tensor, "K B"]]:
        logits = self.logits.double()
        return logits, F.softplus(logits).sum(-1)

    @staticmethod
    def _log_prob(w: Tensor, logits: Tensor) -> Tensor:
        return (w * logits - F.softplus(logits)).sum(-1)
