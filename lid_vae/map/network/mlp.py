"""The classical decoder map: a plain multilayer perceptron, which promises nothing."""

from itertools import pairwise

import torch
from torch import nn

from lid_vae.map.network.readout import ReadOutMap
from lid_vae.shapes import Float, Tensor

__all__ = ["MLP", "SkipMLP"]

# Of a SkipMLP's read-out from the hidden layers at the start, beside that from the input.
SMALL = 0.1


class MLP(ReadOutMap):
    """``hidden_layers`` hidden layers of ``width`` units and a linear output, from ``in_features`` to ``out_features``.

    The ReLU's weights start with He et al.'s (2015) variance, so that nine layers still pass a signal.

    >>> MLP(2, 784, width=64, hidden_layers=2)(torch.randn(10, 2)).shape
    torch.Size([10, 784])
    """

    def __init__(self, in_features: int, out_features: int, width: int, hidden_layers: int) -> None:
        super().__init__()
        self.in_features, self.out_features, self.hidden_layers = in_features, out_features, hidden_layers
        sizes = [in_features] + [width] * hidden_layers
        self.hidden = _hidden(sizes)
        self.output = nn.Linear(sizes[-1], out_features)

    def last_hidden(self, u: Float[Tensor, "*batch M"]) -> Float[Tensor, "*batch width"]:
        return self.hidden(u)  # type: ignore[no-any-return]

    def read_out(self) -> nn.Linear:
        return self.output


class SkipMLP(ReadOutMap):
    """A linear map and an MLP beside it, h(u) = W_1 u + W_2 r(u) + c, whose MLP starts small.

    As a read-out onto a vocabulary it begins as the linear one of the literature, and learns what that cannot.

    Args:
        in_features, out_features: M and D.
        width, hidden_layers: those of the MLP.
    """

    def __init__(self, in_features: int, out_features: int, width: int, hidden_layers: int) -> None:
        super().__init__()
        self.in_features, self.out_features, self.hidden_layers = in_features, out_features, hidden_layers
        self.hidden = _hidden([in_features] + [width] * hidden_layers)
        self.output = nn.Linear(in_features + width if hidden_layers else in_features, out_features)
        with torch.no_grad():
            self.output.weight[:, in_features:] *= SMALL

    def last_hidden(self, u: Float[Tensor, "*batch M"]) -> Float[Tensor, "*batch read"]:
        return torch.cat([u, self.hidden(u)], -1) if self.hidden_layers else u

    def read_out(self) -> nn.Linear:
        return self.output


def _hidden(sizes: list[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(sizes):
        linear = nn.Linear(fan_in, fan_out)
        nn.init.kaiming_normal_(linear.weight, nonlinearity="relu")
        nn.init.zeros_(linear.bias)
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers)
