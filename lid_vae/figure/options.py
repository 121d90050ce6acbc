"""Checks of what a figure's options hold, so that a mistake is told before the work begins."""

from collections.abc import Callable, Mapping
from math import inf
from typing import Any

from lid_vae.errors import UserError
from lid_vae.run.plan import check_whole

__all__ = ["check_number", "check_numbers", "check_options", "check_rows"]


def check_number(name: str, value: object, least: float = -inf) -> None:
    """Raises ``UserError`` unless ``value`` of the option ``name`` is a number from ``least`` on.

    NaN and infinity pass.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or value < least:
        raise UserError(f"{name}={value} must be a number{'' if least == -inf else f', at least {least:g}'}.")


def check_numbers(name: str, values: object, least: float = -inf, whole: bool = False) -> None:
    """Raises ``UserError`` unless ``values`` of the option ``name`` is a list of one or more such numbers.

    Each is from ``least`` on, and where ``whole`` is true a whole number.
    """
    if not isinstance(values, list) or not values:
        raise UserError(f"{name}={values} must be a list of one or more numbers. Write it as {name}=[1,2].")
    for k, value in enumerate(values):
        if whole:
            check_whole(f"{name}[{k}]", value, int(least))
        else:
            check_number(f"{name}[{k}]", value, least)


def check_rows(name: str, rows: object) -> None:
    """Raises ``UserError`` unless ``rows`` of the option ``name`` is a list of equally long lists of numbers."""
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows) or len({*map(len, rows)}) != 1:
        raise UserError(f"{name}={rows} must be a list of rows of equal length. Write it as {name}=[[1,2],[3,4]].")
    for k, row in enumerate(rows):
        check_numbers(f"{name}[{k}]", row)


def check_options(name: str, options: Any, *known: str, **checks: Callable[[str, Any], None]) -> None:
    """Raises ``UserError`` unless ``options`` are just the ``known`` and those of ``checks``, which each passes.

    ``name`` is that of the node that holds them.
    """
    names = [*known, *checks]
    if not isinstance(options, Mapping) or set(options) != set(names):
        raise UserError(f"{name} takes the options {', '.join(names)}: all of them and no other. Got {options}.")
    for key, check in checks.items():
        check(f"{name}.{key}", options[key])
