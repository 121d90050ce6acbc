"""Means, variances and their errors over examples that come in batches, in double precision and bounded memory."""

import torch

from lid_vae.shapes import Float, Tensor

__all__ = ["Activity", "Mean"]


class Mean:
    """Mean over examples, and its standard error, of one number or of each of several."""

    def __init__(self) -> None:
        self.count = 0
        self.shift = self.total = self.square = torch.zeros((), dtype=torch.float64)

    def add(self, value: Float[Tensor, "B *rest"]) -> None:
        """``value`` is of a batch of examples."""
        value = value.double()
        if self.count == 0:
            self.shift = value.mean(0)
        centred = value - self.shift
        self.total = self.total + centred.sum(0)
        self.square = self.square + centred.square().sum(0)
        self.count += len(value)

    def mean(self) -> Tensor:
        """Over all examples so far."""
        return self.shift + self.total / self.count

    def error(self) -> Tensor:
        """The standard error; NaN of a single example."""
        variance = (self.square / self.count - (self.total / self.count).square()).clamp_min(0)
        return (variance / (self.count - 1)).sqrt() if self.count > 1 else torch.full_like(variance, torch.nan)


class Activity:
    """Var_x(E_q[z_d | x]) of each dimension, with its standard error.

    Of exact means give these twice; else averages over two independent halves of the draws, whose covariance has no
    bias from the draws. The error is that of a covariance: its influence function is (u - E u)(v - E v) - Cov(u, v).
    """

    def __init__(self) -> None:
        self.count = 0
        self.shift = torch.zeros((), dtype=torch.float64)
        self.sums: dict[tuple[int, int], Tensor] = {}

    def add(self, first: Float[Tensor, "B L"], second: Float[Tensor, "B L"]) -> None:
        """``first`` and ``second`` are a batch's posterior means, from either half of the draws."""
        first, second = first.double(), second.double()
        if self.count == 0:
            self.shift = 0.5 * (first + second).mean(0)
        first, second = first - self.shift, second - self.shift
        for i in range(3):
            for j in range(3):
                term = (first**i * second**j).sum(0)
                self.sums[i, j] = self.sums[i, j] + term if (i, j) in self.sums else term
        self.count += len(first)

    def value(self) -> Float[Tensor, " L"]:
        """The variance."""
        return self._moment(1, 1) - self._moment(1, 0) * self._moment(0, 1)

    def error(self) -> Float[Tensor, " L"]:
        """Its standard error."""
        u, v, m = self._moment(1, 0), self._moment(0, 1), self._moment
        # E[(u - E u)^2 (v - E v)^2], multiplied out
        fourth = (
            m(2, 2)
            - 2 * v * m(2, 1)
            - 2 * u * m(1, 2)
            + v.square() * m(2, 0)
            + u.square() * m(0, 2)
            + 4 * u * v * m(1, 1)
            - 3 * u.square() * v.square()
        )
        return ((fourth - self.value().square()).clamp_min(0) / self.count).sqrt()

    def _moment(self, i: int, j: int) -> Float[Tensor, " L"]:
        return self.sums[i, j] / self.count
