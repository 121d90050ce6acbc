"""A user's own vectors or images from a file: .npy, .npz, .mat, .csv or .tsv."""

__all__ = ["ArrayFile"]

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lid_vae.data.array.array_data_module import Corpus
from lid_vae.data.array.own.image_array import read_arrays, read_labels
from lid_vae.data.array.own.own_array import OwnArray
from lid_vae.data.array.own.real_array import Given
from lid_vae.data.array.own.table import Column, read_table
from lid_vae.data.base import Part
from lid_vae.data.split import at_least_one
from lid_vae.errors import UserError

_TABLES = (".csv", ".tsv")
_NAMED = (".npz", ".mat")
_ENDINGS = (".npy", *_NAMED, *_TABLES)
# What a file that holds the parts of a data set calls them.
_SUFFIXES: dict[Part, tuple[str, ...]] = {"train": ("train",), "valid": ("valid", "val"), "test": ("test",)}


class ArrayFile(OwnArray):
    """``data=array``: the arrays that ``Array`` takes, from files. A relative path is looked for in the working
    directory, then in ``root``.

    An .npz or .mat file holds x, and y where there are labels; or x_train, with x_valid (or x_val) and x_test where
    they are, and y_train and so on. In a .csv or .tsv each line is an example.

    Args:
        path: the file; where ``valid`` and ``test`` are given, that of the training part.
        valid, test: files for these parts; None for a part that is held out of ``path`` by the data seed.
        key: the array of an .npz or .mat file that is x; None for the names above, or the only array.
        label_key: the array in it that holds the labels; None for y, where it has one.
        labels: the column of a .csv that holds the labels, by name or number (from 0, negative from the end); of an
            array file a file with a label for each example (.npy or .txt). None for no labels.
        columns: the columns of a .csv that are x, by names or numbers; None for all but the labels.
        standardise, channels, binarise: those of ``OwnArray``.
        valid_size, test_size: how many examples to hold out; None for a tenth.
        options: the others of ``DataModule``.

    Raises:
        UserError: in ``setup``, for files and arrays that are not as said here.

    >>> _ = Path("own.csv").write_text("width,height,kind\\n" + "1.5,2.0,a\\n0.5,3.0,b\\n" * 20)
    >>> data = ArrayFile("own.csv", labels="kind", standardise=False)
    >>> data.setup()
    >>> len(data.train), len(data.valid), len(data.test), data.shape, data.label_count
    (33, 3, 4, [2], 2)
    """

    name = "array"

    def __init__(
        self,
        path: str,
        valid: str | None = None,
        test: str | None = None,
        key: str | None = None,
        label_key: str | None = None,
        labels: Column | None = None,
        columns: Sequence[Column] | None = None,
        standardise: bool | None = None,
        channels: str | None = None,
        binarise: str | None = None,
        test_size: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(standardise, channels, binarise, **options)
        at_least_one(test_size=test_size)
        self.files: dict[Part, str | None] = {"train": path, "valid": valid, "test": test}
        self.key = key
        self.label_key = label_key
        self.labels = labels
        self.columns = None if columns is None else list(columns)
        self.test_size = test_size

    def load(self) -> Corpus:
        corpus = super().load()
        if self.standardisation is not None:
            print(
                f"{self.files['train']}: each column has mean 0 and standard deviation 1 over the {len(corpus.train):,}"
                f" training examples; {self.standardisation.log_det_jacobian:+.3f} nats turn a log-likelihood into that"
                " in the file's own units (data.standardise=false: as they are)",
                flush=True,
            )
        return corpus

    def size(self, part: Part, count: int) -> int | None:
        return self.test_size if part == "test" else self.valid_size

    def given(self) -> Mapping[Part, Given]:
        parts = {part: self._read(part, str(file)) for part, file in self.files.items() if file is not None}
        found: dict[Part, Given] = {"train": parts["train"]["train"]}
        for part in ("valid", "test"):
            inside, beside = parts["train"].get(part), parts.get(part, {}).get("train")
            if inside is not None and beside is not None:
                raise UserError(
                    f"{inside.origin} is a {part} part, and {part}={self.files[part]} is another. Leave that out, or "
                    "choose one array with key=<name>."
                )
            if (one := inside or beside) is not None:
                found[part] = one
        for part, size in (("valid", self.valid_size), ("test", self.test_size)):
            if part in found and size is not None:
                raise UserError(
                    f"{part}_size={size} is for a {part} part that is held out, and {found[part].origin} is one. Leave "
                    f"{part}_size out."
                )
        return found

    def _read(self, part: Part, file: str) -> dict[Part, Given]:
        """What a file holds: as its training part what belongs to ``part``, and further parts under their names."""
        path = self._find("path" if part == "train" else part, file)
        suffix = path.suffix.lower()
        refused = {
            "key": (self.key, _NAMED),
            "label_key": (self.label_key, _NAMED),
            "columns": (self.columns, _TABLES),
        }
        for option, (value, endings) in refused.items():
            if value is not None and suffix not in endings:
                raise UserError(
                    f"{option}={value} is for {' and '.join(endings)} files, and {path} is none. Leave it out."
                )
        if suffix in _TABLES:
            return {"train": read_table(path, self.columns, self.labels)}
        arrays = read_arrays(path)
        found: dict[Part, Given] = {"train": Given(next(iter(arrays.values())), None, str(path))}
        if suffix in _NAMED:
            found = self._named(arrays, path)
        if self.labels is None:
            return found
        if found["train"].y is not None and self.label_key is not None:
            raise UserError(
                f"labels={self.labels} and label_key={self.label_key} are both given. Leave one of them out."
            )
        if len(found) > 1 or any(self.files[other] for other in ("valid", "test")):
            raise UserError(
                f"labels={self.labels} are those of one file, and the parts are in several. Put the labels of each "
                "part beside it, as y in an .npz file."
            )
        y = read_labels(str(self.labels), {}, path)
        return {"train": Given(found["train"].x, y, str(path))}

    def _named(self, arrays: dict[str, np.ndarray], path: Path) -> dict[Part, Given]:
        """The parts that an .npz or .mat file holds."""
        if self.key is None and "x" not in arrays:
            names = {part: [f"_{end}" for end in ends if f"x_{end}" in arrays] for part, ends in _SUFFIXES.items()}
            parts = {part: found[0] for part, found in names.items() if found}
            if "train" in parts:
                return {part: self._pair(arrays, f"x{end}", f"y{end}", path) for part, end in parts.items()}
        key = self.key or ("x" if "x" in arrays else self._only(arrays, path))
        return {"train": self._pair(arrays, key, "y", path)}

    def _pair(self, arrays: dict[str, np.ndarray], key: str, label_key: str, path: Path) -> Given:
        for option, name in (("key", key), ("label_key", self.label_key)):
            if name is not None and name not in arrays:
                near = difflib.get_close_matches(name, arrays, n=1)
                hint = f" Did you mean {option}={near[0]}?" if near else ""
                raise UserError(f"{path} holds no array {option}={name}.{hint} It holds {_told(arrays)}.")
        y = arrays.get(self.label_key or label_key) if key != (self.label_key or label_key) else None
        return Given(arrays[key], y, f"{key} in {path}")

    def _only(self, arrays: dict[str, np.ndarray], path: Path) -> str:
        names = [name for name in arrays if name not in ("y", self.label_key)]
        if len(names) != 1:
            raise UserError(f"{path} holds {_told(arrays)}, and none is called x. Say which one is, with key=<name>.")
        return names[0]

    def _find(self, option: str, given: str) -> Path:
        places = self.places(given)
        path = next((place for place in places if place.exists()), None)
        if path is None:
            beside = [other.name for other in places[0].parent.glob("*") if other.suffix.lower() in _ENDINGS]
            near = difflib.get_close_matches(places[0].name, beside, n=1)
            hint = f" Did you mean {places[0].with_name(near[0])}?" if near else ""
            raise UserError(f"{option}={given} does not exist, neither in {Path.cwd()} nor in {self.root}.{hint}")
        if path.is_dir():
            raise UserError(f"{option}={given} is a folder. Give a file; a folder of pictures is data=images.")
        if path.suffix.lower() not in _ENDINGS:
            raise UserError(f"{path} ends in none of {', '.join(_ENDINGS)}. Save it as one of these.")
        return path


def _told(arrays: dict[str, np.ndarray]) -> str:
    return ", ".join(f"{name} {array.shape}" for name, array in arrays.items()) or "nothing"
