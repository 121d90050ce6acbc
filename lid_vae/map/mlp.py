"""The classical decoder map: a plain multilayer perceptron, which promises nothing."""

from itertools import pairwise

import torch
from torch import nn

from lid_vae.map.base import Map
from lid_vae.shapes import Float, Tensor

__all__ = ["MLP"]


class MLP(Map):
    """``hidden_layers`` hidden layers of ``width`` units and a linear output.

    The ReLU's weights start with He et al.'s (2015) variance, so that nine layers still pass a signal.
    """

    def __init__(self, in_features: int, out_features: int, width: int, hidden_layers: int) -> None:
        super().__init__()
        self.in_features, self.out_features, self.hidden_layers = in_features, out_features, hidden_layers
        sizes = [in_features] + [width] * hidden_layers
        layers: list[nn.Module] = []
        for fan_in, fan_out in pairwise(sizes):
            linear = nn.Linear(fan_in, fan_out)
            nn.init.kaiming_normal_(linear.weight, nonlinearity="relu")
            nn.init.zeros_(linear.bias)
            layers += [linear, nn.ReLU()]
        self.hidden = nn.Sequential(*layers)
        self.output = nn.Linear(sizes[-1], out_features)

    def forward(self, u: Float[Tensor, "*batch M"]) -> Float[Tensor, "*batch D"]:
        return self.output(self.hidden(u))

    @torch.no_grad()
    def initialise_bias(self, bias: Float[Tensor, " D"]) -> None:
        self.output.bias.copy_(bias)

    def align(self, data: Float[Tensor, "N D"]) -> None:
        """Nothing here is taken from the data."""
