"""From a model and data to numbers: one ruler for every model."""

from lid_vae.measure.ais import AIS
from lid_vae.measure.base import DrawMeasure, Measure, SplitMeasure, Subject
from lid_vae.measure.distortion import Distortion
from lid_vae.measure.evaluator import Evaluator

__all__ = ["AIS", "Distortion", "DrawMeasure", "Evaluator", "Measure", "SplitMeasure", "Subject"]
