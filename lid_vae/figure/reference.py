"""The mixture weight's posterior once more, by conjugacy or SciPy: the reference for what the library computes."""

from itertools import pairwise
from math import exp, log

import numpy as np
import torch
from scipy.integrate import quad_vec
from torch.distributions import Beta, kl_divergence

from lid_vae.classical.gmm import GaussianMixture
from lid_vae.classical.quadrature import WeightPosterior
from lid_vae.shapes import Float, Tensor

__all__ = ["reference_posterior"]

CERTAIN = 30.0  # nats between the components' densities from which a label is known to 1e-13


def reference_posterior(
    mixture: GaussianMixture, x: Float[Tensor, " N"], posterior: WeightPosterior
) -> tuple[tuple[float, float, float], str]:
    """(mean, standard deviation, KL to the prior in nats) of p(alpha | ``x``), and how they were found.

    The components are those of ``mixture``.

    Where the components are equal it is the prior; where every label is certain, the conjugate Beta; else SciPy's
    adaptive quadrature, to which ``posterior`` only says where the peak is and how wide.
    """
    prior = mixture.prior
    first_N, second_N = mixture.component_log_prob(x)
    gap_N = (first_N - second_N).abs()
    if float(gap_N.max()) == 0.0:
        return (float(prior.mean), float(prior.stddev), 0.0), "the prior: the likelihood is constant"
    if float(gap_N.min()) > CERTAIN:
        ones = float((first_N > second_N).sum())
        a, b = mixture.concentration
        beta = Beta(*torch.tensor([a + ones, b + len(x) - ones], dtype=torch.float64))
        return (float(beta.mean), float(beta.stddev), float(kl_divergence(beta, prior))), "conjugate Beta, labels known"
    return _by_scipy(mixture, x, posterior), "SciPy adaptive quadrature"


def _by_scipy(
    mixture: GaussianMixture, x: Float[Tensor, " N"], posterior: WeightPosterior
) -> tuple[float, float, float]:
    log_2N = mixture.component_log_prob(x)

    def log_likelihood(alpha: float) -> float:
        return float(torch.logaddexp(log_2N[0] + log(alpha), log_2N[1] + log(1 - alpha)).sum())

    peak, width = posterior.mode, posterior.standard_deviation
    reference = log_likelihood(peak)

    def moments(alpha: float) -> np.ndarray:
        relative, t = log_likelihood(alpha) - reference, (alpha - peak) / width
        density = exp(relative + float(mixture.prior.log_prob(torch.tensor(alpha, dtype=torch.float64))))
        return density * np.array([1.0, t, t**2, relative])

    ends = [min(max(peak + k * width, 0.0), 1.0) for k in (-12, -4, 0, 4, 12)]
    parts = [quad_vec(moments, a, b, epsabs=0, epsrel=1e-8)[0] for a, b in pairwise(ends) if a < b]
    total, first, second, relative = np.sum(parts, axis=0)
    mean, square = first / total, second / total
    return float(peak + width * mean), float(width * (square - mean**2) ** 0.5), float(relative / total - log(total))
