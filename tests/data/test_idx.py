"""The idx reader against bytes written by hand."""

import gzip
import struct

import numpy as np
import pytest

from lid_vae.data.array.idx import parse_idx, unpack
from lid_vae.errors import UserError

SIX = bytes([0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 255])


def test_bytes_in_three_dimensions() -> None:
    array = parse_idx(SIX, "six")
    assert array.dtype == np.uint8
    assert array.tolist() == [[[1, 2, 3], [4, 5, 255]]]
    assert array.flags.writeable


@pytest.mark.parametrize(
    ("code", "letter", "values"),
    [
        (0x09, "b", [-1, 2]),
        (11, "h", [-300, 4]),
        (12, "i", [70_000, -1]),
        (13, "f", [0.5, 2]),
        (14, "d", [0.1, 2]),
    ],
)
def test_other_types_are_big_endian(code: int, letter: str, values: list[float]) -> None:
    array = parse_idx(bytes([0, 0, code, 1, 0, 0, 0, 2]) + struct.pack(f">2{letter}", *values), "two")
    assert array.tolist() == values
    assert array.dtype.isnative


@pytest.mark.parametrize("data", [b"", b"\x89PNG\r\n", b"\0\0\x07\x01\0\0\0\0", b"\0\0\x08\x03\0\0"])
def test_other_files_are_refused(data: bytes) -> None:
    with pytest.raises(UserError, match=r"labels.gz is no idx file"):
        parse_idx(data, "labels.gz")


@pytest.mark.parametrize("data", [SIX[:-1], SIX + b"\0"])
def test_too_few_or_too_many_values_are_refused(data: bytes) -> None:
    with pytest.raises(UserError, match=rf"six should hold 22 bytes .* \(1, 2, 3\), and holds {len(data)}"):
        parse_idx(data, "six")


def test_packed_files_are_unpacked_and_damaged_ones_refused() -> None:
    packed = gzip.compress(SIX)
    assert unpack(packed, "six.gz") == SIX
    flipped = packed[:-6] + bytes([packed[-6] ^ 1]) + packed[-5:]
    for damaged in (packed[:-3], flipped, b"no gzip", packed[:12] + b"\xff" * 8 + packed[20:]):
        with pytest.raises(UserError, match=r"six.gz cannot be unpacked"):
            unpack(damaged, "six.gz")
