"""Likelihoods by name, for models that only return a reconstruction."""

from collections.abc import Callable
from math import log, pi

import torch
import torch.nn.functional as F
from torch.distributions import Distribution

from lid_vae.errors import UserError
from lid_vae.shapes import Float, Tensor

__all__ = ["NAMES", "MakeLikelihood", "likelihood_of"]

NAMES = ("bernoulli", "bernoulli_logits", "gaussian")
MakeLikelihood = str | Callable[[Tensor], Distribution]


def likelihood_of(
    decode: Callable[[Tensor], Tensor], likelihood: MakeLikelihood, scale: float
) -> Callable[[Tensor, Tensor], Tensor]:
    """log p(x | z) [S, B] of a model whose ``decode`` takes one batch of z at a time, [N, ...] -> [N, ...].

    ``likelihood``: ``"bernoulli"`` (the decoder returns probabilities), ``"bernoulli_logits"``, ``"gaussian"`` (means,
    with the standard deviation ``scale``), or a function from what the decoder returns to p(x | z).
    Raises ``UserError`` for another name or scale and, of a batch, for values out of range or that do not fit x.
    """
    if isinstance(likelihood, str) and likelihood not in NAMES:
        raise UserError(
            f"likelihood={likelihood!r} is none of {', '.join(NAMES)}, nor a function from the reconstruction to a "
            "distribution."
        )
    if not scale > 0:
        raise UserError(f"The scale of a Gaussian likelihood is its standard deviation, above zero; got {scale}.")

    def log_likelihood(x: Tensor, z: Tensor) -> Float[Tensor, "S B"]:
        decoded = decode(z.flatten(0, 1))
        if not isinstance(likelihood, str):
            made = likelihood(decoded.reshape(*z.shape[:2], *decoded.shape[1:]))
            value = made.log_prob(x)
            return value.flatten(2).sum(-1) if value.ndim > 2 else value
        true, found = x.flatten(1), decoded.reshape(*z.shape[:2], -1)
        if true.shape[-1] != found.shape[-1]:
            raise UserError(
                f"The decoder returns {found.shape[-1]} values for each example and x has {true.shape[-1]}: they must "
                "be the same ones."
            )
        return _LOG_PROB[likelihood](true, found, scale)

    return log_likelihood


def _bernoulli(x: Tensor, probability: Tensor, scale: float) -> Tensor:
    _check_unit(x, "The data")
    if bool((probability < 0).any()) or bool((probability > 1).any()):
        raise UserError(
            f"The decoder returns values between {float(probability.min()):.3g} and {float(probability.max()):.3g}, "
            'which are no probabilities. If they are logits, say likelihood="bernoulli_logits".'
        )
    floor = -100.0  # PyTorch's, for probabilities that rounded to 0 or 1
    return (x * probability.log().clamp_min(floor) + (1 - x) * (-probability).log1p().clamp_min(floor)).sum(-1)


def _bernoulli_logits(x: Tensor, logits: Tensor, scale: float) -> Tensor:
    _check_unit(x, "The data")
    return torch.linalg.vecdot(logits, x) - F.softplus(logits).sum(-1)


def _gaussian(x: Tensor, mean: Tensor, scale: float) -> Tensor:
    return -0.5 * ((x - mean) / scale).square().sum(-1) - x.shape[-1] * (log(scale) + 0.5 * log(2 * pi))


def _check_unit(x: Tensor, what: str) -> None:
    low, high = float(x.min()), float(x.max())
    if low < 0 or high > 1:
        hint = "Divide bytes by 255." if high > 2 else "Take another likelihood, or scale them."
        raise UserError(
            f"{what} lie between {low:.3g} and {high:.3g}, out of a Bernoulli's range, which is 0 to 1. {hint}"
        )


_LOG_PROB = {"bernoulli": _bernoulli, "bernoulli_logits": _bernoulli_logits, "gaussian": _gaussian}
