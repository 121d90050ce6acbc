"""Files of data that somebody might name: sound, cut, damaged, of other kinds, and ones that unpack to gigabytes."""

import gzip
import io
import tempfile
import zipfile
from pathlib import Path

import numpy as np
from fuzzed_files import BYTES
from fuzzing import Ending, judged
from hypothesis import strategies as st
from runs import Programs

__all__ = ["Given", "archive", "bomb", "play_data", "promising", "sources"]

Given = tuple[str, bytes, tuple[str, ...]]
"""The name of the file, what it holds, and further options."""
SMALL = (
    "data.batch_size=16", "data.valid_size=8", "data.test_size=8", "trainer.max_epochs=1", "width=4", "samples=2",
    "callbacks.panels.every=0", "logger=none", "model=vae", "latent_dimension=2", "trainer.check_val_every_n_epoch=1",
)  # fmt: skip
NUMBERS = (
    np.random.default_rng(0).normal(size=(40, 3)), np.zeros((40, 3)), np.ones((40, 784), np.uint8), np.zeros((1, 1)),
    np.zeros((0, 3)), np.zeros(()), np.zeros(40), np.zeros((40, 0)), np.full((40, 3), np.nan), np.full((40, 3), np.inf),
    np.full((40, 3), 1e300), np.zeros((40, 3), complex), np.zeros((40, 2, 2)), np.zeros((40, 1, 1, 1, 2)),
    np.array([["a", "b"]] * 40), np.zeros((40, 3), bool), np.zeros((40, 3), "datetime64[s]"), np.zeros((2, 3)),
    np.zeros((40, 3), [("a", "f4"), ("b", "i4")]), np.arange(120).reshape(40, 3) * 10**15,
)  # fmt: skip
OBJECTS = np.array([[{}, []]] * 4, dtype=object)


def saved(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def promising(shape: tuple[int, ...], kind: str = "<f8") -> bytes:
    """The header of an .npy file with such an array, and nothing after it."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": kind, "fortran_order": False, "shape": shape})
    return file.getvalue()


def archive(**members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in members.items():
            packed.writestr(f"{name}.npy", content)
    return file.getvalue()


def bomb(size: int) -> bytes:
    """An .npz whose one array has ``size`` bytes of zeros, a multiple of 2**25, and which itself is small."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed, packed.open("x.npy", "w", force_zip64=True) as x:
        x.write(promising((size >> 16, 2**13)))
        for _ in range(size >> 24):
            x.write(bytes(2**24))
    return file.getvalue()


ARRAYS = (
    *map(saved, NUMBERS), promising((10**12, 10)), promising((2**62, 2**62)), promising((40, 3)), promising((-1, 3)),
    promising((40, 3), "|O"), np.lib.format.magic(9, 9), saved(np.zeros((40, 3)))[:-5], *BYTES,
)  # fmt: skip
ARCHIVES = (
    *(archive(x=saved(array)) for array in NUMBERS), archive(), archive(x=promising((10**12, 10))), archive(x=b"no"),
    archive(x=saved(NUMBERS[0]), y=saved(np.arange(40))), archive(x=saved(NUMBERS[0]), y=saved(np.arange(3))), *BYTES,
)  # fmt: skip
ROWS = "\n".join("1.5,2,3" for _ in range(40))
TABLES = tuple(text.encode() for text in (
    ROWS, f"a,b,c\n{ROWS}", f"{ROWS}\n1,2", f"{ROWS}\n1,x,3", f"{ROWS}\n1,,3", f"{ROWS}\n1,nan,3", f"{ROWS}\n1,1e999,3",
    "a,b,c\n", "\n\n", '"' + ROWS, f"a,a,a\n{ROWS}", ROWS.replace(",", ";"), "1\n" * 40, "1," * 5000,
))  # fmt: skip
WORDS = "\n".join("the cat sat on a mat" for _ in range(60)).encode()
TEXTS = (
    WORDS, gzip.compress(WORDS), gzip.compress(WORDS)[:-9], gzip.compress(WORDS) + b"more", b"\n" * 60, b"a",
    b"a " * 50_000, WORDS + b"\n\xff\xfe", b"\n\x00\n" * 60, b"\xef\xbb\xbf" + WORDS, *BYTES,
)  # fmt: skip
LABELS = (b"0\n" * 40, b"0\n1\n" * 20, b"a b " * 20, b"\xff\xfe\n" * 40, b"0\n", b"", b"0.5\n" * 40, b"\x00" * 40)
KINDS = {".npy": ARRAYS, ".npz": ARCHIVES, ".csv": (*TABLES, *BYTES), ".txt": TEXTS, ".mat": BYTES, ".gz": TEXTS}


@st.composite
def sources(draw: st.DrawFn) -> Given:
    """A file of any kind and content, for vectors, images or text, with labels or without."""
    ending = draw(st.sampled_from(sorted(KINDS)))
    sound = st.sampled_from(KINDS[ending][:3])
    content = draw(sound | st.sampled_from(KINDS[ending]) | st.binary(max_size=60))
    if draw(st.integers(0, 3)) == 0 and content:
        at = draw(st.integers(0, len(content) - 1))
        content = content[:at] + bytes([content[at] ^ draw(st.integers(1, 255))]) + content[at + 1 :]
    if ending in (".txt", ".gz"):
        options: tuple[str, ...] = ("model=svae", "data=text", "family=lstm")
    else:
        options = draw(st.sampled_from([("data=array", "likelihood=gaussian"), ("data=array",), ("data=images",)]))
        labels = ("data.labels=FILE", "data.labels=~nobody/x.npy", "data.labels=y")
        options += draw(st.just(()) | st.sampled_from([(one,) for one in labels]))
    return f"given{ending}", content, options


def play_data(given: Given, memory: int = 0) -> Ending:
    """How a tiny training on the file of ``given`` ends."""
    name, content, options = given
    with tempfile.TemporaryDirectory(prefix="lid_vae-data-") as place:
        folder = Path(place)
        (folder / name).write_bytes(content)
        (folder / "labels.txt").write_bytes(LABELS[len(content) % len(LABELS)])
        options = tuple(option.replace("FILE", str(folder / "labels.txt")) for option in options)
        programs = Programs(folder)
        return judged(lambda: programs.train(*SMALL, *options, f"data.path={folder / name}", tiny=()), memory)
