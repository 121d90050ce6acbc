"""Distributions that take their noise as an input and carry a category axis, which torch.distributions lacks."""

from lid_vae.distribution.approximation import Approximation, LatentSample, Parameters
from lid_vae.distribution.bernoulli import BernoulliApproximation
from lid_vae.distribution.components import (
    BernoulliComponents,
    Components,
    GammaComponents,
    GaussianComponents,
    LogNormalComponents,
)
from lid_vae.distribution.flow_gaussian import Bijection, Exponential, FlowGaussian
from lid_vae.distribution.kl import closed_form_kl, grouped_kl
from lid_vae.distribution.latent import LatentDistribution, Mixture, StandardNormal

__all__ = [
    "Approximation",
    "BernoulliApproximation",
    "BernoulliComponents",
    "Bijection",
    "Components",
    "Exponential",
    "FlowGaussian",
    "GammaComponents",
    "GaussianComponents",
    "LatentDistribution",
    "LatentSample",
    "LogNormalComponents",
    "Mixture",
    "Parameters",
    "StandardNormal",
    "closed_form_kl",
    "grouped_kl",
]
