"""Posterior collapse of any VAE in one call: its measures with their errors, a verdict in words, and a callback."""

from lid_vae.diagnosis.diagnose import diagnose
from lid_vae.diagnosis.estimate import Estimate
from lid_vae.diagnosis.monitor import CollapseMonitor
from lid_vae.diagnosis.report import Dimension, LatentReport, Report

__all__ = ["CollapseMonitor", "Dimension", "Estimate", "LatentReport", "Report", "diagnose"]
