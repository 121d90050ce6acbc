"""Likelihoods: modules whose call with w returns p(x | w)."""

from lid_vae.likelihood.autoregressive import AutoregressiveLikelihood, SequenceObservation, autoregressive_likelihood
from lid_vae.likelihood.base import Likelihood, ObservationDistribution, VectorLikelihood, VectorObservation
from lid_vae.likelihood.bernoulli import BernoulliLikelihood, bernoulli_likelihood
from lid_vae.likelihood.categorical import CategoricalLikelihood
from lid_vae.likelihood.gaussian import GaussianLikelihood, gaussian_likelihood
from lid_vae.likelihood.history import LSTMHistory

__all__ = [
    "AutoregressiveLikelihood",
    "BernoulliLikelihood",
    "CategoricalLikelihood",
    "GaussianLikelihood",
    "LSTMHistory",
    "Likelihood",
    "ObservationDistribution",
    "SequenceObservation",
    "VectorLikelihood",
    "VectorObservation",
    "autoregressive_likelihood",
    "bernoulli_likelihood",
    "gaussian_likelihood",
]
