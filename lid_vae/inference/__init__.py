"""Inference strategies: how q is found for each x, and how a training step uses it."""

from lid_vae.inference.aggressive import Aggressive
from lid_vae.inference.amortized import Amortized
from lid_vae.inference.base import Inference, Informed, Update, Updates
from lid_vae.inference.semi_amortized import SemiAmortized

__all__ = ["Aggressive", "Amortized", "Inference", "Informed", "SemiAmortized", "Update", "Updates"]
