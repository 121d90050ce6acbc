"""The idx format of MNIST: a big-endian array with a short header (LeCun, Cortes and Burges 1998)."""

__all__ = ["parse_idx", "unpack"]

import gzip
import math
import zlib

import numpy as np

from lid_vae.errors import UserError

_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def unpack(packed: bytes, name: str) -> bytes:
    """What the bytes ``packed`` of the gzip file ``name`` hold.

    Raises:
        UserError: if it is truncated, damaged or no gzip file.
    """
    try:
        return gzip.decompress(packed)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{name} cannot be unpacked ({error}). Put an undamaged copy in its place.") from error


def parse_idx(data: bytes, name: str) -> np.ndarray:
    """The array in ``data``: two zero bytes, the type, the number of dimensions, each size in 4 bytes, the values.

    ``name`` is the file's, for messages.

    Raises:
        UserError: if the header is none, or the values are more or fewer than it says.
    """
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] not in _TYPES or len(data) < 4 + 4 * data[3]:
        raise UserError(f"{name} is no idx file: it begins with the bytes {data[:4].hex(' ')}.")
    kind = np.dtype(_TYPES[data[2]])
    header = 4 + 4 * data[3]
    shape = tuple(int(size) for size in np.frombuffer(data, ">u4", count=data[3], offset=4))
    expected = header + math.prod(shape) * kind.itemsize
    if len(data) != expected:
        raise UserError(f"{name} should hold {expected} bytes for an array of shape {shape}, and holds {len(data)}.")
    return np.frombuffer(data, kind, offset=header).reshape(shape).astype(kind.newbyteorder("="))
