"""Inverse of the gradient of a strongly convex function, by Newton's method with a line search."""

from collections.abc import Callable

import torch

from lid_vae.errors import UserError
from lid_vae.shapes import Float, Tensor

__all__ = ["invert_monotone"]

STEPS = 200
ARMIJO = 1e-4


@torch.no_grad()
def invert_monotone(
    gradient: Callable[[Tensor], Tensor],
    potential: Callable[[Tensor], Tensor],
    x: Float[Tensor, "*batch D"],
    tolerance: float,
) -> Float[Tensor, "*batch D"]:
    """The minimiser of potential(u) - x'u, where gradient(u) = x; every row for itself.

    The problem is strongly convex, so damped Newton steps converge from anywhere (Boyd and Vandenberghe 2004, 9.5).
    Rows stop once |gradient(u) - x| <= tolerance (1 + |x|) or once rounding stops the descent. Raises ``UserError`` if a
    row ends further away than the square root of the tolerance, which happens only where x is not finite.
    """
    target = x.reshape(-1, x.shape[-1])
    u = torch.zeros_like(target)
    bound = tolerance * (1 + target.norm(dim=-1))
    active = torch.arange(len(target), device=x.device)
    for _ in range(STEPS):
        point, goal = u[active], target[active]
        residual = gradient(point) - goal
        busy = residual.norm(dim=-1) > bound[active]
        active, point, goal, residual = active[busy], point[busy], goal[busy], residual[busy]
        if len(active) == 0:
            break
        hessian = torch.func.vmap(torch.func.jacfwd(gradient))(point)
        direction = -torch.linalg.solve(hessian, residual)
        moved, step = _line_search(potential, point, goal, direction, residual)
        u[active] = point + step[:, None] * direction
        active = active[moved]
    error = (gradient(u) - target).norm(dim=-1)
    if not bool((error <= tolerance**0.5 * (1 + target.norm(dim=-1))).all()):
        raise UserError(f"The inverse did not converge: residual {float(error.max()):.3g}. Is the input finite?")
    return u.reshape(x.shape)


def _line_search(
    potential: Callable[[Tensor], Tensor], point: Tensor, goal: Tensor, direction: Tensor, residual: Tensor
) -> tuple[Tensor, Tensor]:
    """Step lengths by backtracking, and which rows still descend."""

    def value(v: Tensor) -> Tensor:
        return potential(v) - (goal * v).sum(-1)

    start, decrease = value(point), (direction * residual).sum(-1)
    slack = 1e-14 * (1 + start.abs()) if point.dtype == torch.float64 else 1e-6 * (1 + start.abs())
    step = torch.ones_like(start)
    for _ in range(40):
        short = value(point + step[:, None] * direction) > start + ARMIJO * step * decrease + slack
        if not bool(short.any()):
            break
        step = torch.where(short, step / 2, step)
    return step > 1e-11, step
