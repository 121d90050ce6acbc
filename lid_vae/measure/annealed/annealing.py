"""How annealed importance sampling is run: its temperatures, its chains and their moves."""

from dataclasses import dataclass
from typing import Literal

import torch

from lid_vae.errors import UserError
from lid_vae.shapes import Float, Tensor

__all__ = ["Annealing", "Schedule"]

Schedule = Literal["linear", "sigmoid"]
STEEPNESS = 4.0


@dataclass(frozen=True)
class Annealing:
    """Settings of annealed importance sampling, with defaults for images (``benchmarks/bounds.py``).

    An example costs (1 + 1/4) C S ``leapfrog`` gradients with the default ``tuning``, and S ``leapfrog`` more where it
    has an upper bound.

    Args:
        steps: S, temperatures strictly between the start and the posterior, with one move of every chain at each. At
            zero nothing moves, and what is left is importance sampling from the start.
        chains: C, forward chains of each example, whose weights are averaged before the logarithm. At equal cost, few
            long chains were at least as tight as many short ones.
        leapfrog: leapfrog steps of a move, each a gradient of log p(x, w) for every chain. At equal cost, many
            temperatures with short moves were tighter than few with long ones.
        schedule: ``sigmoid``, dense at both ends (Grosse et al. 2015), or ``linear``.
        tuning: temperatures of the first round, in which the step sizes are found; None for a quarter of ``steps``, but
            at least 20 or all of them.
        acceptance: the average probability of acceptance to which the first round tunes each example's step size.
            0.65 is optimal for HMC in many dimensions (Beskos et al. 2013).

    Raises ``UserError`` for numbers out of range and for another schedule.

    >>> Annealing(steps=3, schedule="linear").temperatures().tolist()
    [0.0, 0.25, 0.5, 0.75, 1.0]
    """

    steps: int = 400
    chains: int = 8
    leapfrog: int = 2
    schedule: Schedule = "sigmoid"
    tuning: int | None = None
    acceptance: float = 0.65

    def __post_init__(self) -> None:
        for name, value, least in (
            ("steps", self.steps, 0),
            ("chains", self.chains, 1),
            ("leapfrog", self.leapfrog, 1),
            ("tuning", 1 if self.tuning is None else self.tuning, 1),
        ):
            if value < least:
                raise UserError(f"Annealed importance sampling needs {name} of at least {least}, got {name}={value}.")
        if not 0 < self.acceptance < 1:
            raise UserError(
                f"acceptance={self.acceptance} is no probability to tune steps to: it must lie between 0 and 1. "
                "Use acceptance=0.65."
            )
        if self.schedule not in ("linear", "sigmoid"):
            raise UserError(f"schedule={self.schedule} is not known. Use sigmoid or linear.")

    @property
    def tuning_steps(self) -> int:
        """Temperatures of the first round."""
        if self.tuning is not None:
            return min(self.tuning, self.steps)
        return min(self.steps, max(20, self.steps // 4))

    def temperatures(self, steps: int | None = None) -> Float[Tensor, " T"]:
        """0 = b_0 < b_1 < ... < b_(S+1) = 1 in float64, for ``steps`` in place of S where given.

        The sigmoid's are (s(4 (2 t / (S + 1) - 1)) - s(-4)) / (s(4) - s(-4)), s the logistic function.
        """
        share = torch.linspace(0, 1, (self.steps if steps is None else steps) + 2, dtype=torch.float64)
        if self.schedule == "linear":
            return share
        curve = torch.sigmoid(STEEPNESS * (2 * share - 1))
        temperatures = (curve - curve[0]) / (curve[-1] - curve[0])
        temperatures[0], temperatures[-1] = 0.0, 1.0
        return temperatures
