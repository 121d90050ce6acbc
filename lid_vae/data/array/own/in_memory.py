"""Own data from Python: arrays, tensors and data set objects, in memory, with the splits of the program."""

__all__ = ["Array"]

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

from lid_vae.data.array.own.datasets import as_array, read_dataset
from lid_vae.data.array.own.own_array import OwnArray
from lid_vae.data.array.own.real_array import Given
from lid_vae.data.base import Part
from lid_vae.errors import UserError

_VALID = ("validation", "valid", "val")


class Array(OwnArray):
    """A data module of what is in memory; it is ready when it is made, and its splits are those of ``data=array``.

    Args:
        x: a NumPy array, a tensor, a data frame or nested lists: vectors [N, D], or images [N, H, W], [N, H, W, 3] or
            [N, 3, H, W], whole numbers from 0 to 255 or floating point.
        y: a label for each example, whole numbers or words; None for none.
        valid, test: what becomes of the validation and the test part: a share below 1 of the examples that are left
            (the test part is held out first) or a number of examples, drawn by the data seed; or a part of its own, x
            or (x, y). ``valid=None`` is a tenth, and ``test=None`` leaves the test part out: the validation part stands
            for it.
        batch_size: examples per training batch.
        seed: the data seed.
        standardise, channels, binarise: those of ``OwnArray``.
        name: what results and pictures call the data.
        options: the others of ``DataModule``.

    Raises:
        UserError: for arrays that are not as said here.

    >>> import numpy as np
    >>> data = Array(np.random.default_rng(0).normal(5.0, 2.0, (100, 3)), np.arange(100) % 2)
    >>> len(data.train), len(data.valid), len(data.test), data.shape, data.label_count
    (81, 9, 10, [3], 2)
    >>> abs(float(data.mean().sum())) < 1e-5  # standardised
    True
    """

    name = "array"

    def __init__(
        self,
        x: Any,
        y: Any = None,
        *,
        valid: Any = 0.1,
        test: Any = 0.1,
        batch_size: int = 128,
        seed: int = 0,
        standardise: bool | None = None,
        channels: str | None = None,
        binarise: str | None = None,
        name: str = "array",
        **options: Any,
    ) -> None:
        super().__init__(standardise, channels, binarise, batch_size=batch_size, seed=seed, **options)
        self.name = name
        self._given: dict[Part, Given] = {"train": _given(x, y, "x")}
        self._sizes: dict[Part, float] = {}
        parts: dict[Part, Any] = {"valid": valid, "test": test}
        if test is None:
            del parts["test"]
            self.held_out = ("valid",)
        for part, held in parts.items():
            if held is None:
                continue
            if isinstance(held, Real):
                size = float(held)
                if not (size >= 1 and size.is_integer()) and not 0 < size < 1:
                    raise UserError(f"{part}={held} must be a share between 0 and 1, or a number of examples.")
                self._sizes[part] = size
            else:
                own_x, own_y = held if isinstance(held, tuple) and len(held) == 2 else (held, None)
                self._given[part] = _given(own_x, own_y, part)
        self.setup()

    @classmethod
    def from_dataset(
        cls,
        dataset: Any,
        *,
        x: str | Sequence[str] | None = None,
        y: str | None = None,
        valid: Any = 0.1,
        test: Any = 0.1,
        **options: Any,
    ) -> "Array":
        """The examples of a PyTorch ``Dataset`` or of one of Hugging Face's, all read into memory.

        Args:
            dataset: its examples are x, tuples (x, label) or dictionaries; a table with ``column_names``; or, of
                Hugging Face, the dictionary of such, whose "validation" and "test" are the parts of these names.
            x: the column or key of x, or several columns of numbers; None for a usual one, such as x or image.
            y: that of the labels; None for a usual one, such as y or label.
            valid, test: those of ``Array``, or data sets of their own.
            options: the others of ``Array``.

        Raises:
            UserError: where x is not found, and for arrays that ``Array`` refuses.

        >>> from torch.utils.data import TensorDataset
        >>> x, y = torch.rand(50, 2), torch.arange(50) % 5
        >>> Array.from_dataset(TensorDataset(x, y)).checksum == Array(x, y).checksum
        True
        """
        parts: dict[str, Any] = {"train": dataset, "valid": valid, "test": test}
        if isinstance(dataset, Mapping):
            if "train" not in dataset:
                raise UserError(
                    f"The dictionary holds {', '.join(map(str, dataset)) or 'nothing'}, and no train. Give one of its "
                    "data sets, or name the training part train."
                )
            parts["train"] = dataset["train"]
            parts["valid"] = next((dataset[name] for name in _VALID if name in dataset), valid)
            parts["test"] = dataset.get("test", test)
        own_x, own_y = read_dataset(parts["train"], x, y)
        valid, test = (
            held if held is None or isinstance(held, Real) else read_dataset(held, x, y)
            for held in (parts["valid"], parts["test"])
        )
        return cls(own_x, own_y, valid=valid, test=test, **options)

    def given(self) -> Mapping[Part, Given]:
        return self._given

    def size(self, part: Part, count: int) -> int | None:
        held = self._sizes.get(part)
        if held is None:
            return None
        # a share that is a whole number but for rounding is that
        return int(held) if held >= 1 else max(1, int(held * count + 1e-9))


def _given(x: Any, y: Any, origin: str) -> Given:
    array = as_array(x, origin)
    columns = [str(name) for name in getattr(x, "columns", ())] if array.ndim == 2 else []
    return Given(array, None if y is None else as_array(y, f"y of {origin}"), origin, columns)
