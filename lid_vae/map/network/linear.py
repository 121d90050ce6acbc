"""An affine map: the decoder of a linear VAE, which is probabilistic PCA."""

from torch import nn

from lid_vae.map.network.readout import ReadOutMap
from lid_vae.shapes import Float, Tensor

__all__ = ["LinearMap"]


class LinearMap(ReadOutMap):
    """x = W u + b from M, ``in_features``, to D, ``out_features``.

    With a Gaussian likelihood this VAE is PPCA (Tipping and Bishop 1999; Lucas et al. 2019).

    >>> LinearMap(2, 5)(torch.randn(10, 2)).shape
    torch.Size([10, 5])
    """

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.in_features, self.out_features, self.hidden_layers = in_features, out_features, 0
        self.layer = nn.Linear(in_features, out_features)

    def last_hidden(self, u: Float[Tensor, "*batch M"]) -> Float[Tensor, "*batch M"]:
        return u

    def read_out(self) -> nn.Linear:
        return self.layer
