"""Room for what is built: an array that the machine could not hold is refused before it is asked for."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from lid_vae.errors import UserError

__all__ = ["check_room", "in_bytes", "machine_memory", "within_memory"]

_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
_MAKERS = ("empty", "zeros", "ones", "full", "rand", "randn", "randint", "eye", "new_empty", "new_zeros", "expand_copy")


def machine_memory() -> int:
    """The bytes that this process could have at most: of the machine, or of the container that it runs in."""
    found = [2**62]
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for name in _LIMITS:
        try:
            text = Path(name).read_text().strip()
        except OSError:
            continue
        if text.isdigit():
            found.append(int(text))
    return min(size for size in found if size > 0)


def check_room(what: str, size: int, mend: str) -> None:
    """Raises ``UserError`` where ``what``, of ``size`` bytes, exceeds the memory; ``mend`` says what to do."""
    there = machine_memory()
    if size > there:
        raise UserError(f"{what} would take {in_bytes(size)}, and this machine has {in_bytes(there)}. {mend}")


def in_bytes(size: int) -> str:
    """A ``size`` in bytes as one says it: 24 GiB."""
    number, unit = float(size), "bytes"
    for larger in ("KiB", "MiB", "GiB", "TiB", "PiB"):
        if number < 1024:
            break
        number, unit = number / 1024, larger
    return f"{number:.3g} {unit}" if number < 1e6 else f"{number:.0e} {unit}"


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
