"""Measures of posterior collapse, each a torchmetrics.Metric that serves any VAE."""

from lid_vae.diagnostic.accuracy import ClusterAccuracy
from lid_vae.diagnostic.active_units import ActiveUnits
from lid_vae.diagnostic.dimension_kl import DimensionKL
from lid_vae.diagnostic.example_mean import ExampleMean
from lid_vae.diagnostic.log_likelihood import LogLikelihood
from lid_vae.diagnostic.mutual_information import CategoricalMutualInformation, MutualInformation

__all__ = [
    "ActiveUnits",
    "CategoricalMutualInformation",
    "ClusterAccuracy",
    "DimensionKL",
    "ExampleMean",
    "LogLikelihood",
    "MutualInformation",
]
