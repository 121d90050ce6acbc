"""How much memory this machine has: what would not fit into it is refused before it is asked for."""

import os
from pathlib import Path

from lid_vae.errors import UserError

__all__ = ["check_room", "in_bytes", "machine_memory"]

_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


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
