"""Hamiltonian Monte Carlo along the geometric path between two densities (Neal 2011, arXiv:1206.1901)."""

from collections.abc import Sequence
from typing import NamedTuple

import torch

from lid_vae.measure.annealed.target import Target
from lid_vae.shapes import Float, Tensor

__all__ = ["Draws", "Point", "draws_of", "evaluate", "leapfrog", "transition"]

# A step size is multiplied by a number between 1 - JITTER and 1 + JITTER, drawn for each move: trajectories of one
# length come back to where they began in a Gaussian of the matching period (Neal 2011, section 3.2).
JITTER = 0.2


class Point(NamedTuple):
    """The ``position`` of all chains, with what is known there: C chains of each of B examples, in M dimensions.

    ``log_start`` and ``log_target`` are the two log densities, nats, ``start_gradient`` and ``target_gradient`` their
    gradients. Both are kept, as every temperature mixes them anew: a move takes ``count`` evaluations, not one more.
    """

    position: Float[Tensor, "C B M"]
    log_start: Float[Tensor, "C B"]
    log_target: Float[Tensor, "C B"]
    start_gradient: Float[Tensor, "C B M"]
    target_gradient: Float[Tensor, "C B M"]

    def log_density(self, temperature: float) -> Float[Tensor, "C B"]:
        """(1 - b) log start + b log target at b = ``temperature``, in float64."""
        return (1 - temperature) * self.log_start + temperature * self.log_target

    def gradient(self, temperature: float) -> Float[Tensor, "C B M"]:
        """Of ``log_density`` at a ``temperature``, in the position."""
        return (1 - temperature) * self.start_gradient + temperature * self.target_gradient

    def log_ratio(self) -> Float[Tensor, "C B"]:
        """log target - log start: the derivative of ``log_density`` by the temperature."""
        return self.log_target - self.log_start


class Draws(NamedTuple):
    """The noise of one move; ``momentum`` is standard normal."""

    momentum: Float[Tensor, "C B M"]
    jitter: Float[Tensor, "C B"]
    """Uniform on (0, 1)."""
    acceptance: Float[Tensor, "C B"]
    """Uniform on (0, 1)."""


def draws_of(target: Target, chains: int, generators: Sequence[torch.Generator]) -> Draws:
    """The noise of one move of ``chains`` chains to ``target``; that of each example has its own of ``generators``."""
    dtype, device = target.like.dtype, target.like.device
    momentum, uniform = [], []
    for generator in generators:
        momentum.append(torch.randn(chains, target.dimension, generator=generator, dtype=dtype, device=device))
        uniform.append(torch.rand(2, chains, generator=generator, dtype=dtype, device=device))
    jitter, acceptance = torch.stack(uniform, -1)
    return Draws(torch.stack(momentum, 1), jitter, acceptance)


def evaluate(target: Target, position: Float[Tensor, "C B M"]) -> Point:
    """Both densities of ``target`` and their gradients at a ``position``.

    The log densities are widened to float64 at once: energies of a move are differences of large numbers. Where the
    target is not a number, as beyond the range of exp, it is -infinity, and no move ends there.
    """
    with torch.enable_grad():
        u = position.detach().requires_grad_()
        log_start, log_target = target.log_start(u), target.log_target(u)
        (start_gradient,) = torch.autograd.grad(log_start.sum(), u)
        (target_gradient,) = torch.autograd.grad(log_target.sum(), u)
    log_target = log_target.detach().double()
    log_target = torch.where(log_target.isnan(), -torch.inf, log_target)
    return Point(u.detach(), log_start.detach().double(), log_target, start_gradient, target_gradient)


def leapfrog(
    target: Target, point: Point, momentum: Tensor, step: Float[Tensor, "C B 1"], count: int, temperature: float
) -> tuple[Point, Float[Tensor, "C B M"]]:
    """``count`` leapfrog steps of size ``step`` with unit masses at a temperature: reversible, of volume one.

    From ``point`` towards ``target``. Where they end, and with which momentum; with that momentum turned round they
    lead back.
    """
    momentum = momentum + 0.5 * step * point.gradient(temperature)
    for k in range(count):
        point = evaluate(target, point.position + step * momentum)
        momentum = momentum + (step if k < count - 1 else 0.5 * step) * point.gradient(temperature)
    return point, momentum


def transition(
    target: Target, point: Point, draws: Draws, step: Float[Tensor, " B"], count: int, temperature: float
) -> tuple[Point, Float[Tensor, "C B"]]:
    """One move of every chain: where it stands afterwards, and the probability with which its proposal was accepted.

    A kernel in detailed balance with the density of this temperature, for any step size that does not depend on the
    chain: as its own reverse it serves chains in both directions.

    Args:
        target: what is annealed.
        point: the chains as they stand.
        draws: noise that nothing else uses.
        step: the step size of each example.
        count: leapfrog steps of the proposal.
        temperature: b, from 0 (the start) to 1 (p(x, w)).
    """
    size = (step * (1 - JITTER + 2 * JITTER * draws.jitter)).unsqueeze(-1).to(point.position)
    proposal, momentum = leapfrog(target, point, draws.momentum, size, count, temperature)
    kinetic = 0.5 * (draws.momentum.double().square() - momentum.double().square()).sum(-1)
    gain = proposal.log_density(temperature) - point.log_density(temperature) + kinetic
    probability = gain.clamp_max(0).exp().nan_to_num(nan=0.0)
    accepted = draws.acceptance < probability
    chosen = [
        torch.where(accepted.unsqueeze(-1) if new.ndim == 3 else accepted, new, old)
        for new, old in zip(proposal, point, strict=True)
    ]
    return Point(*chosen), probability
