"""Compositions of monotone maps and lifts, g_n(beta_n' ... g_2(beta_2' g_1(u))), injective at any depth."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, Literal

import torch
from torch import nn

from lid_vae.errors import UserError
from lid_vae.map.base import InjectiveMap
from lid_vae.map.brenier import BrenierMap
from lid_vae.map.gradient_network import GradientNetwork
from lid_vae.map.lift import DenseLift, Lift, pad_lift, pca_lift, random_lift, spread_lift
from lid_vae.map.monotone import MonotoneMap
from lid_vae.shapes import Float, Tensor

__all__ = ["ComposedMap", "compose", "composed_brenier", "composed_gradient_network", "layer_dimensions"]

LiftName = Literal["pad", "random", "pca", "spread"]


class ComposedMap(InjectiveMap):
    """Monotone maps with a lift before each but the first. The product of their constants certifies the whole.

    Raises ``UserError`` where dimensions do not meet.
    """

    def __init__(self, maps: Sequence[MonotoneMap], lifts: Sequence[Lift], align_last: bool = False) -> None:
        """``align_last``: ``align`` sets the last lift to the principal directions of the data."""
        super().__init__()
        if not maps or len(lifts) != len(maps) - 1:
            raise UserError(f"{len(maps)} maps need {max(len(maps) - 1, 0)} lifts between them, got {len(lifts)}.")
        for before, lift, after in zip(maps[:-1], lifts, maps[1:], strict=True):
            if lift.in_features != before.out_features or lift.out_features != after.in_features:
                raise UserError(
                    f"A lift {lift.in_features} -> {lift.out_features} cannot join maps of {before.out_features} and "
                    f"{after.in_features} dimensions."
                )
        self.align_last = align_last
        self.maps, self.lifts = nn.ModuleList(maps), nn.ModuleList(lifts)
        self.in_features, self.out_features = maps[0].in_features, maps[-1].out_features
        self.hidden_layers = sum(map_.hidden_layers for map_ in maps)

    def stages(self) -> list[tuple[MonotoneMap, Lift | None]]:
        """Each map with the lift before it (None before the first)."""
        stages: list[tuple[MonotoneMap, Lift | None]] = []
        for map_, lift in zip(self.maps, [None, *self.lifts], strict=True):
            assert isinstance(map_, MonotoneMap)
            assert lift is None or isinstance(lift, Lift)
            stages.append((map_, lift))
        return stages

    def forward(self, u: Float[Tensor, "*batch M"]) -> Float[Tensor, "*batch D"]:
        for map_, lift in self.stages():
            u = map_(u, lift)
        return u

    def inverse_lipschitz(self) -> Float[Tensor, ""]:
        return torch.stack([map_.inverse_lipschitz() for map_, _ in self.stages()]).prod()

    @torch.no_grad()
    def set_inverse_lipschitz(self, value: float) -> None:
        """Give the whole another constant, between two training steps.

        Raises ``UserError`` where it is not positive, or where the maps learn theirs.
        """
        if any(map_.learned for map_, _ in self.stages()):
            raise UserError(
                "The inverse-Lipschitz constant of this map is learned, and only a given one can be set. Start it with "
                "map.inverse_lipschitz=1."
            )
        share = _share(value, len(self.maps))
        for map_, _ in self.stages():
            map_.given_strong_convexity.fill_(share)

    def inverse(self, x: Float[Tensor, "*batch D"], tolerance: float = 1e-9) -> Float[Tensor, "*batch M"]:
        for map_, lift in reversed(self.stages()):
            x = map_.inverse(x, tolerance)
            if lift is not None:
                x = lift.transposed(x)
        return x

    def initialise_bias(self, bias: Float[Tensor, " D"]) -> None:
        self.stages()[-1][0].initialise_bias(bias)

    def align(self, data: Float[Tensor, "N D"]) -> None:
        if self.align_last and self.lifts:
            lift = self.lifts[-1]
            assert isinstance(lift, DenseLift)
            lift.weight.copy_(pca_lift(lift.in_features, data).weight)


def layer_dimensions(in_features: int, out_features: int, depth: int) -> list[int]:
    """Dimensions of ``depth`` maps from M to D: M first, D last, a geometric progression between.

    Raises ``UserError`` if D < M, or if one map should change the dimension.
    """
    if out_features < in_features:
        raise UserError(
            f"An injective map goes from fewer dimensions to more, got {in_features} -> {out_features}. "
            f"Use latent_dimension={out_features} or less."
        )
    if depth < 1 or (depth == 1 and in_features != out_features):
        raise UserError(
            f"map.depth={depth} cannot take {in_features} dimensions to {out_features}: a Brenier map keeps the "
            "dimension and lifts stand between two maps. Use map.depth=2 or more."
        )
    ratio = out_features / in_features
    return [round(in_features * ratio ** (k / max(depth - 1, 1))) for k in range(depth)]


def compose(
    kind: Callable[..., MonotoneMap],
    in_features: int,
    out_features: int,
    width: int,
    hidden_layers: int,
    depth: int = 2,
    lift: LiftName = "pca",
    strong_convexity: float = 1.0,
    inverse_lipschitz: float | None = None,
    **options: Any,
) -> ComposedMap:
    """``depth`` maps of one kind with the lifts between them; equation (16) of the supplement is depth 2.

    Args:
        kind: ``BrenierMap`` or ``GradientNetwork``.
        in_features, out_features: M and D.
        width: units of a hidden layer.
        hidden_layers: those of each map.
        depth: how many maps.
        lift: "pad" (the paper's), "random", "spread", or "pca": the last lift takes its directions from the data in
            ``align``, and is random until then, as are the lifts before the last.
        strong_convexity: where mu of the last map starts (the others start at 1).
        inverse_lipschitz: L gives the constant of the whole instead (IL-LIDVAE, Kinoshita et al. 2023): every map has
            mu = L^(1/depth), and no mu is learned.
        options: the others of ``kind``.

    Raises:
        UserError: for dimensions that cannot be joined, a lift that is not known, and a constant that is not positive.
    """
    given = None if inverse_lipschitz is None else _share(inverse_lipschitz, depth)
    dimensions = layer_dimensions(in_features, out_features, depth)
    actives = dimensions[:1] + dimensions[:-1]
    starts = [1.0] * (depth - 1) + [strong_convexity]
    options |= {"given_strong_convexity": given}
    maps = [
        kind(features, width, hidden_layers, active_features=active, strong_convexity=start, **options)
        for features, active, start in zip(dimensions, actives, starts, strict=True)
    ]
    makers = {"pad": pad_lift, "random": random_lift, "pca": random_lift, "spread": spread_lift}
    if lift not in makers:
        raise UserError(f"map.lift={lift} is not known. Use one of {', '.join(makers)}.")
    lifts = [makers[lift](small, large) for small, large in pairwise(dimensions)]
    return ComposedMap(maps, lifts, align_last=lift == "pca")


def composed_brenier(
    in_features: int, out_features: int, width: int, hidden_layers: int, depth: int = 2, **options: Any
) -> ComposedMap:
    """``depth`` Brenier maps with the lifts between them; arguments as in ``compose`` and ``BrenierMap``."""
    return compose(BrenierMap, in_features, out_features, width, hidden_layers, depth, **options)


def composed_gradient_network(
    in_features: int, out_features: int, width: int, hidden_layers: int, depth: int = 2, **options: Any
) -> ComposedMap:
    """``depth`` gradient networks with the lifts between them; arguments as in ``compose`` and ``GradientNetwork``."""
    return compose(GradientNetwork, in_features, out_features, width, hidden_layers, depth, **options)


def _share(inverse_lipschitz: float, depth: int) -> float:
    """Each map's mu, ``depth`` of which have the product ``inverse_lipschitz``."""
    if not inverse_lipschitz > 0:
        raise UserError(
            f"An inverse-Lipschitz constant must be above zero, or the map need not be injective, got "
            f"{inverse_lipschitz}. Use map.inverse_lipschitz=1, or null to learn it."
        )
    return inverse_lipschitz ** (1 / max(depth, 1))
