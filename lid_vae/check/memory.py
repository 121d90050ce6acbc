"""Room for what is built: a model that the machine could not hold is refused before its arrays are asked for."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import prod
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from lid_vae.machine_memory import check_room

__all__ = ["within_memory"]

_MAKERS = ("empty", "zeros", "ones", "full", "rand", "randn", "randint", "eye", "new_empty", "new_zeros", "expand_copy")


@contextmanager
def within_memory(mend: str) -> Iterator[None]:
    """What torch makes within has to fit, all together, into the memory: else ``UserError``, with ``mend``."""
    with _Counted(mend):
        yield


class _Counted(TorchDispatchMode):
    def __init__(self, mend: str) -> None:
        super().__init__()
        self.mend, self.bytes = mend, 0

    def __torch_dispatch__(
        self, function: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        options = dict(kwargs or {})
        if function.overloadpacket.__name__.partition(".")[0] in _MAKERS:
            sizes = next((arg for arg in args if isinstance(arg, list | tuple)), [a for a in args if type(a) is int])
            kind = options.get("dtype") or torch.get_default_dtype()
            size = prod(int(length) for length in sizes) * kind.itemsize
            check_room("One array of this model", size, self.mend)
            self.bytes += size if size > 2**20 else 0
            check_room("This model", self.bytes, self.mend)
        return function(*args, **options)
