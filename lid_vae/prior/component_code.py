"""One parameter vector for each category, pairwise different by construction where the code is regular."""

from math import pi
from typing import Literal

import torch
from torch import nn

from lid_vae.errors import UserError
from lid_vae.map.convex.positive import inverse_softplus, positive
from lid_vae.prior.matrix_exponential import matrix_exponential
from lid_vae.shapes import Float, Tensor

__all__ = ["ComponentCode", "regular_code"]


class ComponentCode(nn.Module):
    """beta of shape [K, M], the image of the one-hot z: K is ``categories`` and M the ``dimension`` of w.

    ``kind`` says how it is made. ``regular``: fixed unit vectors, rotated by a learned orthogonal matrix and times a
    learned size >= ``floor`` > 0, so that the categories differ whatever is learned (injectivity needs no more, in
    particular not M >= K). The rotation matters: Jacobians of two Brenier maps cannot make one. ``learned``: free, as
    in the paper. ``size`` is where the length of a row starts. Start near-symmetric (0.05 to 0.2): with means of size 1
    in 64 dimensions one component takes all. Raises ``UserError`` for numbers out of range and a kind that is not
    known.
    """

    points: Tensor

    def __init__(
        self,
        categories: int,
        dimension: int,
        kind: Literal["regular", "learned"] = "regular",
        size: float = 0.1,
        floor: float = 0.01,
    ) -> None:
        super().__init__()
        if categories < 1:
            raise UserError(f"A mixture needs at least one category, got categories={categories}. Use 2 or more.")
        if not size > floor > 0:
            raise UserError(f"ComponentCode needs 0 < floor < size, got floor={floor} and size={size}.")
        self.kind, self.floor = kind, floor
        if kind == "regular":
            self.register_buffer("points", regular_code(categories, dimension))
            self.skew = nn.Parameter(torch.zeros(dimension, dimension))
            self.raw_size = nn.Parameter(inverse_softplus(torch.tensor(float(size - floor))))
        elif kind == "learned":
            self.weight = nn.Parameter(torch.randn(categories, dimension) * size / dimension**0.5)
        else:
            raise UserError(f"kind={kind} is not known. Use regular (certified) or learned (the paper's).")

    def forward(self) -> Float[Tensor, "K M"]:
        if self.kind == "learned":
            return self.weight
        rotation = matrix_exponential(self.skew - self.skew.mT)
        return self.points @ rotation * (self.floor + positive(self.raw_size))

    @torch.no_grad()
    def separation(self) -> float:
        """The smallest distance between two rows; infinite for a single category."""
        rows = self().double()
        return float(torch.pdist(rows).min()) if len(rows) > 1 else float("inf")


def regular_code(categories: int, dimension: int) -> Float[Tensor, "K M"]:
    """Unit vectors far from one another, one for each of K ``categories``, in M = ``dimension`` dimensions.

    A simplex where it fits, a circle in the plane, equally spaced numbers from -1 to 1 in one dimension, else a
    spread-out code, which comes from a fixed seed.
    """
    k, m = categories, dimension
    if k == 1:
        return torch.zeros(1, m)
    if m >= k - 1:
        centred = torch.eye(k, dtype=torch.float64) - 1 / k
        vectors, values, _ = torch.linalg.svd(centred)
        simplex = vectors[:, : k - 1] * values[: k - 1]
        simplex = simplex / simplex.norm(dim=1, keepdim=True)
        rotation, _ = torch.linalg.qr(
            torch.randn(m, m, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        )
        return (simplex @ rotation[: k - 1]).float() if m > 2 else nn.functional.pad(simplex, (0, m - k + 1)).float()
    if m == 1:
        return torch.linspace(-1, 1, k).unsqueeze(-1)
    if m == 2:
        angle = torch.arange(k) * (2 * pi / k)
        return torch.stack([angle.cos(), angle.sin()], -1)
    return _spread_code(k, m)


def _spread_code(categories: int, dimension: int) -> Float[Tensor, "K M"]:
    """Points on the sphere pushed apart by gradient descent on a repulsive energy."""
    points = torch.randn(categories, dimension, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    points = points / points.norm(dim=1, keepdim=True)
    for _ in range(500):
        difference = points[:, None] - points[None]
        distance = difference.norm(dim=-1, keepdim=True).clamp_min(1e-3)
        force = (difference / distance**4).sum(1)
        points = points + 0.05 * force / force.norm(dim=1, keepdim=True).max()
        points = points / points.norm(dim=1, keepdim=True)
    return points.float()
