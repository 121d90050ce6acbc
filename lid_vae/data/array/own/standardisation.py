"""Columns brought to mean 0 and standard deviation 1, and what that does to a log-density."""

__all__ = ["Standardisation"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from lid_vae.shapes import Float, Tensor

# A deviation below this share of the mean is rounding.
_CONSTANT = 1e-12


@dataclass(frozen=True)
class Standardisation:
    """z = (x - mean) / deviation for each column, in double precision.

    A column that is constant is moved to 0 and not scaled: its ``deviation`` is 1.

    Attributes:
        mean: of each column.
        deviation: the standard deviation of each column (of N values, not N - 1), or 1.

    >>> standardisation = Standardisation.of(torch.tensor([[0.0, 5.0], [4.0, 5.0]]))
    >>> standardisation.apply(torch.tensor([[4.0, 5.0]])), round(standardisation.log_det_jacobian, 4)
    (tensor([[1., 0.]]), -0.6931)
    """

    mean: Float[Tensor, " D"]
    deviation: Float[Tensor, " D"]

    @classmethod
    def of(cls, x: Float[Tensor, "N D"]) -> "Standardisation":
        """That of the rows of ``x``."""
        deviation, mean = torch.std_mean(x.double(), 0, correction=0)
        return cls(mean, torch.where(deviation > _CONSTANT * mean.abs(), deviation, 1.0))

    @classmethod
    def described(cls, description: Mapping[str, Sequence[float]]) -> "Standardisation":
        """What ``describe`` gave of it."""
        return cls(*(torch.tensor(description[name], dtype=torch.float64) for name in ("mean", "deviation")))

    def describe(self) -> dict[str, list[float]]:
        """As plain numbers, which travel in a checkpoint."""
        return {"mean": self.mean.tolist(), "deviation": self.deviation.tolist()}

    def apply(self, x: Tensor) -> Float[Tensor, "N D"]:
        """Rows ``x`` in their own units, standardised, in single precision."""
        return ((x.double() - self.mean) / self.deviation).float()

    def undo(self, z: Float[Tensor, "N D"]) -> Float[Tensor, "N D"]:
        """Standardised rows ``z`` in their own units, in double precision."""
        return z.double() * self.deviation + self.mean

    @property
    def log_det_jacobian(self) -> float:
        """log |det dz / dx|, nats: log p(x) in the units of x is log p(z) plus this."""
        return -float(self.deviation.log().sum())
