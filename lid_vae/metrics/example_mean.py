"""Mean over a data set of a value per example, with its standard error: KL divergences and bounds."""

from typing import Any

import torch

from lid_vae.errors import UserError
from lid_vae.metrics.plotted import PlottedMetric
from lid_vae.shapes import Float, Tensor

__all__ = ["ExampleMean"]


class ExampleMean(PlottedMetric):
    """Mean of per-example values; ``standard_error`` is over examples. Double precision, in one pass.

    >>> bound = ExampleMean()
    >>> bound.update(torch.tensor([-1.0, -3.0]))
    >>> round(float(bound.compute()), 3), round(float(bound.standard_error()), 3)
    (-2.0, 1.0)
    """

    full_state_update = False
    count: Tensor
    total: Tensor
    square_total: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for name in ("count", "total", "square_total"):
            self.add_state(name, torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, value: Float[Tensor, " B"]) -> None:
        """``value`` is one number for each example of a batch; raises ``UserError`` for any other shape."""
        if value.ndim != 1:
            raise UserError(
                f"A mean over examples needs one value for each, of shape [B], got {list(value.shape)}. A KL of [B, M] "
                "is summed over its dimensions first: .sum(-1)."
            )
        value = value.double()
        self.count += value.numel()
        self.total += value.sum()
        self.square_total += value.square().sum()

    def compute(self) -> Float[Tensor, ""]:
        return self.total / self.count

    def standard_error(self) -> Float[Tensor, ""]:
        """Sample standard deviation over the square root of the number of examples."""
        mean = self.total / self.count
        variance = (self.square_total / self.count - mean.square()).clamp_min(0) * self.count / (self.count - 1)
        return (variance / self.count).sqrt()
