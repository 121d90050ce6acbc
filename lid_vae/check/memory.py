"""Room for what is built: a model that the machine could not hold is refused before its arrays are filled."""

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any, TypeVar

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from lid_vae.machine_memory import check_room

__all__ = ["built_within_memory"]

Built = TypeVar("Built")

_MAKERS = ("empty", "zeros", "ones", "full", "rand", "randn", "randint", "eye", "new_empty", "new_zeros", "expand_copy")
_FILLERS = ("fill_", "zero_", "uniform_", "normal_", "random_")
# Beyond these bytes an array is not filled at first: its memory costs nothing before.
_LARGE = 2**26


def built_within_memory(build: Callable[[], Built], mend: str) -> Built:
    """What ``build`` returns; what torch makes in it has to fit, all together, into the memory.

    Raises ``UserError``, with ``mend``, where it does not: before anything large is filled, since a first layer that
    fits may take a minute to be drawn where the second does not. ``build`` is called twice where it makes large arrays.
    """
    state = torch.get_rng_state()
    with _Counted(mend) as counted:
        built = build()
    if counted.left_empty:
        del built
        torch.set_rng_state(state)
        built = build()
    return built


class _Counted(TorchDispatchMode):
    def __init__(self, mend: str) -> None:
        super().__init__()
        self.mend, self.bytes, self.left_empty = mend, 0, False

    def __torch_dispatch__(
        self, function: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        options = dict(kwargs or {})
        name = function.overloadpacket.__name__.partition(".")[0]
        if name in _MAKERS:
            sizes = next((arg for arg in args if isinstance(arg, list | tuple)), [a for a in args if type(a) is int])
            kind = options.get("dtype") or torch.get_default_dtype()
            size = prod(int(length) for length in sizes) * kind.itemsize
            check_room("One array of this model", size, self.mend)
            self.bytes += size if size > 2**20 else 0
            check_room("This model", self.bytes, self.mend)
        elif name in _FILLERS and args[0].nbytes > _LARGE:
            self.left_empty = True
            return args[0]
        return function(*args, **options)
