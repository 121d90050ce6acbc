"""Decoder maps: the classical MLP, and maps that are injective by construction."""

from lid_vae.map.anchored import AnchoredMap, anchored
from lid_vae.map.base import AdjustableMap, DimensionError, InjectiveMap, MakeMap, Map
from lid_vae.map.composed import ComposedMap, compose, composed_brenier, composed_gradient_network, layer_dimensions
from lid_vae.map.convex.brenier import BrenierMap
from lid_vae.map.convex.gradient_network import GradientNetwork
from lid_vae.map.convex.icnn import ConvexPotential
from lid_vae.map.coupling import AdditiveCouplings
from lid_vae.map.lift import CyclicLift, DenseLift, Lift, PadLift, pad_lift, pca_lift, random_lift, spread_lift
from lid_vae.map.network.counterpart import counterpart_mlp
from lid_vae.map.network.linear import LinearMap
from lid_vae.map.network.mlp import MLP, SkipMLP
from lid_vae.map.network.readout import ReadOutMap
from lid_vae.map.norm_bound import spectral_norm_bounds

__all__ = [
    "MLP",
    "AdditiveCouplings",
    "AdjustableMap",
    "AnchoredMap",
    "BrenierMap",
    "ComposedMap",
    "ConvexPotential",
    "CyclicLift",
    "DenseLift",
    "DimensionError",
    "GradientNetwork",
    "InjectiveMap",
    "Lift",
    "LinearMap",
    "MakeMap",
    "Map",
    "PadLift",
    "ReadOutMap",
    "SkipMLP",
    "anchored",
    "compose",
    "composed_brenier",
    "composed_gradient_network",
    "counterpart_mlp",
    "layer_dimensions",
    "pad_lift",
    "pca_lift",
    "random_lift",
    "spectral_norm_bounds",
    "spread_lift",
]
