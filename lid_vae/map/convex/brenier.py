"""Brenier maps: gradients of strongly convex potentials (Wang, Blei and Cunningham 2021, section 3)."""

from typing import Any

from lid_vae.map.convex.icnn import ConvexPotential
from lid_vae.map.convex.monotone import MonotoneMap
from lid_vae.map.lift import Lift
from lid_vae.shapes import Float, Tensor

__all__ = ["BrenierMap"]


class BrenierMap(MonotoneMap):
    """g(u) = grad f(u) + mu u + b with f an input convex neural network; a bijection of R^D for every parameter value.

    With ``activation="paper"`` and more than one hidden layer, grad f jumps at the kinks of the leaky ReLU: g stays
    injective with the same constant, but its image has gaps, and the later layers' biases get no gradient.

    Args:
        features: D.
        width, hidden_layers: those of f.
        strong_convexity, strong_convexity_floor, given_strong_convexity: those of ``MonotoneMap``.
        network: the options of ``ConvexPotential``.

    >>> g = BrenierMap(features=2, width=64, hidden_layers=2)
    >>> g(torch.randn(10, 2)).shape
    torch.Size([10, 2])
    """

    def __init__(
        self,
        features: int,
        width: int,
        hidden_layers: int,
        *,
        strong_convexity: float = 1.0,
        strong_convexity_floor: float = 0.01,
        given_strong_convexity: float | None = None,
        **network: Any,
    ) -> None:
        super().__init__(features, hidden_layers, strong_convexity, strong_convexity_floor, given_strong_convexity)
        self.network = ConvexPotential(features, width, hidden_layers, **network)

    def gradient(
        self, u: Float[Tensor, "*batch M"], lift: Lift | None = None, bias: Float[Tensor, " D"] | None = None
    ) -> Float[Tensor, "*batch D"]:
        return self.network.gradient(u, lift, bias)

    def convex_potential(self, u: Float[Tensor, "*batch D"]) -> Float[Tensor, "*batch"]:
        return self.network(u)
