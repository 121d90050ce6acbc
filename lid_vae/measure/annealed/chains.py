"""Chains from a start to p(x, w) and back, with the weights that make them estimates of p(x)."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch

from lid_vae.measure.annealed.annealing import Annealing
from lid_vae.measure.annealed.hmc import draws_of, evaluate, transition
from lid_vae.measure.annealed.target import Target
from lid_vae.shapes import Float, Tensor

__all__ = ["Generators", "Journey", "forward", "reverse", "tune"]

Generators = Callable[[int], Sequence[torch.Generator]]
"""The number of a move -> a generator for each example; number 0 is for the start."""

# Of the stochastic approximation that tunes step sizes: how far the logarithm goes for a whole probability too much.
GAIN = 1.5


class Journey(NamedTuple):
    """What chains brought home."""

    log_weight: Float[Tensor, "C B"]
    """In nats, float64. Forward E exp(log weight) = p(x); of reverse chains E exp(-log weight) = 1 / p(x)."""
    acceptance: Float[Tensor, " B"]
    """Average probability of acceptance over moves and chains; NaN without moves."""
    sizes: Float[Tensor, "S B"]
    """The step size of each move."""


def tune(target: Target, annealing: Annealing, generators: Generators) -> Float[Tensor, "S B"]:
    """A step size for every temperature and example, from a first round of fewer temperatures.

    The chains of ``annealing`` go from the start to the ``target``, each example's by its own one of ``generators``.
    After each move the logarithm of an example's step size goes up or down by what the chains' average probability of
    acceptance has too much or too little (Robbins and Monro 1951). The weights of this round mean nothing: adapted
    chains are not in detailed balance. The sizes are for chains with noise of their own, to which they are constants.
    """
    steps = annealing.tuning_steps
    if annealing.steps == 0:
        return torch.zeros(0, target.examples, dtype=torch.float64, device=target.like.device)
    # The optimum for N(0, I), whose acceptance depends on step^4 M (Beskos et al. 2013).
    first = 1.5 * target.dimension**-0.25
    sizes = torch.full((1, target.examples), first, dtype=torch.float64, device=target.like.device)
    start = target.sample_start(annealing.chains, generators(0))
    found = _travel(target, start, annealing.temperatures(steps), sizes, annealing, generators, tuned=True).sizes
    # The same share of the way has the same temperature, whatever the number of steps.
    place = torch.arange(1, annealing.steps + 1, dtype=torch.float64) / (annealing.steps + 1) * (steps + 1) - 1
    place = place.clamp(0, steps - 1)
    low = place.floor().long().clamp_max(max(steps - 2, 0))
    part = (place - low).unsqueeze(-1).to(found)
    return torch.lerp(found[low].log(), found[(low + 1).clamp_max(steps - 1)].log(), part).exp()


def forward(target: Target, annealing: Annealing, sizes: Float[Tensor, "S B"], generators: Generators) -> Journey:
    """C chains of each example from its start to p(x, w): annealed importance sampling (Neal 2001, section 2).

    The log weight is sum_t (b_(t+1) - b_t) log(target / start)(u_t), u_0 from the start, u_t from u_(t-1) by a move at
    temperature b_t. Each exp(log weight) is an unbiased estimate of p(x) for any step sizes that do not depend on
    these chains. Wu et al. (2017, arXiv:1611.04273) apply it to decoders.

    Args:
        target: what is annealed.
        annealing: chains, temperatures, leapfrog steps.
        sizes: step sizes, as ``tune`` gives them.
        generators: noise that ``tune`` has not used.
    """
    start = target.sample_start(annealing.chains, generators(0))
    return _travel(target, start, annealing.temperatures(), sizes, annealing, generators)


def reverse(
    target: Target,
    annealing: Annealing,
    sizes: Float[Tensor, "S B"],
    u: Float[Tensor, "C B M"],
    generators: Generators,
) -> Journey:
    """Chains of each example from ``u``, exact draws from p(w | x), to the start (Grosse et al. 2015).

    The moves of ``forward`` in the opposite order. A weight is that of a forward chain that had come the same way.

    Args:
        target: what is annealed.
        annealing: temperatures, leapfrog steps.
        sizes: those of ``forward``, in its order.
        u: where they begin, in the target's coordinates: of an x drawn from p(x | w), that w.
        generators: noise that neither ``tune`` nor ``forward`` has used.
    """
    path = annealing.temperatures().flip(0)
    return _travel(target, u, path, sizes.flip(0), annealing, generators)


def _travel(
    target: Target,
    start: Float[Tensor, "C B M"],
    path: Float[Tensor, " T"],
    sizes: Float[Tensor, "S B"],
    annealing: Annealing,
    generators: Generators,
    tuned: bool = False,
) -> Journey:
    """Along ``path``, both of whose ends are no temperatures of moves. ``tuned``: from the first row of ``sizes``."""
    point = evaluate(target, start)
    temperatures = path.tolist()
    log_weight = abs(temperatures[1] - temperatures[0]) * point.log_ratio()
    total, size, used = torch.zeros_like(start[0, :, 0], dtype=torch.float64), sizes[:1].sum(0), list[Tensor]()
    for number, (temperature, after) in enumerate(pairwise(temperatures[1:]), 1):
        size = size if tuned else sizes[number - 1]
        draws = draws_of(target, len(start), generators(number))
        point, probability = transition(target, point, draws, size, annealing.leapfrog, temperature)
        log_weight = log_weight + abs(after - temperature) * point.log_ratio()
        total, used = total + probability.mean(0), [*used, size]
        if tuned:
            size = size * torch.exp(GAIN * (probability.mean(0) - annealing.acceptance))
    moves = len(temperatures) - 2
    return Journey(log_weight, total / moves, torch.stack(used) if used else sizes[:0])
