"""Annealed importance sampling and bidirectional Monte Carlo: bounds of log p(x) from below and from above."""

from lid_vae.measure.annealed.annealing import Annealing
from lid_vae.measure.annealed.bounds import Bounds, annealed_bounds
from lid_vae.measure.annealed.model import simulate, target_of
from lid_vae.measure.annealed.target import PosteriorTarget, PriorTarget, Target

__all__ = [
    "Annealing",
    "Bounds",
    "PosteriorTarget",
    "PriorTarget",
    "Target",
    "annealed_bounds",
    "simulate",
    "target_of",
]
