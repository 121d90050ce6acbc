"""The normal density, elementwise."""

from math import log, pi

from torch import Tensor

__all__ = ["normal_log_prob"]

HALF_LOG_TWO_PI = 0.5 * log(2 * pi)


def normal_log_prob(x: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
    """log N(x | mean, scale^2), elementwise with broadcasting, in nats."""
    return -0.5 * ((x - mean) / scale).square() - scale.log() - HALF_LOG_TWO_PI
