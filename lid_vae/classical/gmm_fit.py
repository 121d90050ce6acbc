"""Maximum likelihood of the mixture's means and scales, with the weight integrated out under its prior."""

from dataclasses import dataclass
from math import log

import numpy as np
import torch
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits

from lid_vae.classical.gmm import GaussianMixture, compress
from lid_vae.classical.quadrature import weight_posterior
from lid_vae.errors import UserError
from lid_vae.shapes import Float, Tensor

__all__ = ["MixtureFit", "collapsed_mixture", "fit_mixture", "log_evidence_and_gradient"]


@dataclass(frozen=True)
class MixtureFit:
    """The best mixture found, beside the best mixture with equal components.

    ``log_evidence`` is that of ``mixture`` on the data and ``collapsed_log_evidence`` that of equal components, in nats
    over all data. ``collapsed`` says that no split was better: the two components are then equal, and the posterior is
    the prior.
    """

    mixture: GaussianMixture
    log_evidence: float
    collapsed_log_evidence: float
    collapsed: bool


def fit_mixture(
    x: Float[Tensor, " N"], concentration: tuple[float, float] = (5.0, 5.0), scale_floor: float = 0.05, bins: int = 1024
) -> MixtureFit:
    """argmax over (mu_1, mu_2, sigma_1, sigma_2) of log of the integral of p(x | alpha, theta) p(alpha) over alpha.

    Two facts shape the search. With many samples a single Gaussian (equal components) is a local maximum: a small split
    costs N (mu_1 - mu_2)^2 Var(alpha) / 2 sigma^2 nats, because most of the prior then has the wrong mean, and what it
    gains grows as the square root of N; so a better split is looked for from afar, from several starts. And the
    likelihood is unbounded as one scale shrinks around a single sample, so scales below ``scale_floor`` times the
    data's are left out.

    ``concentration`` are the two parameters of the Beta prior of alpha. The search runs on ``compress(x, bins)`` and
    the last steps on x itself. Under a symmetric prior the labels come back in their conventional order. Raises
    ``UserError`` for constant data, and for what ``GaussianMixture`` refuses.
    """
    light = compress(x, bins)
    _, scale = _moments(x)
    floor = scale_floor * scale
    collapsed = collapsed_mixture(x, concentration)
    light_value = collapsed.posterior(*light).log_evidence
    # In L-BFGS-B, BLAS threads wait on matrices of four numbers: with two of them the search took six times as long.
    with threadpool_limits(1, user_api="blas"):
        found = [_climb(start, *light, concentration, floor) for start in _starts(x, concentration)]
    theta, best = max(found, key=lambda pair: pair[1])
    value = collapsed.posterior(x).log_evidence
    # A split that shrinks to nothing stops within 1e-8 nats of that point, and the light data may err by 1e-5.
    if best <= light_value + 1e-4:
        return MixtureFit(collapsed, value, value, True)
    theta, best = _climb(theta, x, torch.ones(len(x), dtype=torch.float64), concentration, floor, precision=1e-15)
    mixture = _mixture(theta, concentration)
    symmetric = concentration[0] == concentration[1]
    return MixtureFit(mixture.ordered() if symmetric else mixture, best, value, False)


def collapsed_mixture(x: Float[Tensor, " N"], concentration: tuple[float, float] = (5.0, 5.0)) -> GaussianMixture:
    """The best mixture of two equal components: one Gaussian with the data's mean and (biased) standard deviation.

    ``x`` are the data, ``concentration`` the parameters of the Beta prior of alpha, which has then no bearing on p(x).
    """
    center, scale = _moments(x)
    return GaussianMixture((center, center), (scale, scale), concentration)


def log_evidence_and_gradient(
    theta: np.ndarray, x: Float[Tensor, " N"], count: Float[Tensor, " N"], concentration: tuple[float, float]
) -> tuple[float, np.ndarray]:
    """log p(x | theta), nats, and its gradient in theta = (mu_1, mu_2, log sigma_1, log sigma_2).

    ``count`` [N] says how often each example of ``x`` occurs, ``concentration`` are the parameters of alpha's prior.
    Fisher's identity: the gradient is the posterior mean, over alpha and the labels, of the complete-data gradient; so
    the responsibilities averaged over p(alpha | x) are all it needs, and nothing is differentiated through the nodes.
    """
    mixture = _mixture(theta, concentration)
    likelihood = mixture.likelihood(x, count)
    posterior = weight_posterior(likelihood.log_prob, likelihood.slope, concentration, nodes=48)
    share_N = likelihood.responsibility(posterior.node, posterior.mass)
    weight_2N = torch.stack([share_N, 1 - share_N]) * count
    mean, scale = mixture.parameters
    residual_2N = (x - mean[:, None]) / scale[:, None]
    by_mean = (weight_2N * residual_2N).sum(1) / scale
    by_log_scale = (weight_2N * (residual_2N.square() - 1)).sum(1)
    return posterior.log_evidence, torch.cat([by_mean, by_log_scale]).numpy()


def _climb(
    theta: np.ndarray,
    x: Float[Tensor, " N"],
    count: Float[Tensor, " N"],
    concentration: tuple[float, float],
    floor: float,
    precision: float = 1e-12,
) -> tuple[np.ndarray, float]:
    """The local maximum above ``theta`` and its log evidence; ``precision`` is relative, in that value."""
    total = float(count.sum())

    def negative(theta: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = log_evidence_and_gradient(theta, x, count, concentration)
        return -value / total, -gradient / total

    bounds = [(None, None)] * 2 + [(log(floor), None)] * 2
    options = {"gtol": 1e-9, "ftol": precision, "maxiter": 1000}
    result = minimize(negative, theta, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    return result.x, -total * result.fun


def _starts(x: Float[Tensor, " N"], concentration: tuple[float, float]) -> list[np.ndarray]:
    """Splits at three quantiles, two gentle splits of the mean, one of the scale; in both labellings if they differ."""
    center, scale = _moments(x)
    starts = []
    ordered = x.to(torch.float64).sort().values
    for share in (0.15, 0.5, 0.85):
        parts = ordered.tensor_split([max(1, int(share * len(x)))])
        deviations = [max(float(part.std(correction=0)), 0.1 * scale) for part in parts]
        starts.append(np.array([*(float(part.mean()) for part in parts), *np.log(deviations)]))
    for shift in (0.3, 0.6):
        starts.append(np.array([center - shift * scale, center + shift * scale, log(scale), log(scale)]))
    starts.append(np.array([center, center, log(0.8 * scale), log(1.2 * scale)]))
    if concentration[0] != concentration[1]:
        starts += [start[[1, 0, 3, 2]] for start in starts]
    return starts


def _mixture(theta: np.ndarray, concentration: tuple[float, float]) -> GaussianMixture:
    first, second, *log_scale = theta.tolist()
    return GaussianMixture((first, second), tuple(np.exp(log_scale).tolist()), concentration)


def _moments(x: Float[Tensor, " N"]) -> tuple[float, float]:
    x = x.to(torch.float64)
    center, scale = float(x.mean()), float(x.std(correction=0))
    if not scale > 1e-12 * abs(center):
        raise UserError(
            f"The Gaussian mixture cannot be fitted to constant data (every sample is {center}): the likelihood grows "
            "without bound as the scales shrink. Check the data."
        )
    return center, scale
