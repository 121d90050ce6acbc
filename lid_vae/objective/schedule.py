"""Schedules: numbers as functions of the batch count, so that a resumed run continues where it was."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import ceil, cos, pi

from lid_vae.errors import UserError

__all__ = ["Constant", "Cosine", "Cyclical", "Delayed", "Linear", "Schedule", "WarmupCosine", "first_step"]


class Schedule(ABC):
    """A number for each step of ``steps``."""

    @abstractmethod
    def __call__(self, step: int, steps: int) -> float:
        """The value at ``step`` in 0 ... ``steps`` - 1 (and, once training is over, the last value)."""


@dataclass(frozen=True)
class Constant(Schedule):
    """The same ``value`` throughout."""

    value: float = 1.0

    def __call__(self, step: int, steps: int) -> float:
        return self.value


@dataclass(frozen=True)
class Linear(Schedule):
    """From ``start`` to ``end`` over the first ``share`` of training, then constant (Bowman et al. 2016)."""

    start: float = 0.0
    end: float = 1.0
    share: float = 0.1

    def __call__(self, step: int, steps: int) -> float:
        progress = min(step / max(self.share * steps, 1), 1.0)
        return self.start + (self.end - self.start) * progress


@dataclass(frozen=True)
class Cyclical(Schedule):
    """``cycles`` times: linear from ``start`` to ``end`` over ``share`` of the cycle, then constant.

    Fu et al. (2019). Raises ``UserError`` for no cycles, or a share that is not in (0, 1].
    """

    start: float = 0.0
    end: float = 1.0
    cycles: int = 4
    share: float = 0.5

    def __post_init__(self) -> None:
        if self.cycles < 1 or not 0 < self.share <= 1:
            raise UserError(
                f"Cyclical needs cycles >= 1 and 0 < share <= 1, got cycles={self.cycles} and "
                f"share={self.share}. Use cycles=4 and share=0.5."
            )

    def __call__(self, step: int, steps: int) -> float:
        length = max(steps / self.cycles, 1)
        position = (min(step, steps - 1) % length) / length
        return self.start + (self.end - self.start) * min(position / self.share, 1.0)


@dataclass(frozen=True)
class Delayed(Schedule):
    """``before`` for the first ``share`` of training, then the schedule ``then`` over the rest of it.

    With beta = 0 before: the autoencoder pretraining of Li et al. (2019). A share of 0 is ``then`` itself.
    Raises ``UserError`` for a share that is not in [0, 1).
    """

    then: Schedule
    before: float = 0.0
    share: float = 0.2

    def __post_init__(self) -> None:
        if not 0 <= self.share < 1:
            raise UserError(f"Delayed takes a share of training in [0, 1), got share={self.share}. Use share=0.2.")

    def __call__(self, step: int, steps: int) -> float:
        first = first_step(self.share, steps)
        return self.before if step < first else self.then(step - first, max(steps - first, 1))


def first_step(share: float, steps: int) -> int:
    """The first step, of ``steps``, after the first ``share`` of training."""
    return ceil(share * steps)


@dataclass(frozen=True)
class Cosine(Schedule):
    """Half a cosine from 1 to ``end`` (Loshchilov and Hutter 2017), a factor for learning rates."""

    end: float = 0.0

    def __call__(self, step: int, steps: int) -> float:
        return self.end + (1 - self.end) * 0.5 * (1 + cos(pi * min(step / max(steps, 1), 1.0)))


@dataclass(frozen=True)
class WarmupCosine(Schedule):
    """Linear from 0 over the first ``warmup`` share of training, then half a cosine to ``end``.

    Raises ``UserError`` for a share that is not in [0, 1).
    """

    warmup: float = 0.02
    end: float = 0.01

    def __post_init__(self) -> None:
        if not 0 <= self.warmup < 1:
            raise UserError(
                f"WarmupCosine takes a share of training in [0, 1), got warmup={self.warmup}. Use warmup=0.02."
            )

    def __call__(self, step: int, steps: int) -> float:
        progress = min((step + 1) / max(steps, 1), 1.0)
        if progress < self.warmup:
            return progress / self.warmup
        share = (progress - self.warmup) / (1 - self.warmup)
        return self.end + (1 - self.end) * 0.5 * (1 + cos(pi * share))
