"""Decoder maps: the classical MLP, and maps that are injective by construction."""

from lid_vae.map.base import InjectiveMap, Map
from lid_vae.map.brenier import BrenierMap
from lid_vae.map.composed import ComposedMap, compose, composed_brenier, composed_gradient_network, layer_dimensions
from lid_vae.map.counterpart import counterpart_mlp
from lid_vae.map.gradient_network import GradientNetwork
from lid_vae.map.icnn import ConvexPotential
from lid_vae.map.lift import CyclicLift, DenseLift, Lift, PadLift, pad_lift, pca_lift, random_lift, spread_lift
from lid_vae.map.linear import LinearMap
from lid_vae.map.mlp import MLP

__all__ = [
    "MLP",
    "BrenierMap",
    "ComposedMap",
    "ConvexPotential",
    "CyclicLift",
    "DenseLift",
    "GradientNetwork",
    "InjectiveMap",
    "Lift",
    "LinearMap",
    "Map",
    "PadLift",
    "compose",
    "composed_brenier",
    "composed_gradient_network",
    "counterpart_mlp",
    "layer_dimensions",
    "pad_lift",
    "pca_lift",
    "random_lift",
    "spread_lift",
]
