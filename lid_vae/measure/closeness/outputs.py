"""What a likelihood makes of w, as a function whose values can be compared: the map's, or the first symbol's logits."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from lid_vae.errors import UserError
from lid_vae.likelihood import AutoregressiveLikelihood, Likelihood
from lid_vae.likelihood.bernoulli import BernoulliObservation
from lid_vae.likelihood.categorical import CategoricalObservation, minimal_logits
from lid_vae.likelihood.gaussian import GaussianObservation
from lid_vae.shapes import Float, Tensor
from lid_vae.symbols import PADDING

__all__ = ["Divergence", "Outputs", "outputs_of"]

Divergence = Callable[[Tensor, Tensor], Tensor]
"""(outputs of a, outputs of b), both [*batch, D] -> KL(p(x | a) || p(x | b)), nats, of shape [*batch]."""


@dataclass(frozen=True)
class Outputs:
    """A likelihood in double precision, with parameters that take no gradient.

    Attributes:
        likelihood: the copy that is asked.
        values: w of shape [N, M] to outputs [N, D]: means (Gaussian), logits (Bernoulli, categorical), or of sequences
            the logits of the first symbol, less that of the reference symbol.
        divergence: KL between p(x | a) and p(x | b) from their outputs, nats; None where it has no closed form. Of
            sequences that of the first symbol, which the KL of whole sequences is never below.
    """

    likelihood: Likelihood
    values: Callable[[Float[Tensor, "N M"]], Float[Tensor, "N D"]]
    divergence: Divergence | None


@torch.no_grad()
def outputs_of(likelihood: Likelihood) -> Outputs:
    """The outputs of a copy of ``likelihood``, in double precision: small differences are to be told from rounding.

    Args:
        likelihood: of vectors, or autoregressive of sequences.

    Raises:
        UserError: for another likelihood of sequences, whose first symbol is not known how to be asked for.

    >>> from lid_vae.likelihood import GaussianLikelihood
    >>> from lid_vae.map import LinearMap
    >>> outputs = outputs_of(GaussianLikelihood(LinearMap(2, 3), scale=0.5))
    >>> a = outputs.values(torch.zeros(1, 2).double())
    >>> outputs.divergence(a, a + 1).round(decimals=4)  # 3 / (2 * 0.25)
    tensor([6.], dtype=torch.float64)
    """
    copy = deepcopy(likelihood).double().eval().requires_grad_(False)
    if isinstance(copy, AutoregressiveLikelihood):
        return Outputs(copy, _FirstSymbol(copy), _categorical)
    if copy.symbols is not None:
        raise UserError(
            f"Of sequences the first symbol's logits are compared, which {type(likelihood).__name__} does not give. "
            "Use an AutoregressiveLikelihood."
        )
    device = next((tensor.device for tensor in copy.state_dict().values()), torch.device("cpu"))
    observed = copy(torch.ones(1, copy.latent_dimension, dtype=torch.float64, device=device))
    divergence: Divergence | None = None
    if isinstance(observed, GaussianObservation):
        divergence = _Gaussian(observed.scale)
    elif isinstance(observed, BernoulliObservation):
        divergence = _bernoulli
    elif isinstance(observed, CategoricalObservation):
        divergence = _free_categorical
    return Outputs(copy, copy.map, divergence)


@dataclass(frozen=True)
class _FirstSymbol:
    """The logits of the first symbol after an empty history, less that of the reference symbol."""

    likelihood: AutoregressiveLikelihood

    def __call__(self, w: Float[Tensor, "N M"]) -> Float[Tensor, "N V"]:
        start = torch.full((len(w),), PADDING, device=w.device)
        log_probability, _ = self.likelihood.next_symbol(start, w)
        return log_probability - log_probability[:, self.likelihood.reference - 1].unsqueeze(-1)


@dataclass(frozen=True)
class _Gaussian:
    """Between two normal distributions of the same noise."""

    scale: Float[Tensor, ""]

    def __call__(self, first: Tensor, second: Tensor) -> Tensor:
        return 0.5 * ((first - second) / self.scale).square().sum(-1)


def _bernoulli(first: Tensor, second: Tensor) -> Tensor:
    """sum_d s(a) (a - b) - softplus(a) + softplus(b), s the sigmoid and slope of softplus."""
    each = torch.sigmoid(first) * (first - second) - _softplus(first) + _softplus(second)
    return each.clamp_min(0).sum(-1)


def _softplus(logits: Tensor) -> Tensor:
    return F.softplus(logits, threshold=40.0)


def _categorical(first: Tensor, second: Tensor) -> Tensor:
    log_first, log_second = torch.log_softmax(first, -1), torch.log_softmax(second, -1)
    return (log_first.exp() * (log_first - log_second)).sum(-1).clamp_min(0)


def _free_categorical(first: Tensor, second: Tensor) -> Tensor:
    return _categorical(minimal_logits(first), minimal_logits(second))
