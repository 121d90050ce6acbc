"""Likelihoods: modules whose call with w returns p(x | w)."""

from lid_vae.likelihood.base import Likelihood, ObservationDistribution
from lid_vae.likelihood.bernoulli import BernoulliLikelihood
from lid_vae.likelihood.categorical import CategoricalLikelihood
from lid_vae.likelihood.gaussian import GaussianLikelihood

__all__ = [
    "BernoulliLikelihood",
    "CategoricalLikelihood",
    "GaussianLikelihood",
    "Likelihood",
    "ObservationDistribution",
]
