"""A user's own images, grey or in colour: a folder of image files, or an array in an .npy, .npz or .mat file."""

__all__ = ["Images"]

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lid_vae.data.array.array_data_module import Corpus, PixelDataModule
from lid_vae.data.array.own.image_array import (
    as_bytes,
    as_images,
    channels_first,
    class_numbers,
    pick,
    read_arrays,
    read_labels,
)
from lid_vae.data.array.own.image_folder import read_image_folder, resize
from lid_vae.data.split import Split, at_least_one, hold_out
from lid_vae.errors import UserError
from lid_vae.shapes import Tensor


class Images(PixelDataModule):
    """Training, validation and test parts are drawn by the data seed.

    Args:
        path: a folder of image files (one sub-folder for each label, or none), or an array file. A relative path is
            looked for in the working directory, then in ``root``.
        labels: None; the name of an array in the same file; or a file (.npy, .npz, .mat, or .txt separated by spaces)
            with one label for each image, in the order of the images (for a folder, of the names of the files).
        key: which array of the file holds the images, where it holds several.
        shape: (height, width) of an image where the array does not tell.
        maximum: the value of white, where it is not 255 for integers and 1 for floating point.
        size: a side, or (height, width), to resize the images to.
        colour: whether red, green and blue are kept, each a pixel of its own: an image is then (3, height, width), and
            an array [images, height, width, 3] or [images, 3, height, width]. Else colours of files become luminance,
            and arrays are grey.
        valid_size, test_size: how many images to hold out; None for a tenth.
        options: the others of ``PixelDataModule``.

    Raises:
        UserError: in ``setup``, for files and arrays that are not as said here.

    >>> np.save("own.npy", np.random.default_rng(0).random((50, 6, 6)))
    >>> data = Images("own.npy", binarise="none")
    >>> data.setup()
    >>> len(data.train), len(data.valid), len(data.test), data.shape
    (41, 4, 5, [6, 6])
    """

    name = "images"

    def __init__(
        self,
        path: str,
        labels: str | None = None,
        key: str | None = None,
        shape: Sequence[int] | None = None,
        maximum: float | None = None,
        size: int | Sequence[int] | None = None,
        test_size: int | None = None,
        colour: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        if colour and shape is not None:
            raise UserError(
                "shape= is for grey images in rows, and colour=True asks for colours. Leave one of them out."
            )
        at_least_one(test_size=test_size)
        self.given_path = path
        self.labels = labels
        self.key = key
        self.given_shape = _pair("shape", shape)
        self.maximum = maximum
        self.size = _pair("size", [size, size] if isinstance(size, int) else size)
        self.test_size = test_size
        self.colour = colour

    def load(self) -> Corpus:
        path = self._find()
        images, labels = self._read_folder(path) if path.is_dir() else self._read_file(path)
        origin = self.labels or str(path)
        y, label_count = (None, None) if labels is None else class_numbers(labels, len(images), origin)
        rest, test = hold_out(Split(images.flatten(1), y), self.test_size, self.seed, "test")
        train, valid = hold_out(rest, self.valid_size, self.seed, "valid")
        return Corpus(train, valid, test, image_shape=tuple(images.shape[1:]), label_count=label_count)

    def _find(self) -> Path:
        places = self.places(self.given_path)
        for path in places:
            if path.exists():
                return path
        raise UserError(f"path={places[0]} does not exist, neither in {Path.cwd()} nor in {self.root}.")

    def _read_folder(self, folder: Path) -> tuple[Tensor, np.ndarray | None]:
        for name, value in (("key", self.key), ("shape", self.given_shape), ("maximum", self.maximum)):
            if value is not None:
                raise UserError(f"{name}= is for array files, and path={folder} is a folder. Leave it out.")
        images, names = read_image_folder(folder, self.size, self.colour)
        if self.labels is None:
            return images, None if names is None else np.array(names)
        if names is not None:
            raise UserError(f"{folder} has a sub-folder for each label, and labels={self.labels} is given too.")
        return images, read_labels(self.labels, {}, folder)

    def _read_file(self, path: Path) -> tuple[Tensor, np.ndarray | None]:
        arrays = read_arrays(path)
        labels = None if self.labels is None else read_labels(self.labels, arrays, path)
        candidates = {name: array for name, array in arrays.items() if name != self.labels}
        array = pick(candidates, self.key, path)
        array = self._in_colour(array, path) if self.colour else as_images(array, self.given_shape, path)
        images = as_bytes(array, self.maximum, path)
        return images if self.size is None else resize(images, self.size), labels

    def _in_colour(self, array: np.ndarray, path: Path) -> np.ndarray:
        found = channels_first(array, None, str(path)) if array.ndim == 4 else array
        if found.ndim != 4 or found.shape[1] != 3:
            raise UserError(
                f"The array in {path} has shape {array.shape}, and images in colour are [images, height, width, 3] or "
                "[images, 3, height, width]. Leave colour=True out for grey images."
            )
        return found


def _pair(name: str, values: Sequence[int] | None) -> tuple[int, int] | None:
    if values is None:
        return None
    pair = tuple(int(value) for value in values)
    if len(pair) != 2 or min(pair) < 1:
        raise UserError(f"{name}={list(values)} must be two whole numbers above 0: [height,width].")
    return pair
