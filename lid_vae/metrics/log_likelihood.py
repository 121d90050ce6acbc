"""Importance-sampled log-likelihood."""

from math import log
from typing import Any

import torch

from lid_vae.errors import UserError
from lid_vae.metrics.example_mean import ExampleMean
from lid_vae.metrics.plotted import PlottedMetric
from lid_vae.shapes import Float, Tensor

__all__ = ["LogLikelihood", "LogMeanExp"]


class LogMeanExp:
    """log (1/S) sum_s exp(value_s) for each example, with the S values arriving in pieces."""

    def __init__(self) -> None:
        self.samples = 0
        self.total: Tensor | None = None

    def add(self, value: Float[Tensor, "s B"]) -> None:
        """Some more of the samples: a row of ``value`` for each, a column for each example."""
        piece = torch.logsumexp(value.double(), 0)
        self.total = piece if self.total is None else torch.logaddexp(self.total, piece)
        self.samples += len(value)

    def result(self) -> Float[Tensor, " B"]:
        """The logarithm of the mean so far."""
        assert self.total is not None
        return self.total - log(self.samples)


class LogLikelihood(PlottedMetric):
    """Mean over examples of log (1/S) sum_s p(x, w_s) / q(w_s | x), w_s ~ q: Burda et al. (2016), eq. 8, nats.

    A lower bound in expectation that rises with S, and on the same draws never below their ELBO. The logarithm is taken
    for each example, before any average over examples.

    >>> likelihood = LogLikelihood()
    >>> likelihood.update(torch.tensor([[0.0, -1.0], [-2.0, -3.0]]))  # two draws, a column for each example
    >>> round(float(likelihood.compute()), 3)
    -1.066
    """

    full_state_update = False
    higher_is_better = True

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.examples = ExampleMean(**kwargs)

    def update(self, log_weight: Float[Tensor, "S B"]) -> None:
        """All S log weights, log p(x, w_s) - log q(w_s | x), of a batch; or one row, a finished ``LogMeanExp``.

        Raises ``UserError`` for weights of another shape.
        """
        if log_weight.ndim != 2:
            raise UserError(
                f"Log weights have shape [S, B], a row for each draw of z, got {list(log_weight.shape)}. One draw of "
                "each example is log_weight[None]; values by dimension are summed over it first."
            )
        pieces = LogMeanExp()
        pieces.add(log_weight)
        self.examples.update(pieces.result())

    def compute(self) -> Float[Tensor, ""]:
        return self.examples.compute()

    def standard_error(self) -> Float[Tensor, ""]:
        """Over examples."""
        return self.examples.standard_error()

    def reset(self) -> None:
        super().reset()
        self.examples.reset()
