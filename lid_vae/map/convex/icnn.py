"""Input convex neural network (Amos, Xu and Kolter 2017) with its gradient written out in closed form."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import nn

from lid_vae.errors import UserError
from lid_vae.map.convex.activation import ConvexActivation, LeakyReLU, SharpSoftplus, SquaredLeakyReLU
from lid_vae.map.convex.positive import check_start, convex_initialisation, inverse_softplus, positive
from lid_vae.map.lift import Lift
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

    Args:
        features: D.
        width: units of a hidden layer.
        hidden_layers: how many there are.
        active_features: M, how many directions the argument has; None for D.
        skips: which layers read the input besides the first.
        activation: "softplus", or the "paper"'s.
        sharpness: where every softplus's s starts.
        curvature: the size of the Hessian at the start.
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
        super().__init__()
        check_start("BrenierMap", 10, sharpness, curvature)
        if hidden_layers < 1:
            raise UserError(
                f"ConvexPotential needs at least one hidden layer, got hidden_layers={hidden_layers}. Use 1."
            )
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
        sharpness = self._sharpness()
        total = torch.zeros(u.shape[:-1], dtype=u.dtype, device=u.device)
        for k, t in enumerate(self._layers(u, dict(self.input_weight.items()), sharpness)):
            weight = _divided(positive(self.output_weight[str(k)]), sharpness[k])
            total = total + (self._activation(k).unit_value(t) * weight).sum(-1)
        return total

    def gradient(
        self, u: Float[Tensor, "*batch M"], lift: Lift | None = None, bias: Float[Tensor, " D"] | None = None
    ) -> Float[Tensor, "*batch D"]:
        """grad f(u), or grad f(lift u), plus ``bias``: a forward and a backward pass, none of it automatic.

        What belongs to units rather than to examples (the sharpness, c of the last layer) is multiplied into the
        weights, where they are fewer than the examples.
        """
        inputs = {k: weight if lift is None else lift.transposed(weight) for k, weight in self.input_weight.items()}
        layers = self._layers(u, inputs, self._sharpness())
        few = self.features < u[..., 0].numel()
        result: Tensor | None = None
        above: Tensor | None = None
        for k in reversed(range(self.hidden_layers)):
            slope, own = self._activation(k).unit_slope(layers[k]), positive(self.output_weight[str(k)])
            factor = own if above is None and few else None
            if factor is None:
                slope = slope * (own if above is None else above + own)
            if k in self.readers:
                weight = _columns(self.input_weight[str(k)].mT, factor)
                # In rows: a product with few columns is several times as slow from the other order.
                weight = weight.contiguous() if few else weight
                result = F.linear(slope, weight, bias) if result is None else result + F.linear(slope, weight)
            if k > 0:
                above = slope @ _rows(positive(self.hidden_weight[str(k)]), factor)
        assert result is not None
        return result

    def _layers(self, u: Tensor, inputs: dict[str, Tensor], sharpness: list[Tensor | None]) -> list[Tensor]:
        """The pre-activations of every layer, times its sharpness."""
        layers: list[Tensor] = []
        for k in range(self.hidden_layers):
            bias = _columns(self.bias[str(k)], sharpness[k])
            if k == 0:
                layers.append(F.linear(u, _rows(inputs["0"], sharpness[0]), bias))
                continue
            value = self._activation(k - 1).unit_value(layers[-1])
            weight = _divided(positive(self.hidden_weight[str(k)]), sharpness[k - 1])
            t = F.linear(value, _rows(weight, sharpness[k]), bias)
            layers.append(t + u @ _rows(inputs[str(k)], sharpness[k]).mT if k in self.readers else t)
        return layers

    def _sharpness(self) -> list[Tensor | None]:
        return [self._activation(k).sharpness() for k in range(self.hidden_layers)]

    def _activation(self, k: int) -> ConvexActivation:
        activation = self.activations[k]
        assert isinstance(activation, ConvexActivation)
        return activation


def _rows(weight: Tensor, factor: Tensor | None) -> Tensor:
    return weight if factor is None else factor.unsqueeze(-1) * weight


def _columns(weight: Tensor, factor: Tensor | None) -> Tensor:
    return weight if factor is None else weight * factor


def _divided(weight: Tensor, factor: Tensor | None) -> Tensor:
    return weight if factor is None else weight / factor
