"""What members do after a validation: keep the best and the last checkpoint, and stop early."""

from math import inf, isnan
from pathlib import Path
from typing import Any, Literal

from lid_vae.errors import UserError
from lid_vae.train.member import Member

__all__ = ["Best", "EarlyStopping", "Last"]

Mode = Literal["max", "min"]


class Last:
    """Writes ``<dirpath>/<filename>.ckpt`` after every validation."""

    def __init__(self, dirpath: str, filename: str = "last") -> None:
        self.path = Path(dirpath) / f"{filename}.ckpt"

    def validated(self, member: Member) -> None:
        """Writes the checkpoint of ``member``."""
        member.save(self.path)


class Best:
    """Writes ``<dirpath>/<filename>.ckpt`` after a validation at which the metric ``monitor`` is the best so far.

    ``mode``: whether the largest (``max``) or the smallest (``min``) is. Raises ``UserError`` for another mode, and at
    the first validation for a metric that is not logged.
    """

    key = "Best"

    def __init__(self, dirpath: str, filename: str = "best", monitor: str = "valid/bound", mode: Mode = "max") -> None:
        self.path = Path(dirpath) / f"{filename}.ckpt"
        self.monitor, self.sign = monitor, _sign(mode)
        self.score: float | None = None

    def state_dict(self) -> dict[str, Any]:
        return {"score": self.score}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from the best score in ``state``."""
        self.score = state["score"]

    def validated(self, member: Member) -> None:
        """Writes the checkpoint of ``member`` where its metric is the best so far."""
        value = _value(member, self.monitor, self.sign)
        if self.score is None or self.sign * value > self.sign * self.score:
            self.score = value
            member.save(self.path)


class EarlyStopping:
    """Stops a member once ``monitor`` has not improved by more than ``min_delta`` at ``patience`` validations in a row.

    Each seed by itself: its siblings go on. Raises ``UserError`` for a mode that is not known and a patience below one,
    and at the first validation for a metric that is not logged.
    """

    key = "EarlyStopping"

    def __init__(
        self, monitor: str = "valid/bound", patience: int = 10, mode: Mode = "max", min_delta: float = 0.0
    ) -> None:
        if patience < 1:
            raise UserError(f"EarlyStopping needs patience >= 1, got patience={patience}. Use patience=10.")
        self.monitor, self.patience, self.min_delta = monitor, patience, abs(min_delta)
        self.sign = _sign(mode)
        self.best, self.misses = -inf, 0

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "misses": self.misses}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from the best value in ``state``, and the validations since."""
        self.best, self.misses = state["best"], state["misses"]

    def before_fit(self, member: Member) -> None:
        """Stops ``member`` where its patience had ended before."""
        member.stopped = self.misses >= self.patience  # where a run goes on that has only to be measured

    def validated(self, member: Member) -> None:
        """Stops ``member`` where its patience has ended."""
        value = self.sign * _value(member, self.monitor, self.sign)
        if value > self.best + self.min_delta:
            self.best, self.misses = value, 0
        else:
            self.misses += 1
        member.stopped = self.misses >= self.patience


def _sign(mode: str) -> int:
    if mode not in ("max", "min"):
        raise UserError(f"mode={mode} is not known. Use max or min.")
    return 1 if mode == "max" else -1


def _value(member: Member, monitor: str, sign: int) -> float:
    """The metric, or the worst there is where it is not a number."""
    if monitor not in member.metrics:
        raise UserError(
            f"monitor={monitor} is not among the metrics of a validation. Use one of "
            f"{', '.join(sorted(member.metrics))}."
        )
    value = float(member.metrics[monitor])
    return -sign * inf if isnan(value) else value
