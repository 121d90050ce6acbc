"""Measures of posterior collapse, each a torchmetrics.Metric that serves any VAE."""

from lid_vae.metrics.accuracy import ClusterAccuracy
from lid_vae.metrics.active_units import ActiveUnits
from lid_vae.metrics.dimension_kl import DimensionKL
from lid_vae.metrics.example_mean import ExampleMean
from lid_vae.metrics.log_likelihood import LogLikelihood
from lid_vae.metrics.mutual_information import CategoricalMutualInformation, MutualInformation, PairwiseInformation

__all__ = [
    "ActiveUnits",
    "CategoricalMutualInformation",
    "ClusterAccuracy",
    "DimensionKL",
    "ExampleMean",
    "LogLikelihood",
    "MutualInformation",
    "PairwiseInformation",
]
