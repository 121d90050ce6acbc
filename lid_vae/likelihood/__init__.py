"""Likelihoods: modules whose call with w returns p(x | w)."""

from lid_vae.likelihood.autoregressive import AutoregressiveLikelihood, SequenceObservation, autoregressive_likelihood
from lid_vae.likelihood.base import (
    CalibratedLikelihood,
    Likelihood,
    ObservationDistribution,
    VectorLikelihood,
    VectorObservation,
)
from lid_vae.likelihood.bernoulli import BernoulliLikelihood, bernoulli_likelihood
from lid_vae.likelihood.categorical import CategoricalLikelihood
from lid_vae.likelihood.gaussian import GaussianLikelihood, gaussian_likelihood
from lid_vae.likelihood.history import LSTMHistory
from lid_vae.likelihood.linear_theory import collapse_expected
from lid_vae.likelihood.optimal_gaussian import OptimalGaussianLikelihood, optimal_gaussian_likelihood

__all__ = [
    "AutoregressiveLikelihood",
    "BernoulliLikelihood",
    "CalibratedLikelihood",
    "CategoricalLikelihood",
    "GaussianLikelihood",
    "LSTMHistory",
    "Likelihood",
    "ObservationDistribution",
    "OptimalGaussianLikelihood",
    "SequenceObservation",
    "VectorLikelihood",
    "VectorObservation",
    "autoregressive_likelihood",
    "bernoulli_likelihood",
    "collapse_expected",
    "gaussian_likelihood",
    "optimal_gaussian_likelihood",
]
