"""Anchored maps: any network, injective by the few directions of its output in which it is held to a bijection."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from lid_vae.errors import UserError
from lid_vae.map.base import (
    AdjustableMap,
    Aligned,
    DimensionError,
    InjectiveMap,
    MakeMap,
    Map,
    check_constant,
    check_features,
    refuse_learned,
    refuse_unaligned,
)
from lid_vae.map.convex.positive import inverse_softplus, positive
from lid_vae.map.lift import DenseLift, Lift, LiftName, make_lift, pca_lift
from lid_vae.map.network.readout import ReadOutMap
from lid_vae.shapes import Float, Tensor

__all__ = ["AnchoredMap", "anchored"]


class AnchoredMap(AdjustableMap):
    """g(u) = m B k(v) + (I - B B') h(u) + B a, v the first M numbers of u: injective in v whatever h is.

    B of shape [D, M] has orthonormal columns, k is a bijection of R^M, h any network. B'g(u) = m k(v) + a, so that
    B'(g(u) - g(u')) = m (k(v) - k(v')): the constant is m times that of k, exactly m for the identity, for every u and
    u' and every h. The inverse is k^-1((B'x - a) / m). Not of Definition 4 of Wang et al. (2021), whose outer map is a
    Brenier map; what it needs of that, it has.

    Where h reads more than v, as the history of a sequence, g is injective in v for each value of the rest, and there
    may be more inputs than outputs. m = floor + softplus(learned), or, where the constant L of the whole is given,
    L divided by that of k, formed anew at each call.

    I - B B' is never formed: g(u) = h(u) + B (m k(v) + a - B'h(u)), and of a ``ReadOutMap`` h(u) = W r(u) + c the last
    term is (B'W) r(u) + B'c.

    Args:
        network: h, onto R^D.
        lift: B, for M < D.
        bijection: k, an injective map of R^M onto itself; None for the identity.
        scale: where m starts.
        scale_floor: below which it never is.
        inverse_lipschitz: L; the two before it then have no bearing.
        align_lift: ``align`` sets B to the principal directions of the data.

    Raises:
        UserError: where dimensions do not meet, and for scales or constants that are not positive.

    >>> from lid_vae.map import MLP, random_lift
    >>> g = AnchoredMap(MLP(2, 50, width=16, hidden_layers=2), random_lift(2, 50), scale=3.0)
    >>> u = torch.randn(10, 2)
    >>> g(u).shape, round(g.certificate(), 5), torch.allclose(g.inverse(g(u)), u, atol=1e-4)
    (torch.Size([10, 50]), 3.0, True)
    """

    given_constant: Tensor

    def __init__(
        self,
        network: Map,
        lift: Lift,
        bijection: InjectiveMap | None = None,
        *,
        scale: float = 1.0,
        scale_floor: float = 0.01,
        inverse_lipschitz: float | None = None,
        align_lift: bool = False,
    ) -> None:
        super().__init__()
        anchor = lift.in_features
        if not (anchor <= network.in_features and lift.out_features == network.out_features):
            raise UserError(
                f"A lift {anchor} -> {lift.out_features} cannot anchor a network {network.in_features} -> "
                f"{network.out_features}: it needs the network's outputs, and no more than its inputs."
            )
        if anchor == network.out_features:
            raise UserError(
                f"AnchoredMap leaves its network the dimensions beside the {anchor} that are anchored, and of "
                f"{network.out_features} none is left. Use composed_brenier, or a smaller latent_dimension."
            )
        if bijection is not None and not (
            bijection.in_features == bijection.out_features == anchor and bijection.injective_in(anchor)
        ):
            raise UserError(
                f"The bijection of an anchored map goes from the {anchor} anchored dimensions onto as many, got "
                f"{bijection.in_features} -> {bijection.out_features}."
            )
        if not scale > scale_floor > 0:
            raise UserError(
                f"AnchoredMap needs 0 < scale_floor < scale, got scale={scale} and scale_floor={scale_floor}. Use "
                "scale=1 and scale_floor=0.01."
            )
        self.network, self.lift, self.bijection = network, lift, bijection
        self.in_features, self.out_features, self.injective_features = network.in_features, network.out_features, anchor
        self.hidden_layers = network.hidden_layers + (0 if bijection is None else bijection.hidden_layers)
        self.floor, self.learned, self.align_lift = scale_floor, inverse_lipschitz is None, align_lift
        self.unaligned = align_lift
        if inverse_lipschitz is None:
            self.raw_scale = nn.Parameter(inverse_softplus(torch.tensor(float(scale - scale_floor))))
        else:
            self.register_buffer("given_constant", torch.tensor(float(check_constant(inverse_lipschitz))))
        self.anchor_bias = nn.Parameter(torch.zeros(anchor))

    def scale(self) -> Float[Tensor, ""]:
        """m > 0."""
        if self.learned:
            return self.floor + positive(self.raw_scale)
        return (
            self.given_constant if self.bijection is None else self.given_constant / self.bijection.inverse_lipschitz()
        )

    def forward(self, u: Float[Tensor, "*batch I"]) -> Float[Tensor, "*batch D"]:
        check_features(u, self.in_features, type(self).__name__)
        if self.unaligned:
            refuse_unaligned(type(self).__name__)
        anchor, network = self.lift.in_features, self.network
        v = u[..., :anchor]
        wanted = self.scale() * (v if self.bijection is None else self.bijection(v)) + self.anchor_bias
        if not isinstance(network, ReadOutMap):
            image = network(u)
            return self.lift.added(image, wanted - self.lift.transposed(image))
        hidden, layer = network.last_hidden(u), network.read_out()
        along = F.linear(hidden, self.lift.projected(layer.weight), self.lift.transposed(layer.bias))
        return self.lift.affine(hidden, layer, wanted - along)

    def inverse_lipschitz(self) -> Float[Tensor, ""]:
        if not self.learned:
            return self.given_constant
        return self.scale() if self.bijection is None else self.scale() * self.bijection.inverse_lipschitz()

    @torch.no_grad()
    def set_inverse_lipschitz(self, value: float) -> None:
        if self.learned:
            refuse_learned()
        self.given_constant.fill_(check_constant(value))

    @torch.no_grad()
    def inverse(self, x: Float[Tensor, "*batch D"], tolerance: float = 1e-9) -> Float[Tensor, "*batch M"]:
        check_features(x, self.out_features, f"The inverse of {type(self).__name__}")
        k = (self.lift.transposed(x) - self.anchor_bias) / self.scale()
        return k if self.bijection is None else self.bijection.inverse(k, tolerance)

    @torch.no_grad()
    def initialise_bias(self, bias: Float[Tensor, " D"]) -> None:
        self.network.initialise_bias(bias)
        self.anchor_bias.copy_(self.lift.transposed(bias.to(self.anchor_bias.dtype)))

    @torch.no_grad()
    def align(self, data: Float[Tensor, "N D"] | None) -> None:
        """The directions of the lift, and what the network takes, from ``data``; None leaves them random."""
        self.unaligned = False
        if isinstance(self.network, Aligned):
            self.network.align(data)
        if isinstance(self.bijection, Aligned):
            self.bijection.align(None)  # of the latent, whose directions are not those of the data
        if self.align_lift and data is not None:
            assert isinstance(self.lift, DenseLift)
            self.lift.weight.copy_(pca_lift(self.lift.in_features, data).weight)

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self.unaligned = False  # the lift is loaded
        super()._load_from_state_dict(*args, **kwargs)


def anchored(
    in_features: int,
    out_features: int,
    network: MakeMap,
    anchor: int | None = None,
    lift: LiftName = "random",
    bijection: MakeMap | None = None,
    scale: float = 1.0,
    scale_floor: float = 0.01,
    inverse_lipschitz: float | None = None,
) -> AnchoredMap:
    """An anchored map made to measure.

    Args:
        in_features, out_features: what the network reads, and D.
        network: makes h: (in_features=, out_features=) -> map.
        anchor: M, how many inputs are anchored, the first of them; None for all. For sequences the dimension of w:
            the history that h reads beside it need not be identified.
        lift: "pad", "random", "spread", or "pca": its directions are those of the data, which ``align`` needs first.
        bijection: makes k likewise; None for the identity.
        scale, scale_floor, inverse_lipschitz: those of ``AnchoredMap``.

    Raises:
        UserError: as ``AnchoredMap``, and for a lift that is not known; a ``DimensionError`` where all inputs are to
            be anchored, and are more than the outputs.
    """
    rank = in_features if anchor is None else anchor
    if rank > out_features:
        raise (DimensionError if anchor is None else UserError)(
            f"An anchored map needs more outputs than anchored inputs, got {out_features} and {rank}. Use "
            f"latent_dimension={max(out_features - 1, 1)} or less, and as many for anchor."
        )
    if not 1 <= rank <= in_features:
        raise UserError(
            f"anchored needs an anchor from 1 to {in_features}, the inputs of this map, got anchor={anchor}. Use the "
            "dimension of the latent, or anchor=None for all inputs."
        )
    k = None if bijection is None else bijection(in_features=rank, out_features=rank)
    if k is not None and not isinstance(k, InjectiveMap):
        raise UserError(
            f"The bijection of an anchored map must be injective, got {type(k).__name__}. Use "
            "bijection=composed_brenier."
        )
    h = network(in_features=in_features, out_features=out_features)
    return AnchoredMap(
        h,
        make_lift(lift, rank, out_features),
        k,
        scale=scale,
        scale_floor=scale_floor,
        inverse_lipschitz=inverse_lipschitz,
        align_lift=lift == "pca",
    )
