"""Non-negative weights, and an initialisation under which signals pass through layers that have them."""

from math import acos, log, pi, sqrt

import torch
import torch.nn.functional as F

from lid_vae.shapes import Float, Tensor

__all__ = ["convex_initialisation", "inverse_softplus", "positive", "softplus"]

CORRELATION = 0.5


def softplus(a: Tensor) -> Tensor:
    """log(1 + exp(a)), whose slope is sigmoid(a): beyond PyTorch's own threshold of 20 both would be off by 2e-9."""
    return F.softplus(a, threshold=40.0)


def positive(raw: Tensor) -> Tensor:
    """softplus(raw) > 0: the gradient vanishes nowhere, as it would under clamping."""
    return F.softplus(raw)


def inverse_softplus(value: Tensor) -> Tensor:
    """The ``raw`` with ``positive(raw) == value``, for value > 0."""
    return value + torch.log(-torch.expm1(-value))


def convex_initialisation(fan_out: int, fan_in: int) -> tuple[Float[Tensor, "out in"], float]:
    """Raw weights (before ``positive``) and the bias for a layer that follows ReLU-like units.

    The weights are log-normal; their mean and variance are such that pre-activations of mean 0, variance 1 and pairwise
    correlation 1/2 give pre-activations of the same kind in the next layer. Hoedt and Klambauer (2023), "Principled
    weight initialisation for input-convex neural networks", derive the same fixed point.
    """
    rho, n = CORRELATION, fan_in
    mean_relu = 1 / sqrt(2 * pi)
    second_moment = 0.5
    cross_moment = (sqrt(1 - rho**2) + rho * (pi - acos(rho))) / (2 * pi)
    variance = (1 - rho) / (n * second_moment)
    spread = n * second_moment + n * (n - 1) * cross_moment - (n * mean_relu) ** 2
    mean = sqrt(rho / spread)
    log_variance = log(1 + variance / mean**2)
    weight = torch.randn(fan_out, fan_in).mul(sqrt(log_variance)).add(log(mean) - log_variance / 2).exp()
    return inverse_softplus(weight.clamp(1e-12)), -mean * n * mean_relu
