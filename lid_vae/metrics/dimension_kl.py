"""KL divergence of single latent dimensions from the prior: which of them say anything about x."""

from math import e, log, pi
from typing import Any

import torch

from lid_vae.errors import UserError
from lid_vae.metrics.plotted import PlottedMetric
from lid_vae.shapes import Float, Tensor

__all__ = ["DimensionKL", "dimension_kl"]


def dimension_kl(
    mean: Float[Tensor, "B M"], square_mean: Float[Tensor, "B M"], log_prior_mean: Float[Tensor, "B M"], draws: int
) -> Float[Tensor, "B M"]:
    """The terms of ``DimensionKL``, one for each example, nats.

    ``mean``, ``square_mean`` and ``log_prior_mean`` are averages over ``draws`` draws: of w_d, of its square and of
    log p(w_d). Raises ``UserError`` for fewer than two draws.
    """
    if draws < 2:
        raise UserError(f"A variance needs at least two draws, got {draws}.")
    freedom = torch.tensor((draws - 1) / 2, dtype=torch.float64, device=mean.device)
    variance = ((square_mean - mean.square()) * draws / (draws - 1)).double().clamp_min(1e-30)
    # The logarithm of a normal sample's variance is too small on average, by this much.
    log_variance = variance.log() - (torch.digamma(freedom) - freedom.log())
    return -log_prior_mean - 0.5 * (log(2 * pi * e) + log_variance)


class DimensionKL(PlottedMetric):
    """E_x KL(q(w_d | x) || p(w_d)) for each dimension d alone, nats: from below, and exactly for Gaussian q(w_d | x).

    The value is E_q[-log p(w_d)] - H, with H the entropy of a normal of the variance of q(w_d | x): no density of that
    variance has a greater one (Cover and Thomas 2006, theorem 8.6.5). For positive w take log w and the density of
    log w, as a bijection leaves the divergence alone. ``dimensions`` is M.

    >>> kl = DimensionKL(1)
    >>> w = 1 + torch.randn(2000, 50, 1, generator=torch.Generator().manual_seed(0))
    >>> log_prior = -0.5 * w.square() - 0.5 * log(2 * pi)
    >>> kl.update(w.mean(1), w.square().mean(1), log_prior.mean(1), draws=50)
    >>> round(float(kl.compute()), 2)  # of N(1, 1) from N(0, 1)
    0.5
    """

    full_state_update = False
    count: Tensor
    total: Tensor

    def __init__(self, dimensions: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("count", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("total", torch.zeros(dimensions, dtype=torch.float64), dist_reduce_fx="sum")

    def update(
        self,
        mean: Float[Tensor, "B M"],
        square_mean: Float[Tensor, "B M"],
        log_prior_mean: Float[Tensor, "B M"],
        draws: int,
    ) -> None:
        """Averages over ``draws`` (two or more) draws of q(w | x), for each example and dimension.

        ``mean`` is that of w_d, ``square_mean`` of its square and ``log_prior_mean`` of log p(w_d). Raises
        ``UserError`` for fewer draws.
        """
        self.total += dimension_kl(mean, square_mean, log_prior_mean, draws).sum(0)
        self.count += len(mean)

    def compute(self) -> Float[Tensor, " M"]:
        return self.total / self.count
