"""The posterior of one weight in (0, 1) by quadrature in log space, exact to rounding however peaked it is."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from scipy.optimize import brentq
from scipy.special import betaln

from lid_vae.errors import UserError
from lid_vae.shapes import Float, Tensor

__all__ = ["WeightPosterior", "weight_posterior"]

DROP = 40.0  # nats below the mode at which the integration stops; what is left out is below 1e-15 of the mass


@dataclass(frozen=True)
class WeightPosterior:
    """p(alpha | data) for alpha ~ Beta(concentration), as Q nodes that carry all of its mass.

    ``node`` [Q] holds values of alpha, ``mass`` [Q] their posterior probabilities (they sum to 1) and
    ``relative_log_likelihood`` [Q] the log-likelihood less its value at the mode. ``log_evidence`` is log of the
    integral of likelihood times prior, in nats; ``relative_log_evidence`` is that less the log-likelihood at the
    ``mode``. ``log_likelihood`` is the function itself, of values [A] of alpha.
    """

    concentration: tuple[float, float]
    mode: float
    log_evidence: float
    node: Float[Tensor, " Q"]
    mass: Float[Tensor, " Q"]
    relative_log_likelihood: Float[Tensor, " Q"]
    relative_log_evidence: float
    log_likelihood: Callable[[Float[Tensor, " A"]], Float[Tensor, " A"]]

    @property
    def mean(self) -> float:
        """E[alpha | data]."""
        return float(self.mass @ self.node)

    @property
    def standard_deviation(self) -> float:
        """The posterior standard deviation of alpha."""
        return float((self.mass @ (self.node - self.mean).square()).sqrt())

    @property
    def kl(self) -> float:
        """KL(p(alpha | data) || p(alpha)), nats: the posterior mean of the log-likelihood less the log evidence."""
        return max(0.0, float(self.mass @ self.relative_log_likelihood) - self.relative_log_evidence)

    @property
    def likelihood_deviation(self) -> float:
        """The standard deviation of log p(data | alpha) over alpha ~ prior, nats: 0 only where it is constant."""
        point, weight = _gauss_legendre(128)
        mass = weight * _log_prior(self.concentration, point).exp()
        value = self.log_likelihood(point)
        value = value - value[0]  # so that a constant leaves no rounding
        return float((mass @ (value - mass @ value).square()).sqrt())

    def log_density(self, alpha: Float[Tensor, " A"]) -> Float[Tensor, " A"]:
        """log p(alpha | data), nats."""
        return _log_prior(self.concentration, alpha) + self.log_likelihood(alpha) - self.log_evidence


def weight_posterior(
    log_likelihood: Callable[[Float[Tensor, " A"]], Float[Tensor, " A"]],
    slope: Callable[[float], tuple[float, float]],
    concentration: tuple[float, float] = (5.0, 5.0),
    nodes: int = 96,
) -> WeightPosterior:
    """The posterior for a concave ``log_likelihood`` whose first two derivatives ``slope`` returns.

    The log posterior is strictly concave, so it has one mode, found from its slope; the interval around it is widened
    until the density has dropped by 40 nats at both ends (or reaches 0 or 1), and carries one Gauss-Legendre rule. A
    fixed grid of ``nodes`` points would miss the peak: with 100,000 samples its width is near 0.001. Each value is
    exponentiated only after the maximum has been subtracted.

    Raises ``UserError`` for a concentration of 1 or less, where the mode may lie on the boundary.
    """
    first, second = concentration
    if not (first > 1 and second > 1):
        raise UserError(
            f"The weight's prior needs both Beta concentrations above 1, got {first} and {second}: only then has the "
            "posterior an interior mode. The paper uses 5 and 5."
        )

    def prior_slope(alpha: float) -> tuple[float, float]:
        low, high = (first - 1) / alpha, (second - 1) / (1 - alpha)
        return low - high, -low / alpha - high / (1 - alpha)

    mode = brentq(lambda a: prior_slope(a)[0] + slope(a)[0], 1e-15, 1 - 1e-15, xtol=1e-16, rtol=1e-13)
    width = (-prior_slope(mode)[1] - slope(mode)[1]) ** -0.5
    peak = torch.tensor([mode], dtype=torch.float64)
    reference = float(log_likelihood(peak))
    peak_log_density = float(_log_prior(concentration, peak))

    def end(direction: int) -> float:
        distance = 9.5 * width
        while 0 < (alpha := mode + direction * distance) < 1:
            value = torch.tensor([alpha], dtype=torch.float64)
            if float(_log_prior(concentration, value) + log_likelihood(value)) - reference - peak_log_density < -DROP:
                return alpha
            distance *= 1.5
        return min(max(alpha, 0.0), 1.0)

    low, high = end(-1), end(+1)
    point, weight = _gauss_legendre(nodes)
    node = low + (high - low) * point
    relative = log_likelihood(node) - reference
    log_mass = _log_prior(concentration, node) + (weight * (high - low)).log() + relative
    total = float(torch.logsumexp(log_mass, 0))
    return WeightPosterior(
        concentration, mode, reference + total, node, (log_mass - total).exp(), relative, total, log_likelihood
    )


@lru_cache
def _gauss_legendre(nodes: int) -> tuple[Tensor, Tensor]:
    """Points and weights on (0, 1)."""
    point, weight = np.polynomial.legendre.leggauss(nodes)
    return torch.as_tensor(0.5 * (point + 1)), torch.as_tensor(0.5 * weight)


def _log_prior(concentration: tuple[float, float], alpha: Tensor) -> Tensor:
    """The Beta log density, written out: torch's object costs more than the quadrature it is wanted for."""
    a, b = concentration
    return (a - 1) * alpha.log() + (b - 1) * torch.log1p(-alpha) - float(betaln(a, b))
