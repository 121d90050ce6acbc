"""Kullback-Leibler divergences that have a closed form."""

import torch
import torch.nn.functional as F

from lid_vae.distribution.approximation import Approximation
from lid_vae.distribution.bernoulli import BernoulliApproximation
from lid_vae.distribution.components import BernoulliComponents, GaussianComponents
from lid_vae.distribution.flow_gaussian import FlowGaussian
from lid_vae.distribution.latent import LatentDistribution, Mixture, StandardNormal
from lid_vae.shapes import Float, Tensor

__all__ = ["closed_form_kl", "grouped_kl"]


def closed_form_kl(q: Approximation, p: LatentDistribution) -> Float[Tensor, " B"] | None:
    """KL(q || p) of the whole latent (w, or z and w together), nats per example; None where it must be sampled.

    Gaussian from Gaussian: Kingma and Welling (2014), appendix B. With enumerated categories,
    KL(q(z) || p(z)) + sum_k q(k) KL(q(w | k) || p(w | k)).
    """
    if q.log_category is None:
        if isinstance(p, StandardNormal) and isinstance(q, FlowGaussian) and not q.flow:
            return _gaussian_kl(q.mean, q.scale, p.mean, torch.ones_like(p.mean))[0]
        return None
    if not isinstance(p, Mixture):
        return None
    within = _component_kl(q, p)
    if within is None:
        return None
    weight = q.log_category.exp()
    return (weight * (q.log_category - p.log_mixing.unsqueeze(-1) + within)).sum(0)


def grouped_kl(q: Approximation, p: LatentDistribution) -> Float[Tensor, "B J"] | None:
    """``closed_form_kl`` split into groups of latents whose divergences add up; None where it does not split.

    For a diagonal Gaussian q, without a flow. From N(0, I): the M dimensions. With enumerated categories and Gaussian
    components, by the chain rule: first KL(q(z) || p(z)), then sum_k q(k) KL(q(w_m | k) || p(w_m | k)) for each m.
    """
    if not isinstance(q, FlowGaussian) or q.flow:
        return None
    if q.log_category is None:
        return _normal_kl(q.mean, q.scale, p.mean, p.variance.sqrt())[0] if isinstance(p, StandardNormal) else None
    if not isinstance(p, Mixture) or not isinstance(p.components, GaussianComponents):
        return None
    within = _normal_kl(q.mean, q.scale, p.components.location.unsqueeze(-2), p.components.scale)
    weight = q.log_category.exp()
    category = (weight * (q.log_category - p.log_mixing.unsqueeze(-1))).sum(0)
    return torch.cat([category.unsqueeze(-1), (weight.unsqueeze(-1) * within).sum(0)], -1)


def _component_kl(q: Approximation, p: Mixture) -> Float[Tensor, "K B"] | None:
    """KL(q(w | x, k) || p(w | k)), or None."""
    if isinstance(q, FlowGaussian) and not q.flow and isinstance(p.components, GaussianComponents):
        return _gaussian_kl(q.mean, q.scale, p.components.location.unsqueeze(-2), p.components.scale)
    if isinstance(q, BernoulliApproximation) and isinstance(p.components, BernoulliComponents):
        logits, prior = q.logits, p.components.logits.unsqueeze(-2)
        terms = torch.sigmoid(logits) * (logits - prior) - F.softplus(logits) + F.softplus(prior)
        return terms.sum(-1)
    return None


def _gaussian_kl(mean: Tensor, scale: Tensor, prior_mean: Tensor, prior_scale: Tensor) -> Tensor:
    """KL of diagonal Gaussians, summed over the last dimension."""
    return _normal_kl(mean, scale, prior_mean, prior_scale).sum(-1)


def _normal_kl(mean: Tensor, scale: Tensor, prior_mean: Tensor, prior_scale: Tensor) -> Tensor:
    """KL of normal distributions, elementwise."""
    ratio = (scale / prior_scale).square()
    shift = ((mean - prior_mean) / prior_scale).square()
    return 0.5 * (ratio + shift - 1 - ratio.log())
