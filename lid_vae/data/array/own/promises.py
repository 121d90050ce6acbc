"""What the headers of .npy and .npz files promise: more than the file or the memory holds is refused before reading."""

import zipfile
from math import prod
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np

from lid_vae.machine_memory import check_room

__all__ = ["check_promises"]

_READERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def check_promises(file: Any, path: Path) -> None:
    """Raises for the ``file`` at its beginning, an .npy or .npz called ``path``, and leaves it there.

    Raises:
        ValueError: if an array promises more bytes than there are for it, or its header is none.
        UserError: if all arrays together take more than the memory of this machine.
    """
    if zipfile.is_zipfile(file):
        file.seek(0)
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            check_room(f"All arrays of {path}", sum(member.file_size for member in members), "Save fewer in one file.")
            for member in members:
                with archive.open(member) as inside:
                    _check(inside, member.file_size, member.filename)
    else:
        size = path.stat().st_size
        file.seek(0)
        check_room(f"The array in {path}", size, "Save a part of it.")
        _check(file, size, path.name)
    file.seek(0)


def _check(file: Any, size: int, name: str) -> None:
    """Of one array in .npy's form; what is of another form is left to the reader."""
    try:
        version = np.lib.format.read_magic(file)
    except ValueError:
        return
    if version not in _READERS:
        return
    try:
        shape, _, kind = _READERS[version](file)
    except TokenError as error:  # NumPy reads an old header as Python's own words
        raise ValueError(f"the header of {name} is none ({error.args[0]})") from error
    promised = prod(int(length) for length in shape) * kind.itemsize
    if promised > size and not kind.hasobject:
        raise ValueError(f"the header of {name} promises {promised:,} bytes, and {size:,} are there")
