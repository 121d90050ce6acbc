"""A user's array files: what is read, and what is refused with a reason."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from lid_vae.data.array.own.image_array import (
    as_bytes,
    as_images,
    channels_first,
    class_numbers,
    pick,
    read_arrays,
    read_labels,
)
from lid_vae.errors import UserError

HERE = Path("images.npy")
IMAGES = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)


def test_the_three_kinds_of_file_hold_the_same(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", IMAGES)
    np.savez(tmp_path / "a.npz", x=IMAGES, y=[0, 1])
    savemat(tmp_path / "a.mat", {"x": IMAGES, "y": [0, 1]})
    assert list(read_arrays(tmp_path / "a.npy")) == ["a"]
    for suffix in ("npy", "npz", "mat"):
        path = tmp_path / f"a.{suffix}"
        assert np.array_equal(pick(read_arrays(path), None, path), IMAGES)


class Bomb:
    """Says so if anything unpickles it."""

    def __reduce__(self) -> tuple:
        return pytest.fail, ("the file was executed",)


def test_pickled_arrays_are_refused_and_not_executed(tmp_path: Path) -> None:
    np.save(tmp_path / "object.npy", np.array([Bomb()], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "object.npz", x=np.array([Bomb()], dtype=object))
    (tmp_path / "bare.npy").write_bytes(pickle.dumps(Bomb()))
    for name in ("object.npy", "object.npz", "bare.npy"):
        with pytest.raises(UserError, match="Python objects, which are never loaded"):
            read_arrays(tmp_path / name)


def test_matlab_7_3_is_named(tmp_path: Path) -> None:
    path = tmp_path / "new.mat"
    path.write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + b"\x89HDF\r\n\x1a\n" + bytes(100))
    with pytest.raises(UserError, match=r"new.mat is a MATLAB 7.3 file, which is HDF5"):
        read_arrays(path)


@pytest.mark.parametrize("name", ["cut.npy", "cut.npz", "cut.mat", "empty.npy", "empty.npz", "empty.mat", "text.mat"])
def test_damaged_files_are_refused(tmp_path: Path, name: str) -> None:
    whole = tmp_path / ("whole" + Path(name).suffix)
    {"npy": np.save, "npz": np.savez, "mat": lambda path, x: savemat(path, {"x": x})}[name[-3:]](whole, IMAGES)
    content = {"cut": whole.read_bytes()[:-12], "empty": b"", "text": b"images, as it were\n" * 20}[name[:-4]]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=rf"{name} cannot be read as arrays"):
        read_arrays(tmp_path / name)


def test_other_kinds_of_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no \.npy, \.npz or \.mat"):
        read_arrays(tmp_path / "a.csv")


def test_the_array_of_images_is_named_or_the_only_one() -> None:
    arrays = {"a": IMAGES, "b": IMAGES + 1, "labels": np.zeros((1, 2))}
    assert pick(arrays, "b", HERE) is arrays["b"]
    assert pick({"a": IMAGES, "labels": np.zeros((1, 2))}, None, HERE) is IMAGES
    with pytest.raises(UserError, match=r"a \(2, 3, 4\), b .* key"):
        pick(arrays, None, HERE)
    with pytest.raises(UserError, match=r"no array key=c"):
        pick(arrays, "c", HERE)


@pytest.mark.parametrize(
    "array",
    [IMAGES, IMAGES[..., None], IMAGES.reshape(2, 12), IMAGES.reshape(2, 12).T, np.moveaxis(IMAGES, 0, -1)],
    ids=["images", "one channel", "rows", "columns", "last axis"],
)
def test_layouts_with_a_shape(array: np.ndarray) -> None:
    assert np.array_equal(as_images(array, (3, 4), HERE), IMAGES)


def test_channels_come_first() -> None:
    last = np.arange(2 * 4 * 5 * 3).reshape(2, 4, 5, 3)
    first = np.moveaxis(last, -1, 1)
    for array, channels in ((last, None), (first, None), (last, "last"), (first, "first")):
        assert np.array_equal(channels_first(array, channels, "x"), first)
    both = np.zeros((2, 3, 5, 3))
    assert channels_first(both, "last", "x").shape == (2, 3, 3, 5)
    assert channels_first(np.zeros((2, 4, 5, 1)), None, "x").shape == (2, 1, 4, 5)


@pytest.mark.parametrize(
    ("shape", "channels", "message"),
    [
        ((2, 3, 5, 3), None, "may stand first or last. Say which, with channels=first or last"),
        ((2, 4, 5, 6), None, r"shape \(2, 4, 5, 6\), and images with channels are .* of 1 or 3 channels"),
        ((2, 4, 5, 3), "first", "images with channels are"),
        ((2, 4, 5, 3), "middle", "channels=middle is not known"),
    ],
)
def test_channels_that_are_not_clear_are_refused(shape: tuple, channels: str | None, message: str) -> None:
    with pytest.raises(UserError, match=message):
        channels_first(np.zeros(shape), channels, "x")


def test_layouts_without_a_shape() -> None:
    assert as_images(IMAGES, None, HERE) is IMAGES
    square = np.arange(27).reshape(3, 9)
    assert np.array_equal(as_images(square, None, HERE), square.reshape(3, 3, 3))


@pytest.mark.parametrize(
    ("array", "shape", "message"),
    [
        (np.zeros((784, 24_345)), None, r"shape \(784, 24345\), and rows of 24345 values are no square images"),
        (np.zeros((5, 12)), (5, 5), "neither rows nor columns have the 25 values"),
        (np.zeros((9, 4, 3)), (3, 4), r"no images of shape=\[3, 4\]"),
        (np.zeros((9, 32, 32, 3)), None, "Grey images are wanted"),
        (np.zeros(9), None, "Grey images are wanted"),
    ],
)
def test_other_shapes_are_refused(array: np.ndarray, shape: tuple[int, int] | None, message: str) -> None:
    with pytest.raises(UserError, match=message):
        as_images(array, shape, HERE)


@pytest.mark.parametrize(
    ("values", "maximum", "expected"),
    [
        (np.array([0, 7, 255], np.uint8), None, [0, 7, 255]),
        (np.array([0, 7, 255], ">i4"), None, [0, 7, 255]),
        (np.array([0, 1, 1], np.uint8), None, [0, 255, 255]),
        (np.array([False, True]), None, [0, 255]),
        (np.array([0, 0.2, 1]), None, [0, 51, 255]),
        (np.array([0.0, 51.4, 255.0]), 255.0, [0, 51, 255]),
        (np.array([0, 8, 16]), 16.0, [0, 128, 255]),
    ],
)
def test_ranges(values: np.ndarray, maximum: float | None, expected: list[int]) -> None:
    assert as_bytes(values, maximum, HERE).tolist() == expected


@pytest.mark.parametrize(
    ("values", "maximum", "message"),
    [
        (np.array([0.5, np.nan, np.inf]), None, "2 of 3 values in images.npy are NaN or infinite"),
        (np.array([0.0, 255.0]), None, "from 0 to 255, outside the range 0 to 1 of float64 images"),
        (np.array([-1, 4]), None, "from -1 to 4, outside the range 0 to 255"),
        (np.array([0, 256]), None, "outside the range 0 to 255"),
        (np.array([0, 17]), 16.0, "outside the range 0 to 16"),
        (np.array([0, 17]), 0.0, "maximum=0.0 must be above 0"),
        (np.array(["a"]), None, "not real numbers"),
        (np.array([1j]), None, "not real numbers"),
        (np.zeros((0, 4)), None, "is empty"),
    ],
)
def test_values_out_of_range_are_refused(values: np.ndarray, maximum: float | None, message: str) -> None:
    with pytest.raises(UserError, match=message):
        as_bytes(values, maximum, HERE)


def test_labels_from_the_same_file_or_their_own(tmp_path: Path) -> None:
    arrays = {"x": IMAGES, "y": np.array([4, 2])}
    np.save(tmp_path / "y.npy", [5, 6])
    (tmp_path / "y.txt").write_text("cat\ndog\n")
    assert read_labels("y", arrays, HERE).tolist() == [4, 2]
    assert read_labels(str(tmp_path / "y.npy"), arrays, HERE).tolist() == [5, 6]
    assert read_labels(str(tmp_path / "y.txt"), {}, HERE).tolist() == ["cat", "dog"]
    with pytest.raises(UserError, match=r"labels=z is neither an array of images.npy \(x, y\), nor a file"):
        read_labels("z", arrays, HERE)


@pytest.mark.parametrize("labels", [np.array([7, 3, 7]), np.array([[7.0], [3], [7]]), np.array(["b", "a", "b"])])
def test_labels_become_class_numbers(labels: np.ndarray) -> None:
    numbers, count = class_numbers(labels, 3, "y")
    assert (numbers.tolist(), count) == ([1, 0, 1], 2)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros(4), r"3 images, and labels of shape \(4,\) in y"),
        (np.eye(3), r"3 images, and labels of shape \(3, 3\)"),
        (np.array([0.5, 1, 2]), "neither whole numbers nor words"),
        (np.array([np.nan, 1, 2]), "neither whole numbers nor words"),
        (np.array([None, [], ()], dtype=object), "neither whole numbers nor words"),
    ],
)
def test_other_labels_are_refused(labels: np.ndarray, message: str) -> None:
    with pytest.raises(UserError, match=message):
        class_numbers(labels, 3, "y")
