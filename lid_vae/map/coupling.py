"""Additive couplings: bijections that shear space, each with a Lipschitz constant bounded by construction."""

import torch
import torch.nn.functional as F
from torch import nn

from lid_vae.errors import UserError
from lid_vae.map.convex.positive import softplus
from lid_vae.map.norm_bound import spectral_norm_bounds
from lid_vae.shapes import Float, Tensor

__all__ = ["AdditiveCouplings"]

# Of the softplus in a coupling: its slope lies in [0, 1] at any sharpness.
SHARPNESS = 4.0


class AdditiveCouplings(nn.Module):
    """u_2 += t_1(u_1), then u_1 += t_2(u_2), and so on in turn: a bijection of R^M of Jacobian determinant one.

    Dinh, Krueger and Bengio (2015), "NICE", section 3. u_1 are the first M // 2 numbers of u, u_2 the others. Each
    t(v) = A softplus(C v + c) + a is zero at the start, where the couplings are the identity. The gradient of a convex
    function has a symmetric Jacobian and can hardly twist; a coupling can. By the polar factorisation (Brenier 1991,
    "Polar factorization and monotone rearrangement of vector-valued functions") a non-degenerate map is
    such a gradient after a rearrangement that preserves volume.

    The Jacobian of t is A D C with D diagonal in [0, 1], D = (I + S) / 2 with |S| <= 1, so Lip(t) <= L with
    L = (|A C| + |A| |C|) / 2, the norms from above by ``spectral_norm_bounds``. Where L passes ``bound``, A is scaled
    down until it does not. The singular values of a coupling are at least 2 / (L + sqrt(L^2 + 4)), as are those of its
    inverse, a coupling with -t.

    Args:
        features: M, at least 2: one number has no halves.
        count: how many couplings.
        width: hidden units of each t.
        bound: the largest Lipschitz constant that a t may have; None for any.

    Raises:
        UserError: for fewer than two dimensions, couplings or units below one, and a bound that is not positive.

    >>> shears = AdditiveCouplings(features=3, count=2, width=16)
    >>> u = torch.randn(10, 3)
    >>> torch.equal(shears(u), u), shears.inverse_lipschitz().item()
    (True, 1.0)
    """

    def __init__(self, features: int, count: int, width: int, bound: float | None = 1.0) -> None:
        super().__init__()
        if features < 2:
            raise UserError(
                f"AdditiveCouplings need two dimensions at least, got features={features}. Use a map without them."
            )
        if count < 1 or width < 1:
            raise UserError(
                f"AdditiveCouplings need a count and a width of at least 1, got count={count} and width={width}. Use "
                "count=2 and width=64."
            )
        if bound is not None and not bound > 0:
            raise UserError(
                f"AdditiveCouplings with bound={bound} could not move: it must be above zero. Use bound=1, or None for "
                "couplings without a cap."
            )
        self.features, self.first, self.bound = features, features // 2, bound
        halves = [(self.first, features - self.first), (features - self.first, self.first)]
        self.inner = nn.ModuleList(nn.Linear(halves[k % 2][0], width) for k in range(count))
        self.outer = nn.ModuleList(nn.Linear(width, halves[k % 2][1]) for k in range(count))
        for layer in self._layers(self.outer):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, u: Float[Tensor, "*batch M"]) -> Float[Tensor, "*batch M"]:
        parts, weights = [u[..., : self.first], u[..., self.first :]], self._outer_weights()
        for k in range(len(weights)):
            parts[(k + 1) % 2] = parts[(k + 1) % 2] + self._shift(k, parts[k % 2], weights[k])
        return torch.cat(parts, -1)

    def inverse(self, v: Float[Tensor, "*batch M"]) -> Float[Tensor, "*batch M"]:
        """The u with forward(u) = v: the same shifts, taken back in the opposite order."""
        parts, weights = [v[..., : self.first], v[..., self.first :]], self._outer_weights()
        for k in reversed(range(len(weights))):
            parts[(k + 1) % 2] = parts[(k + 1) % 2] - self._shift(k, parts[k % 2], weights[k])
        return torch.cat(parts, -1)

    def lipschitz(self) -> Float[Tensor, " count"]:
        """L of each t, at most ``bound``; in double precision."""
        free = self._free_lipschitz()
        return free if self.bound is None else free.clamp_max(self.bound)

    def inverse_lipschitz(self) -> Float[Tensor, ""]:
        """The certified constant of all couplings together: the product of 2 / (L + sqrt(L^2 + 4))."""
        constant = self.lipschitz()
        return (2 / (constant + (constant.square() + 4).sqrt())).prod().to(self._layers(self.outer)[0].weight.dtype)

    def _free_lipschitz(self) -> Float[Tensor, " count"]:
        """What L would be without a cap."""
        pairs = [(a.weight.double(), c.weight.double()) for a, c in zip(*self._both(), strict=True)]
        norms = spectral_norm_bounds([matrix for a, c in pairs for matrix in (a, c, a @ c)]).unflatten(0, (-1, 3))
        return (norms[:, 0] * norms[:, 1] + norms[:, 2]) / 2

    def _outer_weights(self) -> list[Tensor]:
        """A of each coupling as it is applied, scaled where the cap needs it."""
        weights = [layer.weight for layer in self._layers(self.outer)]
        if self.bound is None:
            return weights
        # Exactly 1 where the cap does not bind.
        scales = (self.bound / self._free_lipschitz().clamp_min(self.bound)).to(weights[0].dtype)
        return [weight * scale for weight, scale in zip(weights, scales.unbind(0), strict=True)]

    def _shift(self, k: int, v: Float[Tensor, "*batch h"], weight: Float[Tensor, "g W"]) -> Float[Tensor, "*batch g"]:
        """t_k(v). The sharpness goes into the weights, which are fewer than the units of a batch."""
        outer, inner = (layers[k] for layers in self._both())
        hidden = softplus(F.linear(v, SHARPNESS * inner.weight, SHARPNESS * inner.bias))
        return F.linear(hidden, weight / SHARPNESS, outer.bias)

    def _both(self) -> tuple[list[nn.Linear], list[nn.Linear]]:
        return self._layers(self.outer), self._layers(self.inner)

    @staticmethod
    def _layers(layers: nn.ModuleList) -> list[nn.Linear]:
        found = [layer for layer in layers if isinstance(layer, nn.Linear)]
        assert len(found) == len(layers)
        return found
