"""RealNVP (Dinh, Sohl-Dickstein and Bengio 2017, arXiv:1605.08803): affine couplings and permutations."""

import torch
from torch import nn

from lid_vae.distribution.flow_gaussian import Bijection
from lid_vae.errors import UserError
from lid_vae.shapes import Float, Tensor

__all__ = ["RealNVP"]

LOG_SCALE_BOUND = 2.0


class Coupling(nn.Module):
    """w = P u with the second half scaled and shifted as functions of the first, and of ``context`` features of x.

    Identity up to P at the start.
    """

    permutation: Tensor
    inverse_permutation: Tensor

    def __init__(self, dimension: int, width: int, hidden_layers: int, permutation: Tensor, context: int = 0) -> None:
        super().__init__()
        self.kept = dimension // 2
        self.register_buffer("permutation", permutation)
        self.register_buffer("inverse_permutation", permutation.argsort())
        layers: list[nn.Module] = []
        for k in range(hidden_layers):
            layers += [nn.Linear(self.kept if k == 0 else width, width), nn.ReLU()]
        output = nn.Linear(width, 2 * (dimension - self.kept))
        nn.init.zeros_(output.weight)
        nn.init.zeros_(output.bias)
        self.network = nn.Sequential(*layers, output)
        if context:
            self.context = nn.Linear(context, width, bias=False)

    def forward(self, u: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        u = u[..., self.permutation]
        kept, moved = u[..., : self.kept], u[..., self.kept :]
        log_scale, shift = self._coefficients(kept, context)
        return torch.cat([kept, moved * log_scale.exp() + shift], -1), log_scale.sum(-1)

    def inverse(self, w: Tensor, context: Tensor | None = None) -> Tensor:
        kept, moved = w[..., : self.kept], w[..., self.kept :]
        log_scale, shift = self._coefficients(kept, context)
        return torch.cat([kept, (moved - shift) * (-log_scale).exp()], -1)[..., self.inverse_permutation]

    def _coefficients(self, kept: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        if context is None:
            found = self.network(kept)
        else:
            # Once for each x, and added to what each draw says.
            found = self.network[1:](self.network[0](kept) + self.context(context))
        raw, shift = found.chunk(2, -1)
        return LOG_SCALE_BOUND * torch.tanh(raw / LOG_SCALE_BOUND), shift


class RealNVP(Bijection):
    """``couplings`` affine coupling layers of M = ``dimension`` numbers: Dinh, Sohl-Dickstein and Bengio (2017).

    Before each a permutation brings the other half to the front. A coupling's networks have ``hidden_layers`` hidden
    layers of ``width`` units, and where ``context`` is not 0 they see that many features of x beside the half that
    they keep. The scales are bounded by exp(+-2) a layer, so that no single step can make a density degenerate. Raises
    ``UserError`` for fewer than two couplings or dimensions, or couplings without a hidden layer.
    """

    def __init__(
        self, dimension: int, width: int, couplings: int = 2, hidden_layers: int = 1, context: int = 0
    ) -> None:
        super().__init__()
        if dimension < 2:
            raise UserError(
                f"RealNVP couples two halves, so it needs two dimensions or more, got dimension={dimension}. Use "
                "gaussian_family."
            )
        if couplings < 2:
            raise UserError(
                f"RealNVP needs two coupling layers or more to move every dimension, got couplings={couplings}. Use 2."
            )
        if hidden_layers < 1:
            raise UserError(
                f"RealNVP needs couplings of at least one hidden layer, got hidden_layers={hidden_layers}. Use "
                "hidden_layers=1."
            )
        swap = torch.arange(dimension).roll(-(dimension // 2))
        shuffles = [torch.randperm(dimension) if k % 2 == 0 and dimension > 2 else swap for k in range(couplings)]
        self.context = context
        self.couplings = nn.ModuleList(
            Coupling(dimension, width, hidden_layers, shuffle, context) for shuffle in shuffles
        )

    def forward(
        self, u: Float[Tensor, "*batch M"], context: Float[Tensor, "*examples F"] | None = None
    ) -> tuple[Float[Tensor, "*batch M"], Float[Tensor, "*batch"]]:
        total = torch.zeros(u.shape[:-1], dtype=u.dtype, device=u.device)
        for coupling in self.couplings:
            u, log_determinant = coupling(u, context)
            total = total + log_determinant
        return u, total

    def inverse(
        self, w: Float[Tensor, "*batch M"], context: Float[Tensor, "*examples F"] | None = None
    ) -> Float[Tensor, "*batch M"]:
        for coupling in reversed(self.couplings):
            assert isinstance(coupling, Coupling)
            w = coupling.inverse(w, context)
        return w
