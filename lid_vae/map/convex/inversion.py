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
    Rows stop once |gradient(u) - x| <= tolerance (1 + |x|) or once rounding stops the descent. Raises ``UserError`` if
    a row ends further away than the square root of the tolerance: where x is not finite, or where the gradient jumps
    (the paper's activations) and x lies in the gap.
    """
    target = x.reshape(-1, x.shape[-1])
    u = torch.zeros_like(target)
    bound = tolerance * (1 + target.norm(dim=-1))
    last = torch.full_like(bound, torch.inf)
    active = torch.arange(len(target), device=x.device)
    for _ in range(STEPS):
        point, goal = u[active], target[active]
        residual = gradient(point) - goal
        norm = residual.norm(dim=-1)
        busy, slow = norm > bound[active], norm > last[active] / 2
        last[active] = norm
        active, point, goal, residual, slow = active[busy], point[busy], goal[busy], residual[busy], slow[busy]
        if len(active) == 0:
            break
        with torch.inference_mode(False), torch.no_grad():  # within it earlier PyTorch has no forward derivatives
            hessian = torch.func.vmap(torch.func.jacfwd(gradient))(point.clone())
        direction = -torch.linalg.solve(hessian, residual)
        step, resolved = _line_search(potential, point, goal, direction, residual)
        u[active] = point + step[:, None] * direction
        active = active[resolved | ~slow]
    error = (gradient(u) - target).norm(dim=-1)
    if not bool((error <= tolerance**0.5 * (1 + target.norm(dim=-1))).all()):
        raise UserError(
            f"The inverse did not converge: residual {float(error.max()):.3g}. The input is not finite, or not in the "
            "image of the map: with activation=paper the image has gaps, with activation=softplus it has none."
        )
    return u.reshape(x.shape)


def _line_search(
    potential: Callable[[Tensor], Tensor], point: Tensor, goal: Tensor, direction: Tensor, residual: Tensor
) -> tuple[Tensor, Tensor]:
    """Step lengths by backtracking, and in which rows the descent still exceeds rounding."""

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
    return step, (step > 1e-11) & (-step * decrease > slack / 100)
