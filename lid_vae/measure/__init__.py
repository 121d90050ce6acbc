"""From a model and data to numbers: one ruler for every model."""

from lid_vae.measure.evaluator import Evaluator

__all__ = ["Evaluator"]
