"""Every signature is checked when it is called: by beartype, with an int welcome where a float is meant."""

from collections import Counter
from collections.abc import Callable, Sequence
from types import FunctionType
from typing import Any

import jaxtyping
from beartype import BeartypeConf, beartype

__all__ = ["check_signatures", "typechecker"]

# A function within another is made anew by every call of that, and its check takes longer to make than most of them to
# run: of each the first so many are checked.
FIRST = 5

typechecker = beartype(conf=BeartypeConf(is_pep484_tower=True))


def check_signatures(modules: Sequence[str]) -> None:
    """Those of the functions in ``modules``, which have not been imported before."""
    jaxtyping.install_import_hook(modules, "signatures.typechecker")
    wrap, made = jaxtyping.jaxtyped, Counter[tuple[str, str]]()

    def jaxtyped(**options: Any) -> Callable[[Any], Any]:
        def decorate(one: Any) -> Any:
            if isinstance(one, FunctionType) and "<locals>" in one.__qualname__:
                key = one.__module__, one.__qualname__
                made[key] += 1
                if made[key] > FIRST:
                    return one
            return wrap(**options)(one)

        return decorate

    jaxtyping.jaxtyped = jaxtyped
