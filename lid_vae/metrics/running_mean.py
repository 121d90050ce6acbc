"""The mean over draws that come in pieces."""

import torch

from lid_vae.shapes import Float, Tensor

__all__ = ["RunningMean"]


class RunningMean:
    """The mean over draws, which come in pieces, in double precision."""

    def __init__(self) -> None:
        self.count, self.total = 0, torch.zeros((), dtype=torch.float64)

    def add(self, value: Float[Tensor, "s *rest"]) -> None:
        """``value`` is of some more draws."""
        piece = value.double().sum(0)
        self.total = piece if self.count == 0 else self.total + piece
        self.count += len(value)

    def result(self) -> Tensor:
        """The mean so far."""
        return self.total / self.count
