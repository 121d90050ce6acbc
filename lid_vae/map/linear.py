"""An affine map: the decoder of a linear VAE, which is probabilistic PCA."""

import torch
from torch import nn

from lid_vae.map.base import Map
from lid_vae.shapes import Float, Tensor

__all__ = ["LinearMap"]


class LinearMap(Map):
    """x = W u + b. With a Gaussian likelihood this VAE is PPCA (Tipping and Bishop 1999; Lucas et al. 2019)."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.in_features, self.out_features, self.hidden_layers = in_features, out_features, 0
        self.layer = nn.Linear(in_features, out_features)

    def forward(self, u: Float[Tensor, "*batch M"]) -> Float[Tensor, "*batch D"]:
        return self.layer(u)

    @torch.no_grad()
    def initialise_bias(self, bias: Float[Tensor, " D"]) -> None:
        self.layer.bias.copy_(bias)

    def align(self, data: Float[Tensor, "N D"]) -> None:
        """Nothing here is taken from the data."""
