"""Mean-field variational inference for the mixture's weight, solved exactly, for contrast with the posterior."""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import brentq
from scipy.special import digamma
from torch.distributions import Beta, kl_divergence

from lid_vae.classical.gmm import GaussianMixture
from lid_vae.shapes import Float, Tensor

__all__ = ["MeanField", "mean_field"]


@dataclass(frozen=True)
class MeanField:
    """q(alpha) = Beta(concentration), the best under q(alpha) q(z_1) ... q(z_N); ``elbo`` in nats, over all data.

    ``fixed_points`` counts the solutions that coordinate ascent could have stopped at; ``prior`` are the concentrations
    of p(alpha).

    >>> mixture = GaussianMixture(mean=(0.0, 0.0), scale=(1.0, 1.0))  # equal components: x says nothing of alpha
    >>> q = mean_field(mixture, mixture.sample(0.5, 100, torch.Generator().manual_seed(0)))
    >>> q.kl > 0.1  # and yet q is not the prior
    True
    """

    concentration: tuple[float, float]
    elbo: float
    fixed_points: int
    prior: tuple[float, float]

    @property
    def distribution(self) -> Beta:
        """q(alpha), in float64."""
        return _beta(self.concentration)

    @property
    def kl(self) -> float:
        """KL(q(alpha) || p(alpha)), nats."""
        return _kl(self.concentration, self.prior)


def mean_field(mixture: GaussianMixture, x: Float[Tensor, " N"], count: Float[Tensor, " N"] | None = None) -> MeanField:
    """The mean-field posterior at the components of ``mixture``, labels z_i included. Bishop (2006), section 10.2.

    The data ``x`` may be weighted by ``count``, as in ``compress``. With t = E[log alpha] - E[log(1 - alpha)], the
    optimal q(z_i = 1) is sigmoid(t + log p_1(x_i) / p_2(x_i)) and then q(alpha) = Beta(a + R, b + N - R), R = sum_i
    q(z_i = 1). So t obeys one equation, t = digamma(a + R) - digamma(b + N - R); all its roots are bracketed on a grid
    and the one of largest ELBO is returned. Coordinate ascent solves the same equation, but where the components are
    equal it contracts by N / (N + a + b - 1) a step.

    Beware: N labels count as N observations of alpha, so q(alpha) is narrow even where the data say nothing of alpha.
    """
    first, second = mixture.concentration
    likelihood = mixture.likelihood(x, count)
    total = float(likelihood.count.sum())

    def share(t: float) -> float:
        """R, the expected number of examples in component 1."""
        odds = torch.as_tensor(np.exp(-abs(t)))
        one, two = likelihood.second + likelihood.difference, likelihood.second
        ratio_N = one / (one + two * odds) if t > 0 else one * odds / (one * odds + two)
        return float(likelihood.count @ ratio_N)

    def equation(t: float) -> float:
        r = share(t)
        return float(digamma(first + r) - digamma(second + total - r)) - t

    low = float(digamma(first) - digamma(second + total)) - 1e-9
    high = float(digamma(first + total) - digamma(second)) + 1e-9
    grid = np.linspace(low, high, 400)
    value = np.array([equation(t) for t in grid])
    crossing = np.flatnonzero((value[:-1] > 0) & (value[1:] <= 0))  # coordinate ascent is stable at these
    roots = [brentq(equation, grid[i], grid[i + 1], xtol=1e-13) for i in crossing]

    def solution(t: float) -> MeanField:
        r = share(t)
        a, b = first + r, second + total - r
        log_alpha, log_rest = (float(digamma(c) - digamma(a + b)) for c in (a, b))
        shift = max(log_alpha, log_rest)
        sums_N = (likelihood.second + likelihood.difference) * np.exp(log_alpha - shift)
        sums_N = sums_N + likelihood.second * np.exp(log_rest - shift)
        log_mixture = likelihood.offset + total * shift + float(likelihood.count @ sums_N.log())
        return MeanField((a, b), log_mixture - _kl((a, b), mixture.concentration), len(roots), mixture.concentration)

    return max((solution(t) for t in roots), key=lambda q: q.elbo)


def _beta(concentration: tuple[float, float]) -> Beta:
    return Beta(*torch.tensor(concentration, dtype=torch.float64))


def _kl(q: tuple[float, float], p: tuple[float, float]) -> float:
    return float(kl_divergence(_beta(q), _beta(p)))
