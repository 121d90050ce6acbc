"""A multilayer perceptron with skips: what a hidden layer finds is added to its input."""

from torch import nn

from lid_vae.errors import UserError
from lid_vae.map.network.readout import ReadOutMap
from lid_vae.shapes import Float, Tensor

__all__ = ["ResidualMLP"]


class ResidualMLP(ReadOutMap):
    """A linear layer to ``width`` units, ``blocks`` times h + W relu(V h), and a linear layer to the output.

    Residual blocks are He et al.'s (2016, arXiv:1512.03385). Each starts with W = 0, so that the map starts linear and
    a signal passes any number of blocks (Zhang et al. 2019, arXiv:1901.09321). The map promises nothing: it is for the
    classical models, such as ``model=gmvae``.

    Args:
        in_features: M, the dimension of the latent w.
        out_features: D, the dimension of what the likelihood takes.
        width: units of each hidden layer.
        blocks: how many residual blocks; 0 is a linear map of rank ``width`` at most.

    Raises:
        UserError: for a negative number of blocks.
    """

    def __init__(self, in_features: int, out_features: int, width: int, blocks: int = 4) -> None:
        super().__init__()
        if blocks < 0:
            raise UserError(f"A residual map needs at least no blocks, got map.blocks={blocks}. Use map.blocks=4.")
        self.in_features, self.out_features, self.hidden_layers = in_features, out_features, blocks
        self.input = nn.Linear(in_features, width)
        inner, outer = ([nn.Linear(width, width) for _ in range(blocks)] for _ in range(2))
        for layer in outer:
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.inner, self.outer = nn.ModuleList(inner), nn.ModuleList(outer)
        self.output = nn.Linear(width, out_features)

    def last_hidden(self, u: Float[Tensor, "*batch M"]) -> Float[Tensor, "*batch width"]:
        h = self.input(u)
        for inner, outer in zip(self.inner, self.outer, strict=True):
            h = h + outer(inner(h).relu())
        return h  # type: ignore[no-any-return]

    def read_out(self) -> nn.Linear:
        return self.output
