"""Convex activations with their slopes, for potentials whose gradient is written out layer by layer."""

from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import nn

from lid_vae.map.convex.positive import softplus
from lid_vae.shapes import Float, Tensor

__all__ = ["ConvexActivation", "LeakyReLU", "SharpSoftplus", "SquaredLeakyReLU"]

LEAK = 0.2


class ConvexActivation(nn.Module, ABC):
    """A convex function of one number, applied to each unit: sigma(a) = tau(s a) / s, with a sharpness s > 0 per unit.

    So written, s can be multiplied into the weights before the layer instead of into every pre-activation.
    """

    smooth: bool

    @abstractmethod
    def sharpness(self) -> Float[Tensor, " n"] | None:
        """s; None where it is 1."""

    @abstractmethod
    def unit_value(self, t: Float[Tensor, "*batch n"]) -> Float[Tensor, "*batch n"]:
        """tau(t)."""

    @abstractmethod
    def unit_slope(self, t: Float[Tensor, "*batch n"]) -> Float[Tensor, "*batch n"]:
        """tau'(t), which is sigma'(a) at t = s a."""

    def value(self, a: Float[Tensor, "*batch n"]) -> Float[Tensor, "*batch n"]:
        """sigma(a)."""
        sharpness = self.sharpness()
        return self.unit_value(a) if sharpness is None else self.unit_value(sharpness * a) / sharpness

    def slope(self, a: Float[Tensor, "*batch n"]) -> Float[Tensor, "*batch n"]:
        """sigma'(a)."""
        sharpness = self.sharpness()
        return self.unit_slope(a if sharpness is None else sharpness * a)


class SharpSoftplus(ConvexActivation):
    """softplus(s a) / s with a learned sharpness s > 0 for each of ``width`` units: near ReLU for large s, smooth.

    Sharp units matter: at s = 1 the gradient of the potential is too stiff to follow thin structures.
    """

    smooth = True

    def __init__(self, width: int, sharpness: float) -> None:
        super().__init__()
        self.log_sharpness = nn.Parameter(torch.full((width,), float(sharpness)).log())

    def sharpness(self) -> Float[Tensor, " n"]:
        return self.log_sharpness.exp()

    def unit_value(self, t: Float[Tensor, "*batch n"]) -> Float[Tensor, "*batch n"]:
        return softplus(t)

    def unit_slope(self, t: Float[Tensor, "*batch n"]) -> Float[Tensor, "*batch n"]:
        return torch.sigmoid(t)


class SquaredLeakyReLU(ConvexActivation):
    """(max(0.2 a, a))^2, the first layer of Wang et al. (2021). Convex, not monotone: for the first layer alone."""

    smooth = False

    def sharpness(self) -> None:
        return None

    def unit_value(self, t: Float[Tensor, "*batch n"]) -> Float[Tensor, "*batch n"]:
        return F.leaky_relu(t, LEAK).square()

    def unit_slope(self, t: Float[Tensor, "*batch n"]) -> Float[Tensor, "*batch n"]:
        return 2 * torch.where(t > 0, t, LEAK * LEAK * t)


class LeakyReLU(ConvexActivation):
    """max(0.2 a, a), the later layers of Wang et al. (2021)."""

    smooth = False

    def sharpness(self) -> None:
        return None

    def unit_value(self, t: Float[Tensor, "*batch n"]) -> Float[Tensor, "*batch n"]:
        return F.leaky_relu(t, LEAK)

    def unit_slope(self, t: Float[Tensor, "*batch n"]) -> Float[Tensor, "*batch n"]:
        return torch.full_like(t, LEAK).masked_fill(t > 0, 1.0)
