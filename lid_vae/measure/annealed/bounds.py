"""Stochastic bounds of log p(x) from both sides, by chains in both directions; chunked and resumable."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import partial
from math import log

import torch

from lid_vae.errors import UserError
from lid_vae.measure.annealed.annealing import Annealing
from lid_vae.measure.annealed.chains import forward, reverse, tune
from lid_vae.measure.annealed.target import Target
from lid_vae.noise import generator
from lid_vae.shapes import Float, Tensor

__all__ = ["Bounds", "MakeTarget", "annealed_bounds"]

MakeTarget = Callable[[Tensor, int], Target]
"""(x [B, ...], number of its first example) -> what its chains are annealed between."""

# Of the decoder at once, chains times examples.
ROWS = 2_000


@dataclass(frozen=True)
class Bounds:
    """Bounds of log p(x) of N examples, nats, in float64.

    ``lower`` is at most log p(x) in expectation (and above it by b nats with a probability of at most exp(-b)).
    ``upper`` is at least log p(x) in expectation; it needs an exact posterior sample, and is None without. Of one
    example the one may come out above the other: expectations are ordered, and so are averages but for their errors.
    """

    lower: Float[Tensor, " N"]
    upper: Float[Tensor, " N"] | None
    acceptance: Float[Tensor, " N"]
    """Average probability with which a move of the forward chains was accepted; NaN without moves."""
    effective: Float[Tensor, " N"]
    """Effective number of forward chains, (sum_c a_c)^2 / sum_c a_c^2 of their weights a_c: from 1 to C. Near 1 the
    lower bound rests on one chain, and more temperatures are wanted."""

    def __len__(self) -> int:
        return len(self.lower)

    def summary(self) -> dict[str, float]:
        """Averages over examples and their standard errors, which are over examples; plain numbers.

        ``examples``, ``lower``, ``lower_se``, ``acceptance``, ``effective``; of simulated examples also ``upper``,
        ``upper_se``, ``width`` (upper - lower) and ``width_se``.
        """
        numbers = {"examples": float(len(self)), **_mean("lower", self.lower)}
        if self.upper is not None:
            numbers |= {**_mean("upper", self.upper), **_mean("width", self.upper - self.lower)}
        return numbers | {"acceptance": float(self.acceptance.mean()), "effective": float(self.effective.mean())}

    def state_dict(self) -> dict[str, Tensor]:
        """What ``torch.save`` stores; ``Bounds.of`` reads it."""
        return {field.name: value for field in fields(self) if (value := getattr(self, field.name)) is not None}

    @classmethod
    def of(cls, state: Mapping[str, Tensor]) -> "Bounds":
        """The bounds whose ``state_dict`` is ``state``."""
        return cls(state["lower"], state.get("upper"), state["acceptance"], state["effective"])

    def joined(self, other: "Bounds") -> "Bounds":
        """These examples and then those of ``other``."""
        upper = None if self.upper is None or other.upper is None else torch.cat([self.upper, other.upper])
        lower, acceptance = torch.cat([self.lower, other.lower]), torch.cat([self.acceptance, other.acceptance])
        return Bounds(lower, upper, acceptance, torch.cat([self.effective, other.effective]))


def annealed_bounds(
    make_target: MakeTarget,
    x: Tensor,
    annealing: Annealing | None = None,
    *,
    w: Float[Tensor, "N M"] | None = None,
    seed: int = 0,
    rows: int = ROWS,
    done: Bounds | None = None,
    each: Callable[[Bounds], None] | None = None,
) -> Bounds:
    """Annealed importance sampling of log p(x), and with ``w`` bidirectional Monte Carlo.

    The lower bound is log((1/C) sum_c a_c) over the weights a_c of C forward chains (Neal 2001; Wu et al. 2017,
    arXiv:1611.04273). The upper bound is log((a + sum_c a_c) / (C + 1)), a that of a reverse chain from an exact
    posterior sample (Grosse et al. 2015, arXiv:1511.02543; of several chains Brekelmans et al. 2022, arXiv:2303.06992).
    Such a sample is had where x was simulated: of w ~ p(w), x ~ p(x | w), the w is a draw from p(w | x). On other x
    there is the lower bound alone, and the width on simulated x says how slack it is as far as these resemble them.

    The noise of an example is a function of ``seed``, its number and the number of the move. So neither ``rows`` nor
    an interruption changes a number, but for the last bits of matrix products over another number of rows; in float32
    these can tip the acceptance of a move.

    Args:
        make_target: what the chains of a few examples are annealed between, as ``target_of`` makes it of a VAE.
        x: N examples.
        annealing: the settings; None for ``Annealing()``.
        w: for each x the w that it was simulated from, as ``simulate`` gives them.
        seed: of the noise.
        rows: rows of the decoder at once, chains times examples (one example at the least): what bounds the memory.
        done: what an earlier call said of the first examples, which are not done again.
        each: is told after each chunk all bounds so far, for instance to store them.

    Raises ``UserError`` where ``w`` or ``done`` do not fit ``x``, and for a ``w`` whose density is not finite.

    >>> from lid_vae.measure.annealed import PriorTarget
    >>> from lid_vae.distribution import StandardNormal
    >>> def make_target(x, first):  # x | w ~ N(w, I)
    ...     log_likelihood = lambda w: torch.distributions.Normal(w, 1.0).log_prob(x).sum(-1)
    ...     return PriorTarget(StandardNormal(torch.zeros(2)), log_likelihood, len(x))
    >>> w = torch.randn(10, 2, generator=generator("w"))
    >>> x = w + torch.randn(10, 2, generator=generator("x"))
    >>> annealed_bounds(make_target, x, Annealing(steps=20), w=w).summary()["width"] < 0.1
    True
    """
    annealing = Annealing() if annealing is None else annealing
    if w is not None and len(w) != len(x):
        raise UserError(f"Each example needs the w that it came from: got {len(x)} of x and {len(w)} of w.")
    if done is not None and (len(done) > len(x) or (done.upper is None) != (w is None)):
        raise UserError(
            f"The bounds to go on from are of {len(done)} examples {'without' if done.upper is None else 'with'} upper "
            f"bounds, and these are {len(x)} {'without' if w is None else 'with'} the w of each. Go on with the same x "
            "and w, or begin anew without done=."
        )
    size = max(1, rows // annealing.chains)
    for first in range(0 if done is None else len(done), len(x), size):
        chunk = slice(first, first + size)
        # Lightning evaluates in inference mode, whose tensors no gradient can be taken through.
        with torch.inference_mode(False):
            target = make_target(x[chunk].clone(), first)
            found = _chunk(target, annealing, None if w is None else w[chunk].clone(), seed, first)
        done = found if done is None else done.joined(found)
        if each is not None:
            each(done)
    if done is None:
        raise UserError("There is no example to bound the likelihood of: x is empty.")
    return done


def _chunk(target: Target, annealing: Annealing, w: Tensor | None, seed: int, first: int) -> Bounds:
    def generators(phase: str, number: int) -> list[torch.Generator]:
        numbers = range(first, first + target.examples)
        return [generator(seed, "annealed", phase, n, number, device=target.like.device) for n in numbers]

    sizes = tune(target, annealing, partial(generators, "tune"))
    there = forward(target, annealing, sizes, partial(generators, "forward"))
    total = torch.logsumexp(there.log_weight, 0)
    effective = torch.exp(2 * total - torch.logsumexp(2 * there.log_weight, 0))
    upper = None
    if w is not None:
        exact = target.coordinates(w).unsqueeze(0)
        back = reverse(target, annealing, sizes, exact, partial(generators, "reverse"))
        if not bool(back.log_weight.isfinite().all()):
            raise UserError(
                "The density of a simulated example at the w that it came from is not finite, so no reverse chain can "
                "begin there. Give x and w of the same model, as simulate does, or evaluate in float64."
            )
        upper = torch.logaddexp(total, back.log_weight[0]) - log(annealing.chains + 1)
    return Bounds(total - log(annealing.chains), upper, there.acceptance, effective)


def _mean(name: str, value: Float[Tensor, " N"]) -> dict[str, float]:
    error = float(value.std() / len(value) ** 0.5) if len(value) > 1 else float("nan")
    return {name: float(value.mean()), f"{name}_se": error}
