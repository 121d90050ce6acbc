"""Gradient networks: monotone networks whose forward pass is itself the gradient of a convex function."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from lid_vae.errors import UserError
from lid_vae.map.convex.monotone import MonotoneMap
from lid_vae.map.convex.positive import check_start, inverse_softplus, positive, softplus
from lid_vae.map.lift import Lift
from lid_vae.shapes import Float, Tensor

__all__ = ["GradientNetwork"]


class GradientNetwork(MonotoneMap):
    """g(u) = W' phi(W u) + mu u + b, phi increasing in each unit: Chaudhari, Pranav and Moura (2023; 2025, GradNet).

    phi_i(t) = sum_l c_il sigmoid(s_il t + b_il) with c, s > 0 and ``hidden_layers`` terms a unit. A cascade of
    elementwise layers over one shared W gives increasing functions of (W u)_i too, so this sum is the same family,
    with the closed-form potential sum_il c_il / s_il softplus(s_il t_i + b_il).

    Args:
        features: D.
        width: the units, rows of W.
        hidden_layers: the terms of a unit.
        active_features: how many directions the argument has; None for D.
        sharpness: where every s starts.
        curvature: the size of the Jacobian at the start, beside mu.
        convexity: the options of ``MonotoneMap``.

    >>> g = GradientNetwork(features=2, width=64, hidden_layers=2)
    >>> g(torch.randn(10, 2)).shape
    torch.Size([10, 2])
    """

    def __init__(
        self,
        features: int,
        width: int,
        hidden_layers: int,
        *,
        active_features: int | None = None,
        sharpness: float = 4.0,
        curvature: float = 1.0,
        **convexity: Any,
    ) -> None:
        super().__init__(features, hidden_layers, **convexity)
        if hidden_layers < 1:
            raise UserError(
                f"GradientNetwork needs at least one hidden layer, got hidden_layers={hidden_layers}. Use 1."
            )
        check_start("GradientNetwork", 4, sharpness, curvature)
        active = active_features or features
        self.weight = nn.Parameter(torch.randn(width, features) / active**0.5)
        self.log_sharpness = nn.Parameter(torch.full((hidden_layers, width), float(sharpness)).log())
        self.threshold = nn.Parameter(1.5 * torch.randn(hidden_layers, width))
        # sigmoid(s (t - r)) has slope of mean ~ density of r at t, 0.25 for r ~ N(0, 1.5^2).
        size = torch.full((hidden_layers, width), curvature * active / (0.25 * width * hidden_layers))
        self.raw_height = nn.Parameter(inverse_softplus(size))

    def gradient(
        self, u: Float[Tensor, "*batch M"], lift: Lift | None = None, bias: Float[Tensor, " D"] | None = None
    ) -> Float[Tensor, "*batch D"]:
        projected = u @ (self.weight if lift is None else lift.transposed(self.weight)).mT
        sharpness, height = self.log_sharpness.exp(), positive(self.raw_height)
        total = torch.zeros_like(projected)
        for k in range(self.hidden_layers):
            total = total + height[k] * torch.sigmoid(sharpness[k] * (projected - self.threshold[k]))
        return F.linear(total, self.weight.mT, bias)

    def convex_potential(self, u: Float[Tensor, "*batch D"]) -> Float[Tensor, "*batch"]:
        projected = (u @ self.weight.mT).unsqueeze(-2)
        sharpness = self.log_sharpness.exp()
        terms = positive(self.raw_height) / sharpness * softplus(sharpness * (projected - self.threshold))
        return terms.sum((-1, -2))
