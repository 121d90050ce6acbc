"""Signatures are checked when they are called: by beartype, with an int welcome where a float is meant."""

import functools
from collections import Counter
from collections.abc import Callable, Sequence
from types import FunctionType
from typing import Any

import jaxtyping
from beartype import BeartypeConf, beartype

__all__ = ["begin_anew", "check_signatures", "typechecker"]

# Of each function so many calls in each test: those of a loop are alike, and a check takes longer than many of them.
CALLS = 20

typechecker = beartype(conf=BeartypeConf(is_pep484_tower=True))
calls: Counter[tuple[str, str]] = Counter()


def check_signatures(modules: Sequence[str]) -> None:
    """Those of the functions in ``modules``, which have not been imported before."""
    jaxtyping.install_import_hook(modules, "signatures.typechecker")
    jaxtyping.jaxtyped = functools.partial(_jaxtyped, jaxtyping.jaxtyped)


def begin_anew() -> None:
    """Every call is one of the first again."""
    calls.clear()


def _jaxtyped(original: Callable[..., Any], **options: Any) -> Callable[[Any], Any]:
    def decorate(one: Any) -> Any:
        if not isinstance(one, FunctionType):
            return original(**options)(one)
        key = one.__module__, one.__qualname__
        checked: Callable[..., Any] | None = None

        @functools.wraps(one)
        def counted(*arguments: Any, **named: Any) -> Any:
            nonlocal checked
            calls[key] += 1
            if calls[key] > CALLS:
                return one(*arguments, **named)
            if checked is None:  # a check takes long to make: of a function within another again and again
                checked = original(**options)(one)
            return checked(*arguments, **named)

        return counted

    return decorate
