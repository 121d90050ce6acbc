"""Objectives whose KL has a weight."""

import torch

from lid_vae.errors import UserError
from lid_vae.objective.base import Objective
from lid_vae.objective.schedule import Constant, Schedule
from lid_vae.shapes import Float, Tensor

__all__ = ["Annealed"]


class Annealed(Objective):
    """An objective with ``beta``, the weight of its KL: a number, or a schedule (annealing).

    Raises ``UserError`` for a negative number.
    """

    beta: float | Float[Tensor, ""]
    """At the present batch; of a schedule a tensor, which a step that is captured once reads at every replay."""

    def __init__(self, beta: float | Schedule) -> None:
        super().__init__()
        if not isinstance(beta, Schedule) and beta < 0:
            raise UserError(f"beta weights a divergence and cannot be negative, got beta={beta}.")
        self.schedule = beta if isinstance(beta, Schedule) else Constant(float(beta))
        first = self.schedule(0, 1)
        if isinstance(self.schedule, Constant):
            self.beta = first
        else:
            self.register_buffer("beta", torch.tensor(first, dtype=torch.get_default_dtype()), persistent=False)

    def advance(self, step: int, steps: int) -> None:
        """Move the weight of the KL to batch ``step`` of ``steps``."""
        if isinstance(self.beta, Tensor):
            self.beta.fill_(self.schedule(step, steps))
