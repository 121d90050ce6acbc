"""Compositions of monotone maps and lifts, g_n(beta_n' ... g_2(beta_2' g_1(u))), injective at any depth.

With additive couplings before the maps they are polar maps, which can twist as well.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import nn

from lid_vae.errors import UserError
from lid_vae.map.base import (
    AdjustableMap,
    DimensionError,
    check_constant,
    check_features,
    refuse_learned,
    refuse_unaligned,
)
from lid_vae.map.convex.brenier import BrenierMap
from lid_vae.map.convex.gradient_network import GradientNetwork
from lid_vae.map.convex.monotone import MonotoneMap
from lid_vae.map.coupling import AdditiveCouplings
from lid_vae.map.lift import DenseLift, Lift, LiftName, make_lift, pca_lift
from lid_vae.shapes import Float, Tensor

__all__ = ["ComposedMap", "compose", "composed_brenier", "composed_gradient_network", "layer_dimensions"]


class ComposedMap(AdjustableMap):
    """Monotone maps with a lift before each but the first. The product of their constants certifies the whole.

    Additive couplings may stand before a map, in the active directions: before the lift, where there is one. A square
    map is a gradient of a convex function after a rearrangement of its argument (polar factorisation, Brenier 1991),
    and the couplings stand for the rearrangement. Their constants then enter the product.

    Where the constant L of the whole is given (``map.inverse_lipschitz``), the maps have equal shares of it: mu =
    (L / c)^(1 / depth) with c that of all couplings together, formed anew at each call, as the couplings learn.

    Args:
        maps: monotone maps, each of its own dimension.
        lifts: one between each two of them.
        align_last: ``align`` sets the last lift to the principal directions of the data; before that, or before
            weights are loaded, the map refuses to be used.
        couplings: the number of a map, from 0, with the couplings before it.

    Raises:
        UserError: where dimensions do not meet.

    >>> shears = AdditiveCouplings(features=2, count=2, width=8)
    >>> g = ComposedMap([BrenierMap(2, 16, 1), BrenierMap(5, 16, 1)], [pad_lift(2, 5)], couplings={1: shears})
    >>> g(torch.randn(10, 2)).shape, g.certificate() > 0
    (torch.Size([10, 5]), True)
    """

    def __init__(
        self,
        maps: Sequence[MonotoneMap],
        lifts: Sequence[Lift],
        align_last: bool = False,
        couplings: Mapping[int, AdditiveCouplings] | None = None,
    ) -> None:
        super().__init__()
        if not maps or len(lifts) != len(maps) - 1:
            raise UserError(f"{len(maps)} maps need {max(len(maps) - 1, 0)} lifts between them, got {len(lifts)}.")
        for before, lift, after in zip(maps[:-1], lifts, maps[1:], strict=True):
            if lift.in_features != before.out_features or lift.out_features != after.in_features:
                raise UserError(
                    f"A lift {lift.in_features} -> {lift.out_features} cannot join maps of {before.out_features} and "
                    f"{after.in_features} dimensions."
                )
        actives = [maps[0].in_features, *(lift.in_features for lift in lifts)]
        for k, shears in (couplings or {}).items():
            if not 0 <= k < len(maps) or shears.features != actives[k]:
                raise UserError(
                    f"Couplings of {shears.features} dimensions cannot stand before map {k}: the maps from 0 on have "
                    f"{', '.join(map(str, actives))} active directions."
                )
        self.align_last = self.unaligned = align_last and bool(lifts)
        self.maps, self.lifts = nn.ModuleList(maps), nn.ModuleList(lifts)
        self.couplings = nn.ModuleDict({str(k): shears for k, shears in sorted((couplings or {}).items())})
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

    def couplings_before(self, k: int) -> AdditiveCouplings | None:
        """Those before map ``k``, counted from 0."""
        if str(k) not in self.couplings:
            return None
        couplings = self.couplings[str(k)]
        assert isinstance(couplings, AdditiveCouplings)
        return couplings

    def forward(self, u: Float[Tensor, "*batch M"]) -> Float[Tensor, "*batch D"]:
        check_features(u, self.in_features, type(self).__name__)
        if self.unaligned:
            refuse_unaligned(type(self).__name__)
        for k, ((map_, lift), mu) in enumerate(zip(self.stages(), self._shares(), strict=True)):
            couplings = self.couplings_before(k)
            u = map_(u if couplings is None else couplings(u), lift, mu)
        return u

    def inverse_lipschitz(self) -> Float[Tensor, ""]:
        own = torch.stack([map_.inverse_lipschitz() for map_, _ in self.stages()]).prod()
        # Of a given constant the maps' shares make up for the couplings: the product is that constant again.
        return own if self._given() or not self.couplings else own * self._of_couplings()

    @torch.no_grad()
    def set_inverse_lipschitz(self, value: float) -> None:
        if not self._given():
            refuse_learned()
        share = _share(value, len(self.maps))
        for map_, _ in self.stages():
            map_.given_strong_convexity.fill_(share)

    def inverse(self, x: Float[Tensor, "*batch D"], tolerance: float = 1e-9) -> Float[Tensor, "*batch M"]:
        check_features(x, self.out_features, f"The inverse of {type(self).__name__}")
        stages = list(enumerate(zip(self.stages(), self._shares(), strict=True)))
        for k, ((map_, lift), mu) in reversed(stages):
            x = map_.inverse(x, tolerance, mu)
            if lift is not None:
                x = lift.transposed(x)
            if (couplings := self.couplings_before(k)) is not None:
                x = couplings.inverse(x)
        return x

    def initialise_bias(self, bias: Float[Tensor, " D"]) -> None:
        self.stages()[-1][0].initialise_bias(bias)

    def align(self, data: Float[Tensor, "N D"] | None) -> None:
        """The directions of the last lift, where they are to come from ``data``; None leaves them random."""
        self.unaligned = False
        if self.align_last and data is not None:
            lift = self.lifts[-1]
            assert isinstance(lift, DenseLift)
            lift.weight.copy_(pca_lift(lift.in_features, data).weight)

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self.unaligned = False  # the lifts are loaded
        super()._load_from_state_dict(*args, **kwargs)

    def _given(self) -> bool:
        return not any(map_.learned for map_, _ in self.stages())

    def _of_couplings(self) -> Float[Tensor, ""]:
        """The constant of all couplings together."""
        found = [couplings for k in range(len(self.maps)) if (couplings := self.couplings_before(k)) is not None]
        return torch.stack([couplings.inverse_lipschitz() for couplings in found]).prod()

    def _shares(self) -> Sequence[Float[Tensor, ""] | None]:
        """The mu of each map where it is not the map's own: of a given constant beside couplings."""
        if not self.couplings or not self._given():
            return [None] * len(self.maps)
        factor = self._of_couplings() ** (-1 / len(self.maps))
        return [map_.given_strong_convexity * factor for map_, _ in self.stages()]


def layer_dimensions(in_features: int, out_features: int, depth: int) -> list[int]:
    """Dimensions of ``depth`` maps from M, ``in_features``, to D, ``out_features``: a geometric progression between.

    Raises ``DimensionError`` if D < M, and ``UserError`` if one map should change the dimension.
    """
    if out_features < in_features:
        raise DimensionError(
            f"An injective map goes from fewer dimensions to more, got {in_features} -> {out_features}. "
            f"Use latent_dimension={out_features} or less."
        )
    if depth < 1 or (depth == 1 and in_features != out_features):
        raise UserError(
            f"depth={depth} cannot take {in_features} dimensions to {out_features}: a monotone map keeps the "
            "dimension, and lifts stand between two maps. Use depth=2 or more."
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
    lift: LiftName = "random",
    strong_convexity: float = 1.0,
    inverse_lipschitz: float | None = None,
    shears: int = 0,
    shear_first: bool = True,
    shear_bound: float | None = 1.0,
    shear_width: int | None = None,
    **options: Any,
) -> ComposedMap:
    """``depth`` maps of one kind with the lifts between them; equation (16) of the supplement is depth 2.

    With ``shears`` it is a polar map (see ``ComposedMap``). Before a map of a single active direction none are put:
    there is nothing to twist.

    Args:
        kind: ``BrenierMap`` or ``GradientNetwork``.
        in_features, out_features: M and D.
        width: units of a hidden layer.
        hidden_layers: those of each map.
        depth: how many maps.
        lift: "pad" (the paper's), "random", "spread", or "pca": the last lift takes its directions from the data, which
            ``align`` has to be given first; the lifts before the last are random.
        strong_convexity: where mu of the last map starts (the others start at 1).
        inverse_lipschitz: L gives the constant of the whole instead (IL-LIDVAE, Kinoshita et al. 2023): every map has
            mu = L^(1/depth), couplings made up for, and no mu is learned.
        shears: additive couplings before each map.
        shear_first: whether before the first map too, or only between two maps.
        shear_bound: the largest Lipschitz constant that a coupling's shift may have; None for any.
        shear_width: hidden units of a coupling; None for ``width``.
        options: the others of ``kind``.

    Raises:
        UserError: for dimensions that cannot be joined, a lift that is not known, a constant that is not positive, and
            couplings for which there is no place.
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
    lifts = [make_lift(lift, small, large) for small, large in pairwise(dimensions)]
    units = width if shear_width is None else shear_width
    places = _places(actives, shear_first) if shears != 0 else []
    couplings = {k: AdditiveCouplings(actives[k], shears, units, shear_bound) for k in places}
    return ComposedMap(maps, lifts, align_last=lift == "pca", couplings=couplings)


def composed_brenier(
    in_features: int, out_features: int, width: int, hidden_layers: int, depth: int = 2, **options: Any
) -> ComposedMap:
    """``depth`` Brenier maps from ``in_features`` (M) to ``out_features`` (D) dimensions, and the lifts between.

    Each has ``hidden_layers`` hidden layers of ``width`` units; ``options`` are those of ``compose`` and
    ``BrenierMap``, and ``UserError`` is raised as there.

    >>> g = composed_brenier(2, 784, width=32, hidden_layers=1)
    >>> u = torch.randn(10, 2)
    >>> g(u).shape, g.certificate() > 0, torch.allclose(g.inverse(g(u)), u, atol=1e-3)
    (torch.Size([10, 784]), True, True)
    """
    return compose(BrenierMap, in_features, out_features, width, hidden_layers, depth, **options)


def composed_gradient_network(
    in_features: int, out_features: int, width: int, hidden_layers: int, depth: int = 2, **options: Any
) -> ComposedMap:
    """``depth`` gradient networks from ``in_features`` (M) to ``out_features`` (D) dimensions, and the lifts between.

    Each has ``width`` units of ``hidden_layers`` terms; ``options`` are those of ``compose`` and ``GradientNetwork``,
    and ``UserError`` is raised as there.

    >>> g = composed_gradient_network(2, 50, width=32, hidden_layers=2)
    >>> g(torch.randn(10, 2)).shape, g.certificate() > 0
    (torch.Size([10, 50]), True)
    """
    return compose(GradientNetwork, in_features, out_features, width, hidden_layers, depth, **options)


def _share(inverse_lipschitz: float, depth: int) -> float:
    """Each map's mu, ``depth`` of which have the product ``inverse_lipschitz``."""
    return check_constant(inverse_lipschitz) ** (1 / max(depth, 1))


def _places(actives: Sequence[int], shear_first: bool) -> list[int]:
    """The maps before which couplings stand, by the active directions of each. ``UserError`` if there is none."""
    places = [k for k, active in enumerate(actives) if active > 1 and (k > 0 or shear_first)]
    if places:
        return places
    if not shear_first and len(actives) == 1:
        raise UserError(
            "shear_first=False puts couplings between two maps alone, and depth=1 has one map. Use shear_first=True, "
            "or depth=2 or more."
        )
    raise UserError(
        "Couplings twist two dimensions at least, and the maps of this decoder have one active direction each. Use "
        "shears=0, or latent_dimension=2 or more."
    )
