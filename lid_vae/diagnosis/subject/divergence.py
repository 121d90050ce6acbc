"""Densities, closed-form divergences and marginals of torch's and zuko's distributions, for any way to lay out axes."""

from math import log, pi
from typing import Literal, TypeGuard

import torch
from torch.distributions import (
    Categorical,
    Distribution,
    ExpTransform,
    Independent,
    LowRankMultivariateNormal,
    MultivariateNormal,
    Normal,
    OneHotCategorical,
    SigmoidTransform,
    SoftplusTransform,
    TanhTransform,
    TransformedDistribution,
    constraints,
    kl_divergence,
)

from lid_vae.diagnosis.subject.base import ExponentialDraws
from lid_vae.errors import UserError
from lid_vae.shapes import Float, Tensor

__all__ = [
    "check_scale",
    "closed_form",
    "closed_mean",
    "exponential_draws",
    "is_categorical",
    "log_density",
    "marginal",
    "real_or_positive",
]

# Bijections without parameters: the same for every x, so that they leave the information alone.
FIXED = (ExpTransform, SigmoidTransform, TanhTransform, SoftplusTransform)
# Beyond it the M^2 numbers of a full covariance's statistic cost more than densities pair by pair.
FULL = 32


def is_categorical(q: Distribution) -> TypeGuard[Categorical | OneHotCategorical]:
    """Whether z ~ ``q`` is one category, to be summed."""
    return isinstance(q, Categorical | OneHotCategorical)


def strip(d: Distribution) -> Distribution:
    """Without ``Independent``, which moves axes of the batch to those of the event."""
    while isinstance(d, Independent):
        d = d.base_dist
    return d


def log_density(d: Distribution, z: Float[Tensor, "S B *event"]) -> Float[Tensor, "S B"]:
    """log d(z), nats, of ``z`` under ``d``: the latent's axes summed, be they d's batch, event or broadcast."""
    value = d.log_prob(z)
    return value.flatten(2).sum(-1) if value.ndim > 2 else value


def closed_form(
    q: Distribution, p: Distribution, event: torch.Size
) -> tuple[Float[Tensor, " B"], Float[Tensor, "B L"] | None] | None:
    """KL(q || p) of each example and, where the dimensions are independent under both, of each; None: no closed form.

    ``q`` is q(z | x) of a batch, ``p`` the prior, ``event`` the shape of one latent. In nats.
    """
    inner, prior = strip(q), strip(p)
    if not inner.event_shape and not prior.event_shape:
        value = _registered(inner, prior)
        if value is None:
            return None
        value = value.expand(value.shape[0], *event).flatten(1) if event else value.unsqueeze(-1)
        return value.double().sum(-1), value.double()
    full_q, full_p = _full(inner, event), _full(prior, event)
    value = _registered(full_q, full_p) if full_q is not None and full_p is not None else _registered(q, p)
    return None if value is None or value.ndim != 1 else (value.double(), None)


def marginal(d: Distribution, event: torch.Size) -> Distribution | None:
    """The law of each dimension of ``d``, of shape ``event``, alone, elementwise; None where it has no closed form."""
    d = strip(d)
    if not d.event_shape:
        return d
    if isinstance(d, MultivariateNormal | LowRankMultivariateNormal) and len(event) == 1:
        return Normal(d.mean, d.variance.sqrt())
    return None


def real_or_positive(d: Distribution) -> Literal["real", "positive"] | None:
    """The support of ``d``, a distribution of single numbers, if it is one of these."""
    try:
        support = d.support
    except NotImplementedError:
        return None
    if isinstance(support, type(constraints.real)):
        return "real"
    if isinstance(support, constraints.greater_than | constraints.greater_than_eq):
        return "positive" if bool(torch.as_tensor(support.lower_bound == 0).all()) else None
    return None


def closed_mean(d: Distribution, size: torch.Size) -> Tensor | None:
    """E[z] of z ~ ``d``, of shape ``size``; None where it must be sampled."""
    try:
        mean = d.mean
    except (NotImplementedError, AttributeError):
        return None
    return mean.expand(size) if bool(mean.isfinite().all()) else None


def exponential_draws(q: Distribution, z: Float[Tensor, "B *event"]) -> ExponentialDraws | None:
    """``z`` ~ ``q`` with densities of all pairs as one product of matrices; None where q has no such form."""
    base = strip(q)
    while isinstance(base, TransformedDistribution) and all(isinstance(step, FIXED) for step in base.transforms):
        for step in reversed(base.transforms):
            z = step.inv(z)
        base = strip(base.base_dist)
    if not bool(z.isfinite().all()):
        return None  # a sigmoid that rounded to 1 cannot be undone
    z = z.double()
    if isinstance(base, Normal):
        z = z.reshape(len(z), -1)
        mean = base.loc.double().reshape(z.shape)
        precision = base.scale.double().reshape(z.shape).square().reciprocal()
        normaliser = 0.5 * (mean.square() * precision - precision.log() + log(2 * pi)).sum(-1)
        natural = torch.cat([mean * precision, -0.5 * precision], -1)
        return ExponentialDraws(torch.cat([z, z.square()], -1), natural[None], normaliser[None])
    if isinstance(base, MultivariateNormal) and base.event_shape[0] <= FULL:
        mean = base.mean.double()
        precision = base.precision_matrix.double().expand(*mean.shape, mean.shape[-1])
        shift = (precision @ mean.unsqueeze(-1)).squeeze(-1)
        normaliser = 0.5 * ((mean * shift).sum(-1) - torch.logdet(precision) + mean.shape[-1] * log(2 * pi))
        statistic = torch.cat([z, (z.unsqueeze(-1) * z.unsqueeze(-2)).flatten(1)], -1)
        return ExponentialDraws(statistic, torch.cat([shift, -0.5 * precision.flatten(1)], -1)[None], normaliser[None])
    return None


def check_scale(q: Distribution) -> None:
    """Raises ``UserError`` for a ``q`` whose parameters are not finite, or whose scale is not above zero."""
    base = strip(q)
    for name in ("loc", "scale", "probs", "logits", "covariance_matrix"):
        if name in ("probs", "logits") and name not in base.__dict__:
            continue
        value = getattr(base, name, None)
        if not isinstance(value, Tensor):
            continue
        if bool(value.isnan().any()) or (name != "logits" and not bool(value.isfinite().all())):
            raise UserError(
                f"The posterior q(z | x) has a {name} that is not a finite number (NaN or infinite). Training may have "
                "diverged, or an exponential overflowed: look at the encoder's output."
            )
        if name == "scale" and not bool((value > 0).all()):
            raise UserError(scale_words(float(value.min())))


def scale_words(least: float) -> str:
    """What a scale that is no scale is told."""
    if least == 0:
        return (
            "The posterior q(z | x) has a scale of 0, so its density is infinite and KL and MI do not exist. Keep the "
            "standard deviation above zero, by a floor such as 1e-6, or take (0.5 * log_variance).exp() in float64."
        )
    return (
        f"The posterior q(z | x) has a scale of {least:.3g}, and a scale is above zero. If the encoder returns the "
        "logarithm of the variance, the scale is (0.5 * log_variance).exp()."
    )


def _registered(q: Distribution, p: Distribution) -> Tensor | None:
    """torch's closed form, if it has one for this pair."""
    try:
        with torch.enable_grad():  # one of its rules differentiates
            return kl_divergence(q, p).detach()
    except NotImplementedError:
        return None


def _full(d: Distribution, event: torch.Size) -> Distribution | None:
    """A Gaussian, as one with a full covariance; None for any other."""
    if isinstance(d, MultivariateNormal | LowRankMultivariateNormal):
        return d
    if isinstance(d, Normal) and len(event) == 1:
        batch = d.batch_shape[:-1]
        scale = d.scale.expand(*batch, *event)
        return MultivariateNormal(d.loc.expand(*batch, *event), scale_tril=torch.diag_embed(scale))
    return None
