"""How close the outputs of different latents come: what is compared, a search for the closest, mixtures' components."""

from lid_vae.measure.closeness.components import component_divergences, mean_distance
from lid_vae.measure.closeness.outputs import Outputs, outputs_of
from lid_vae.measure.closeness.search import Box, box_of, closest_pairs, flattest_directions

__all__ = [
    "Box",
    "Outputs",
    "box_of",
    "closest_pairs",
    "component_divergences",
    "flattest_directions",
    "mean_distance",
    "outputs_of",
]
