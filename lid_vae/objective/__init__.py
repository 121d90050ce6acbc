"""Objectives: bounds to maximise, a value per example in nats."""

from lid_vae.objective.base import Objective
from lid_vae.objective.dreg import DReG
from lid_vae.objective.elbo import ELBO
from lid_vae.objective.free_bits import FreeBits
from lid_vae.objective.importance_weighted import ImportanceWeighted
from lid_vae.objective.schedule import Constant, Cosine, Cyclical, Delayed, Linear, Schedule, WarmupCosine

__all__ = [
    "ELBO",
    "Constant",
    "Cosine",
    "Cyclical",
    "DReG",
    "Delayed",
    "FreeBits",
    "ImportanceWeighted",
    "Linear",
    "Objective",
    "Schedule",
    "WarmupCosine",
]
