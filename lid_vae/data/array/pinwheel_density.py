"""The pinwheel's law: its samples, its exact density, and the log-likelihood that no model can exceed."""

__all__ = ["PinwheelLaw", "warp"]

import math
from dataclasses import dataclass

import torch

from lid_vae.errors import UserError
from lid_vae.shapes import Float, Int, Tensor

_TURN = 2 * math.pi
_DEVIATIONS = 10.0  # a radius further from 1 than this many standard deviations counts as impossible
_ANGLES = 256  # at least so many for each point
_POINTS = 2048  # at a time
_BISECTIONS = 45  # from a cell of the grid to float64 rounding


def warp(u: Float[Tensor, "*N 2"], angle: Float[Tensor, "*#N"], rate: float) -> Float[Tensor, "*N 2"]:
    """Johnson's map of u = (r, t), turned clockwise by ``angle + rate * exp(r)``.

    Lengths are kept, so |x|^2 = r^2 + t^2, and the determinant of the Jacobian is 1 + rate exp(r) t: along t the map
    is a rotation R; along r it is R (1, 0)' + rate exp(r) R (t, -r)', and det [(1 + c t, -c r)', (0, 1)'] = 1 + c t.
    """
    r, t = u.unbind(-1)
    turned = angle + rate * r.exp()
    cos, sin = turned.cos(), turned.sin()
    return torch.stack([r * cos + t * sin, t * cos - r * sin], -1)


@dataclass(frozen=True)
class PinwheelLaw:
    """An equal mixture of ``classes`` spiral arms (Johnson et al. 2016, arXiv:1603.06277), all in float64.

    An arm is a Gaussian (radius, offset) around (1, 0) with standard deviations ``radial`` and ``tangential``, turned
    by ``warp``; the arms are turned by equal parts of the circle. Coordinates are then multiplied by 10, as Johnson
    does, and divided by ``scale``.

    >>> law = PinwheelLaw()
    >>> x = law.sample(torch.arange(1000) % 5, torch.Generator().manual_seed(0))
    >>> round(float(law.log_density(x).mean()), 1), round(law.expected_log_density(), 1)
    (-1.6, -1.6)

    Raises:
        UserError: unless all numbers are positive (``rate`` may be 0).
    """

    classes: int = 5
    radial: float = 0.3
    tangential: float = 0.05
    rate: float = 0.25
    scale: float = 5.0

    def __post_init__(self) -> None:
        for name in ("classes", "radial", "tangential", "scale"):
            if not getattr(self, name) > 0:
                raise UserError(f"{name}={getattr(self, name)} must be above 0.")
        if not self.rate >= 0:
            raise UserError(f"rate={self.rate} must be at least 0.")

    def sample(self, labels: Int[Tensor, " N"], rng: torch.Generator) -> Float[Tensor, "N 2"]:
        """One point for each entry of ``labels``, the number of its arm, by ``rng`` on the CPU."""
        scale = torch.tensor([self.radial, self.tangential], dtype=torch.float64)
        base = torch.randn(len(labels), 2, generator=rng, dtype=torch.float64) * scale
        base[:, 0] += 1
        return warp(base, labels.double() * (_TURN / self.classes), self.rate) * (10 / self.scale)

    def log_density(self, x: Float[Tensor, "N 2"]) -> Float[Tensor, " N"]:
        """log p(x), nats; minus infinity where |x| is beyond ten standard deviations of the radius.

        On the circle |x| = rho, a base point is an angle phi: (r, t) = rho (cos phi, sin phi), and arm k carries it to
        the angle phi - 2 pi k / K - rate exp(rho cos phi). So the base points of x in *all* arms are the roots phi of

            phi - rate exp(rho cos phi) = angle(x)  modulo 2 pi / K,

        usually one for each arm, more where an arm folds over itself. Each contributes its Gaussian density divided
        by |1 + rate exp(r) t|. Roots are bracketed on a grid of angles and bisected.
        """
        rho_max = math.hypot(1 + _DEVIATIONS * self.radial, _DEVIATIONS * self.tangential)
        result = torch.full(x.shape[:1], -math.inf, dtype=torch.float64)
        possible = x.double().norm(dim=1) <= rho_max * 10 / self.scale
        if possible.any():
            result[possible] = self._log_density(x[possible].double())
        return result

    def expected_log_density(self) -> float:
        """E_p[log p(x)], nats per point, by the trapezoid rule over the base point (r, t) of one arm.

        One arm suffices, as the others are rotations of it. The Gaussian weight makes the rule converge faster than
        any power of the step; eight standard deviations and a quarter of one as step leave errors below 1e-5.
        """
        z = torch.arange(-32, 33, dtype=torch.float64) / 4
        weight = torch.exp(-z.square() / 2)
        weight /= weight.sum()
        base = torch.cartesian_prod(1 + self.radial * z, self.tangential * z)
        x = warp(base, torch.zeros(len(base), dtype=torch.float64), self.rate) * (10 / self.scale)
        return (torch.outer(weight, weight).flatten() * self.log_density(x)).sum().item()

    def _log_density(self, x: Float[Tensor, "N 2"]) -> Float[Tensor, " N"]:
        stretch = 10 / self.scale
        rho, theta = x.norm(dim=1) / stretch, torch.atan2(x[:, 1], x[:, 0])
        point, low, high, whole, rising = self._bracket(rho, theta)
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            beyond = (self._arms_passed(middle, rho[point], theta[point]) >= whole) == rising
            low, high = torch.where(beyond, low, middle), torch.where(beyond, middle, high)
        phi = (low + high) / 2

        r, t = rho[point] * phi.cos(), rho[point] * phi.sin()
        squares = ((r - 1) / self.radial).square() + (t / self.tangential).square()
        jacobian = (1 + self.rate * r.exp() * t).abs()
        terms = -squares / 2 - jacobian.log()
        # exponentials relative to the largest term of each point
        top = torch.full_like(rho, -math.inf).scatter_reduce(0, point, terms, "amax")
        total = torch.zeros_like(rho).index_add(0, point, torch.exp(terms - top[point]))
        constant = math.log(_TURN * self.radial * self.tangential * self.classes * stretch**2)
        return top + total.log() - constant

    def _arms_passed(self, phi: Tensor, rho: Tensor, theta: Tensor) -> Tensor:
        """A whole number exactly where ``phi`` is a root for the point at (rho, theta)."""
        return (phi - self.rate * torch.exp(rho * phi.cos()) - theta) * (self.classes / _TURN)

    def _bracket(self, rho: Tensor, theta: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Of each root: its point, an angle below and one above, the whole number, whether it is passed upwards."""
        found = []
        for rows in rho.argsort().split(_POINTS):
            reach = rho[rows[-1]].item()
            # from one angle to the next, at most a quarter of the way between two arms
            angles = math.ceil(4 * self.classes * (1 + self.rate * reach * math.exp(reach)))
            grid = torch.linspace(-math.pi, math.pi, max(angles, _ANGLES) + 1, dtype=torch.float64)
            floor = self._arms_passed(grid, rho[rows, None], theta[rows, None]).floor()
            left, right = floor[:, :-1], floor[:, 1:]
            row, cell = (left != right).nonzero(as_tuple=True)
            whole, rising = torch.maximum(left, right)[row, cell], (right > left)[row, cell]
            found.append((rows[row], grid[cell], grid[cell + 1], whole, rising))
        point, low, high, whole, rising = (torch.cat(parts) for parts in zip(*found, strict=True))
        return point, low, high, whole, rising
