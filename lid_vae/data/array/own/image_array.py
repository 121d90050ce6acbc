"""A user's images and labels from an .npy, .npz or .mat file, checked and brought to one form."""

__all__ = ["as_bytes", "as_images", "channels_first", "class_numbers", "pick", "read_arrays", "read_labels"]

import math
import zipfile
import zlib
from pathlib import Path

import numpy as np
import torch

from lid_vae.data.array.own.promises import check_promises
from lid_vae.errors import UserError
from lid_vae.shapes import Int, Tensor
from lid_vae.system.files import expanded, read_file

_UNREADABLE = (OSError, ValueError, TypeError, EOFError, KeyError, IndexError, zipfile.BadZipFile, zlib.error)


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of the file ``path`` by name; that of an .npy file has the file's own. Nothing pickled is loaded.

    Raises:
        UserError: if the file cannot be read so.
    """
    if path.suffix not in (".npy", ".npz", ".mat"):
        raise UserError(f"{path} is no folder, and no .npy, .npz or .mat file.")
    from scipy.io.matlab import MatReadError, loadmat  # here, because importing scipy.io takes a moment

    try:
        with path.open("rb") as handle:
            if not path.is_file():
                raise ValueError("it is a device or a pipe, and no ordinary file")
            if path.suffix == ".mat":
                return {name: array for name, array in loadmat(handle).items() if not name.startswith("__")}
            check_promises(handle, path)
            loaded = np.load(handle, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return {path.stem: loaded}
            with loaded:
                found = dict(loaded)
            for name, array in found.items():
                if not isinstance(array, np.ndarray):
                    raise ValueError(f"{name} in it is no array")
            if not found:
                raise ValueError("it holds no array")
            return found
    except NotImplementedError as error:
        raise UserError(
            f"{path} is a MATLAB 7.3 file, which is HDF5 and not read here. In MATLAB, save it again with "
            f"save(..., '-v7'); or convert it to .npy."
        ) from error
    except (*_UNREADABLE, MatReadError) as error:
        why = "it holds Python objects, which are never loaded" if "pickle" in str(error).lower() else str(error)
        raise UserError(f"{path} cannot be read as arrays of numbers: {why}. Save plain numeric arrays.") from error


def pick(arrays: dict[str, np.ndarray], key: str | None, path: Path) -> np.ndarray:
    """The one of ``arrays`` called ``key``; for None the only one with two or more dimensions, both above one.

    ``path`` is the file that they are from, for messages.

    Raises:
        UserError: if there is none of that name, or it is not clear which one.
    """
    inside = ", ".join(f"{name} {array.shape}" for name, array in arrays.items()) or "nothing"
    if key is not None:
        if key not in arrays:
            raise UserError(f"{path} holds no array key={key}; it holds {inside}.")
        return arrays[key]
    candidates = [array for array in arrays.values() if array.ndim >= 2 and min(array.shape[:2]) > 1]
    if len(candidates) != 1:
        raise UserError(f"{path} holds {inside}. Say which array holds the images, with key=<name>.")
    return candidates[0]


def channels_first(array: np.ndarray, channels: str | None, origin: str) -> np.ndarray:
    """[N, C, H, W] with C of 1 or 3, from an ``array`` of that or of [N, H, W, C].

    ``channels`` says where C is, "first" or "last"; for None it is the axis that can be C, where only one can.
    ``origin`` says in messages where the array is from.

    Raises:
        UserError: where it is not clear which axis that is, or none can be.
    """
    if channels not in (None, "first", "last"):
        raise UserError(f"channels={channels} is not known. Choose first or last, or None where the shape tells.")
    possible = [name for name, axis in (("first", 1), ("last", -1)) if array.shape[axis] in (1, 3)]
    given = f"The array in {origin} has shape {array.shape}"
    if len(possible) > 1 and channels is None:
        raise UserError(f"{given}, where colours may stand first or last. Say which, with channels=first or last.")
    where = channels or next(iter(possible), None)
    if where not in possible:
        raise UserError(
            f"{given}, and images with channels are [images, height, width, 3] or [images, 3, height, width], of 1 or "
            "3 channels. Take such channels, or give one vector for each example: [examples, values]."
        )
    return array if where == "first" else np.moveaxis(array, -1, 1)


def as_images(array: np.ndarray, shape: tuple[int, int] | None, path: Path) -> np.ndarray:
    """Grey images: [N, H, W] from that, from rows of H W values, or from either with a last axis of one channel.

    Rows are square images unless ``shape`` says (H, W). With ``shape``, the images may also stand in the columns, or
    along the last of three axes, as MATLAB likes them. ``path`` is named in messages.

    Raises:
        UserError: if the array can be none of these.
    """
    if array.ndim == 4 and array.shape[-1] == 1:
        array = array[..., 0]
    given = f"The array in {path} has shape {array.shape}"
    if array.ndim not in (2, 3):
        colours = " Colours are kept with colour=True." if array.ndim == 4 and 3 in array.shape[1:] else ""
        raise UserError(
            f"{given}. Grey images are wanted: [images, height, width], or [images, height * width].{colours}"
        )
    if array.ndim == 3:
        if shape is None or array.shape[1:] == shape:
            return array
        if array.shape[:2] == shape:
            return np.moveaxis(array, -1, 0)
        raise UserError(f"{given}, which holds no images of shape={list(shape)}.")
    rows, values = array.shape
    height, width = shape or (math.isqrt(values), math.isqrt(values))
    if values == height * width:
        return array.reshape(-1, height, width)
    if shape is None:
        raise UserError(
            f"{given}, and rows of {values} values are no square images. Give shape=[height,width]; the "
            "images may then also stand in the columns."
        )
    if rows == height * width:
        return array.T.reshape(-1, height, width)
    raise UserError(f"{given}: neither rows nor columns have the {height * width} values of shape={list(shape)}.")


def as_bytes(array: np.ndarray, maximum: float | None, path: Path) -> Tensor:
    """The values of ``array``, from 0 to ``maximum`` (white), as bytes, rounded.

    ``path`` is named in messages. Without a ``maximum``, white is 1 for floating point and booleans; for integers it is
    255, or 1 where none is above 1.

    Raises:
        UserError: if a value is not a number, or out of that range.
    """
    if array.dtype.kind not in "buif":
        raise UserError(f"The array in {path} holds {array.dtype}, not real numbers.")
    if array.size == 0:
        raise UserError(f"The array in {path} is empty: its shape is {array.shape}.")
    if not np.isfinite(array).all():
        raise UserError(f"{(~np.isfinite(array)).sum()} of {array.size} values in {path} are NaN or infinite.")
    low, high = array.min().item(), array.max().item()
    if maximum is None:
        maximum = 1 if array.dtype.kind in "bf" or high <= 1 else 255
    if maximum <= 0:
        raise UserError(f"maximum={maximum} must be above 0.")
    if low < 0 or high > maximum:
        raise UserError(
            f"Pixel values in {path} run from {low:g} to {high:g}, outside the range 0 to {maximum:g} of "
            f"{array.dtype} images. Name the value of white with maximum=<value>, or rescale the array."
        )
    if array.dtype == np.uint8 and maximum == 255:
        return torch.from_numpy(np.array(array, order="C"))
    return torch.from_numpy(np.rint(np.asarray(array, np.float64) * (255 / maximum)).astype(np.uint8))


def read_labels(labels: str, arrays: dict[str, np.ndarray], path: Path) -> np.ndarray:
    """The array called ``labels`` among ``arrays``, or else the one array of the file of that name.

    ``path`` is the file of the images, for messages.

    Raises:
        UserError: if there is neither.
    """
    if labels in arrays:
        return arrays[labels]
    source = expanded(labels)
    if not source.exists():
        beside = f"an array of {path} ({', '.join(arrays)}), nor " if arrays else ""
        raise UserError(f"labels={labels} is neither {beside}a file. Give one, or labels=None for no labels.")
    if source.suffix == ".txt":
        try:
            return np.array(read_file(source).decode("utf-8-sig").split())
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"The labels in {source} cannot be read: {error}. Save them as text in UTF-8.") from error
    found = read_arrays(source)
    if len(found) != 1:
        raise UserError(f"{source} should hold one array of labels, and holds {', '.join(found) or 'none'}.")
    return next(iter(found.values()))


def class_numbers(labels: np.ndarray, count: int, origin: str, what: str = "images") -> tuple[Int[Tensor, " N"], int]:
    """The ``labels``, whole numbers or words, as 0, 1, ... in sorted order, and the number of classes.

    ``origin`` says in messages where they are from, and ``what`` they are of.

    Raises:
        UserError: if they are not one for each of ``count`` examples, or are fractional.
    """
    if labels.size != count or max(labels.shape, default=0) != count:
        raise UserError(f"There are {count} {what}, and labels of shape {labels.shape} in {origin}: give one for each.")
    if labels.dtype.kind not in "buifUS" or (labels.dtype.kind == "f" and not (labels == np.rint(labels)).all()):
        raise UserError(f"Labels in {origin} ({labels.dtype}) are neither whole numbers nor words.")
    classes, numbers = np.unique(labels.ravel(), return_inverse=True)
    return torch.from_numpy(numbers.astype(np.int64)), len(classes)
