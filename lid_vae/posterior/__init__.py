"""Approximating families: encoders, flows, and the posteriors built of them."""

from lid_vae.posterior.amortized import AmortizedPosterior
from lid_vae.posterior.base import CalibratedPosterior, Posterior
from lid_vae.posterior.batch_norm import BatchNormPosterior
from lid_vae.posterior.bernoulli import BernoulliPosterior
from lid_vae.posterior.constant import ConstantPosterior
from lid_vae.posterior.encoder import ConvolutionalEncoder, Encoder, MLPEncoder
from lid_vae.posterior.family import Family, gaussian_family, prior_family, realnvp_family
from lid_vae.posterior.lstm import LSTMEncoder
from lid_vae.posterior.realnvp import RealNVP

__all__ = [
    "AmortizedPosterior",
    "BatchNormPosterior",
    "BernoulliPosterior",
    "CalibratedPosterior",
    "ConstantPosterior",
    "ConvolutionalEncoder",
    "Encoder",
    "Family",
    "LSTMEncoder",
    "MLPEncoder",
    "Posterior",
    "RealNVP",
    "gaussian_family",
    "prior_family",
    "realnvp_family",
]
