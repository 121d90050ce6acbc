"""Inference strategies: how q is found for each x, and how a training step uses it."""

from lid_vae.inference.amortized import Amortized
from lid_vae.inference.base import Draw, Inference, Minimise

__all__ = ["Amortized", "Draw", "Inference", "Minimise"]
