"""Convex activations with their slopes, for potentials whose gradient is written out layer by layer."""

from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import nn

from lid_vae.map.positive import softplus
from lid_vae.shapes import Float, Tensor

__all__ = ["ConvexActivation", "LeakyReLU", "SharpSoftplus", "SquaredLeakyReLU"]

LEAK = 0.2


class ConvexActivation(nn.Module, ABC):
    """A convex function of one number, applied to each unit."""

    smooth: bool

    @abstractmethod
    def value(self, a: Float[Tensor, "*batch n"]) -> Float[Tensor, "*batch n"]:
        """sigma(a)."""

    @abstractmethod
    def slope(self, a: Float[Tensor, "*batch n"]) -> Float[Tensor, "*batch n"]:
        """sigma'(a)."""


class SharpSoftplus(ConvexActivation):
    """softplus(s a) / s with a learned sharpness s > 0 per unit: near ReLU for large s, smooth for every s.

    Sharp units matter: at s = 1 the gradient of the potential is too stiff to follow thin structures.
    """

    smooth = True

    def __init__(self, width: int, sharpness: float) -> None:
        super().__init__()
        self.log_sharpness = nn.Parameter(torch.full((width,), float(sharpness)).log())

    def value(self, a: Float[Tensor, "*batch n"]) -> Float[Tensor, "*batch n"]:
        sharpness = self.log_sharpness.exp()
        return softplus(sharpness * a) / sharpness

    def slope(self, a: Float[Tensor, "*batch n"]) -> Float[Tensor, "*batch n"]:
        return torch.sigmoid(self.log_sharpness.exp() * a)


class SquaredLeakyReLU(ConvexActivation):
    """(max(0.2 a, a))^2, the first layer of Wang et al. (2021). Convex, not monotone: for the first layer alone."""

    smooth = False

    def value(self, a: Float[Tensor, "*batch n"]) -> Float[Tensor, "*batch n"]:
        return F.leaky_relu(a, LEAK).square()

    def slope(self, a: Float[Tensor, "*batch n"]) -> Float[Tensor, "*batch n"]:
        return 2 * torch.where(a > 0, a, LEAK * LEAK * a)


class LeakyReLU(ConvexActivation):
    """max(0.2 a, a), the later layers of Wang et al. (2021)."""

    smooth = False

    def value(self, a: Float[Tensor, "*batch n"]) -> Float[Tensor, "*batch n"]:
        return F.leaky_relu(a, LEAK)

    def slope(self, a: Float[Tensor, "*batch n"]) -> Float[Tensor, "*batch n"]:
        return torch.full_like(a, LEAK).masked_fill(a > 0, 1.0)
