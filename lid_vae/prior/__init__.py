"""Priors: modules whose call returns p(w), with p(z) and p(w | z) inside where z is categorical."""

from lid_vae.prior.base import AggregatePrior, Prior
from lid_vae.prior.component_code import ComponentCode
from lid_vae.prior.exponential_family_mixture import ExponentialFamilyMixture
from lid_vae.prior.gaussian_mixture import GaussianMixture
from lid_vae.prior.standard_normal import StandardNormalPrior
from lid_vae.prior.vamp_prior import VampPrior

__all__ = [
    "AggregatePrior",
    "ComponentCode",
    "ExponentialFamilyMixture",
    "GaussianMixture",
    "Prior",
    "StandardNormalPrior",
    "VampPrior",
]
