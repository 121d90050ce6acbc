"""Input convex neural network (Amos, Xu and Kolter 2017) with its gradient written out in closed form."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import nn

from lid_vae.errors import UserError
from lid_vae.map.activation import ConvexActivation, LeakyReLU, SharpSoftplus, SquaredLeakyReLU
from lid_vae.map.lift import Lift
from lid_vae.map.positive import convex_initialisation, inverse_softplus, positive
from lid_vae.shapes import Float, Tensor

__all__ = ["ConvexPotential"]

SLOPE_OF_SLOPE = 0.4  # E[sigma''(a)] of a sharp softplus for a ~ N(0, 1): the standard normal density at 0


class ConvexPotential(nn.Module):
    """A convex f: R^D -> R.

    z_1 = s(A_1 u + b_1);  z_k = s(W_k z_{k-1} + A_k u + b_k);  f(u) = sum_k c_k' z_k  with W, c > 0.

    Every layer feeds the potential through its own c_k. ``skips`` says which layers read the input besides the first:
    ``none``, ``last`` or ``all``; each costs one more product with a D-column matrix in either direction.

    With a ``lift`` B of shape [D, M] (orthonormal columns), the argument is B u with u of M numbers, and the products
    A_k B are formed once for the batch: the D - M idle directions cost nothing.
    """

    def __init__(
        self,
        features: int,
        width: int,
        hidden_layers: int,
        *,
        active_features: int | None = None,
        skips: Literal["none", "last", "all"] = "last",
        activation: Literal["softplus", "paper"] = "softplus",
        sharpness: float = 10.0,
        curvature: float = 1.0,
    ) -> None:
        """``active_features`` M: how many directions the argument has; ``curvature``: size of the Hessian at the
        start.
        """
        super().__init__()
        if hidden_layers < 1:
            raise UserError(f"A convex potential needs at least one hidden layer, got {hidden_layers}.")
        readers = {"none": {0}, "last": {0, hidden_layers - 1}, "all": set(range(hidden_layers))}
        if skips not in readers:
            raise UserError(f"skips={skips} is not known. Use one of none, last, all.")
        if activation not in ("softplus", "paper"):
            raise UserError(f"activation={activation} is not known. Use softplus or paper.")
        self.features, self.width, self.hidden_layers = features, width, hidden_layers
        self.readers = tuple(sorted(readers[skips]))
        active = active_features or features
        self.input_weight = nn.ParameterDict(
            {str(k): nn.Parameter(torch.randn(width, features) / active**0.5) for k in self.readers}
        )
        self.hidden_weight = nn.ParameterDict()
        self.bias = nn.ParameterDict({"0": nn.Parameter(torch.randn(width))})
        for k in range(1, hidden_layers):
            raw, shift = convex_initialisation(width, width)
            self.hidden_weight[str(k)] = nn.Parameter(raw)
            self.bias[str(k)] = nn.Parameter(torch.full((width,), shift))
        # grad f = sum_j A_j' s_j with slopes s_j of size sum_k c_k, so its Jacobian has size c L n E[s''] / M.
        size = torch.full((width,), curvature * active / (SLOPE_OF_SLOPE * width * hidden_layers))
        self.output_weight = nn.ParameterDict(
            {str(k): nn.Parameter(inverse_softplus(size)) for k in range(hidden_layers)}
        )
        self.activations = nn.ModuleList(
            SharpSoftplus(width, sharpness)
            if activation == "softplus"
            else SquaredLeakyReLU()
            if k == 0
            else LeakyReLU()
            for k in range(hidden_layers)
        )

    def forward(self, u: Float[Tensor, "*batch D"]) -> Float[Tensor, "*batch"]:
        """f(u)."""
        inputs = dict(self.input_weight.items())
        total = torch.zeros(u.shape[:-1], dtype=u.dtype, device=u.device)
        for k, (pre, value) in enumerate(self._layers(u, inputs, last_value=True)):
            assert value is not None
            assert pre.shape == value.shape
            total = total + (value * positive(self.output_weight[str(k)])).sum(-1)
        return total

    def gradient(
        self, u: Float[Tensor, "*batch M"], lift: Lift | None = None, bias: Float[Tensor, " D"] | None = None
    ) -> Float[Tensor, "*batch D"]:
        """grad f(u), or grad f(lift u), plus ``bias``: a forward and a backward pass, none of it automatic."""
        inputs = {k: weight if lift is None else lift.transposed(weight) for k, weight in self.input_weight.items()}
        pre = [a for a, _ in self._layers(u, inputs, last_value=False)]
        result: Tensor | None = None
        slope: Tensor | None = None
        for k in reversed(range(self.hidden_layers)):
            above = positive(self.output_weight[str(k)])
            if slope is not None:
                above = above + slope @ positive(self.hidden_weight[str(k + 1)])
            slope = above * self._activation(k).slope(pre[k])
            if k in self.readers:
                weight = self.input_weight[str(k)].mT
                result = F.linear(slope, weight, bias) if result is None else result + F.linear(slope, weight)
        assert result is not None
        return result

    def _layers(self, u: Tensor, inputs: dict[str, Tensor], last_value: bool) -> list[tuple[Tensor, Tensor | None]]:
        """Pre-activation and activation of every layer; the last activation only on demand."""
        layers: list[tuple[Tensor, Tensor | None]] = []
        value: Tensor | None = None
        for k in range(self.hidden_layers):
            pre = self.bias[str(k)]
            if k in self.readers:
                pre = pre + u @ inputs[str(k)].mT
            if value is not None:
                pre = pre + value @ positive(self.hidden_weight[str(k)]).mT
            value = self._activation(k).value(pre) if last_value or k < self.hidden_layers - 1 else None
            layers.append((pre, value))
        return layers

    def _activation(self, k: int) -> ConvexActivation:
        activation = self.activations[k]
        assert isinstance(activation, ConvexActivation)
        return activation
