"""A figure with its error, unit and samples, shown within what theory allows."""

from dataclasses import dataclass
from math import inf

__all__ = ["Estimate"]


@dataclass(frozen=True)
class Estimate:
    """A number that was estimated, and how well.

    Args:
        estimate: what the estimator gave.
        error: its standard error, over examples and the draws for each; 0 where nothing is random.
        unit: ``"nats"`` or ``"share"``.
        examples: how many examples it is a mean over.
        samples: draws of q for each example; None where q is summed or integrated in closed form.
        how: the estimator, in words.
        floor, ceiling: what the quantity cannot be below and above.
        ceiling_name: what to call the ceiling.
        upper: of a quantity that is enclosed, the upper bound; ``estimate`` is then the lower one.
        bound: whether ``estimate`` is a lower bound without an upper one.
    """

    estimate: float
    error: float
    unit: str
    examples: int
    samples: int | None
    how: str
    floor: float = -inf
    ceiling: float = inf
    ceiling_name: str = ""
    upper: float | None = None
    bound: bool = False

    @property
    def value(self) -> float:
        """The estimate within ``floor`` and ``ceiling``."""
        return min(max(self.estimate, self.floor), self.ceiling)

    @property
    def interval(self) -> tuple[float, float]:
        """Two standard errors either way (of the bounds, where there are two), within ``floor`` and ``ceiling``."""
        top = self.estimate if self.upper is None else max(self.upper, self.estimate)
        low, high = self.estimate - 2 * self.error, top + 2 * self.error
        return (
            min(max(low, self.floor), self.ceiling),
            min(max(high, self.floor), self.ceiling),
        )

    def __float__(self) -> float:
        return self.value

    def __str__(self) -> str:
        """The value with its error; outside of what is possible, the nearest possible value and what that means."""
        unit = "" if self.unit == "share" else f" {self.unit}"
        if self.bound:
            error = f" ± {self.error:.2g}" if self.error > 0 and self.estimate > self.floor else ""
            return f"at least {_plain(self.value)}{error}{unit}"
        if self.estimate < self.floor:
            return f"{_plain(self.floor)}{unit}{self._beside(self.floor, f'{self.floor:.0f}')}"
        if self.estimate > self.ceiling:
            name = self.ceiling_name or f"{self.ceiling:.2f}"
            return f"{_plain(self.ceiling)}{unit}{self._beside(self.ceiling, name)}"
        upper = None if self.upper is None else min(max(self.upper, self.estimate), self.ceiling)
        text = f"{_plain(self.estimate)}"
        if upper is not None and f"{upper:.2f}" != f"{self.estimate:.2f}":
            text = f"{text} to {_plain(upper)}"
        return f"{text} ± {self.error:.2g}{unit}" if self.error > 0 else f"{text}{unit}"

    def _beside(self, limit: float, name: str) -> str:
        # Five standard errors: a figure that so many errors leave outside is no matter of chance.
        if abs(self.estimate - limit) <= max(5 * self.error, 1e-6):
            return f", consistent with {name}"
        return f" (the estimate is off {name} by more than chance)"


def _plain(value: float) -> str:
    """Two decimals, and no minus before a zero."""
    return f"{value:.2f}".replace("-0.00", "0.00")
