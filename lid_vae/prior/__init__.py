"""Priors: modules whose call returns p(w), with p(z) and p(w | z) inside where z is categorical."""

from lid_vae.prior.base import Prior
from lid_vae.prior.component_code import ComponentCode
from lid_vae.prior.exponential_family_mixture import ExponentialFamilyMixture
from lid_vae.prior.gaussian_mixture import GaussianMixture
from lid_vae.prior.standard_normal import StandardNormalPrior

__all__ = ["ComponentCode", "ExponentialFamilyMixture", "GaussianMixture", "Prior", "StandardNormalPrior"]
