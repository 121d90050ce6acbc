"""Theorem 1 in numbers: KL from the prior against the variation of the likelihood in the latent."""

from collections.abc import Sequence

import torch

from lid_vae.classical.gmm import GaussianMixture
from lid_vae.classical.ppca import PPCA
from lid_vae.figure.numbers import Number
from lid_vae.noise import generator

__all__ = ["KL", "VARIATION", "mixture_grid", "ppca_grid"]

KL, VARIATION = "KL to the prior", "variation of the log-likelihood"


def mixture_grid(separations: Sequence[float], samples: int, alpha: float, seed: int) -> list[Number]:
    """One mixture data set for each of ``separations`` of the means, from 0 (not identifiable) up, at true parameters.

    ``samples`` are drawn at the weight ``alpha``.

    All are made from the same random numbers, a function of ``seed``, so that they differ in the separation alone. The
    variation is the standard deviation of log p(x_1..x_N | alpha) over the prior of alpha.
    """
    numbers = []
    for separation in separations:
        mixture = GaussianMixture((-separation / 2, separation / 2), (1, 1))
        x = mixture.sample(alpha, samples, generator(seed, "theorem 1", "mixture"))
        posterior = mixture.posterior(x)
        case = f"mixture, {samples:,} samples"
        numbers += _pair(case, "quadrature", separation, posterior.kl, posterior.likelihood_deviation)
    return numbers


def ppca_grid(weights: Sequence[float], samples: int, features: int, seed: int) -> list[Number]:
    """One PPCA data set for each length of the weight over the noise's deviation, ``weights``, from 0 up.

    ``samples`` of ``features`` dimensions are drawn, functions of ``seed``; values are means over them. The variation
    is the root mean square, over the examples, of the standard deviation of log p(x | z) over N(0, 1).
    """
    numbers = []
    for length in weights:
        weight = torch.full((1, features), length / features**0.5, dtype=torch.float64)
        model = PPCA(weight, 1.0, weight.new_zeros(features))
        x = model.sample(samples, generator(seed, "theorem 1", "ppca"))
        variation = float(model.likelihood_variance(x).mean().sqrt())
        numbers += _pair("PPCA, per example", "closed form", length, float(model.kl(x).mean()), variation)
    return numbers


def _pair(case: str, method: str, at: float, kl: float, variation: float) -> list[Number]:
    """Both are zero together, at separation 0 only; a KL that small beside its variation tends to half its square."""
    zero = at == 0
    exact, source = (0.0, "Theorem 1") if zero else (float("nan"), "")
    return [
        Number(case, "true", KL, method, kl, exact, source, at=at),
        Number(case, "true", VARIATION, method, variation, exact, source, at=at),
    ]
