"""Data set objects in memory: PyTorch's, tables such as Hugging Face's, data frames; each the data of its arrays."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset, IterableDataset, TensorDataset

from lid_vae.data import Array
from lid_vae.errors import UserError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 2)).astype(np.float32)
Y = RNG.integers(0, 3, 40)
RGB = RNG.integers(0, 256, (40, 4, 5, 3), dtype=np.uint8)


class Items(Dataset):
    """Of a list of examples."""

    def __init__(self, examples: list) -> None:
        self.examples = examples

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> Any:
        return self.examples[index]


class Stream(IterableDataset):
    """The same, without a length."""

    def __iter__(self) -> Iterator[Any]:
        yield from zip(X, Y, strict=True)


class Column:
    """What Hugging Face's datasets give for a column: a sequence, neither a list nor an array."""

    def __init__(self, values: list) -> None:
        self.values = values

    def __len__(self) -> int:
        return len(self.values)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.values)


class Table:
    """What this program uses of a Hugging Face data set: its columns' names, and a column by its name."""

    def __init__(self, **columns: list) -> None:
        self.columns = columns

    @property
    def column_names(self) -> list[str]:
        return list(self.columns)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def __getitem__(self, key: Any) -> Any:
        assert isinstance(key, str), "read by columns, which is quick, and not by examples"
        return Column(self.columns[key])


@pytest.mark.parametrize(
    "dataset",
    [
        TensorDataset(torch.from_numpy(X), torch.from_numpy(Y)),
        Items(list(zip(X, Y, strict=True))),
        Items([{"label": int(y), "x": x.tolist()} for x, y in zip(X, Y, strict=True)]),
        Stream(),
        Table(x=X.tolist(), label=Y.tolist()),
        Table(label=Y.tolist(), idx=list(range(40)), features=list(X)),
    ],
    ids=["TensorDataset", "tuples", "dictionaries", "iterable", "table", "table of arrays"],
)
def test_a_data_set_is_the_data_of_its_arrays(dataset: Any) -> None:
    assert Array.from_dataset(dataset, seed=3).checksum == Array(X, Y, seed=3).checksum


def test_without_labels() -> None:
    expected = Array(X).checksum
    for dataset in (TensorDataset(torch.from_numpy(X)), Items(list(torch.from_numpy(X))), Table(x=X.tolist())):
        assert Array.from_dataset(dataset).checksum == expected


def test_pictures_and_transformed_ones() -> None:
    pictures = [Image.fromarray(image) for image in RGB]
    assert Array.from_dataset(Table(image=pictures, label=Y.tolist())).checksum == Array(RGB, Y).checksum
    levels = Items([(torch.from_numpy(image).movedim(-1, 0) / 255, int(y)) for image, y in zip(RGB, Y, strict=True)])
    module = Array.from_dataset(levels, binarise="dynamic")
    assert (module.image_shape, module.features) == ((3, 4, 5), 60)
    assert module.checksum == Array(RGB, Y, binarise="dynamic").checksum


def test_named_columns() -> None:
    table = Table(height=X[:, 0].tolist(), kind=Y.tolist(), width=X[:, 1].tolist())
    assert Array.from_dataset(table, x=["height", "width"], y="kind").checksum == Array(X, Y).checksum
    assert Array.from_dataset(table, x=["height", "width"]).label_count is None


def test_parts_of_their_own() -> None:
    parts = {"train": X[:20], "validation": X[20:30], "test": X[30:]}
    expected = Array(parts["train"], valid=parts["validation"], test=parts["test"])
    assert [len(split) for split in (expected.train, expected.valid, expected.test)] == [20, 10, 10]
    tables = {name: Table(x=x.tolist()) for name, x in parts.items()}
    assert Array.from_dataset(tables).checksum == expected.checksum
    given = Array.from_dataset(tables["train"], valid=tables["validation"], test=Items(list(parts["test"])))
    assert given.checksum == expected.checksum
    assert len(Array.from_dataset({"train": tables["train"], "test": tables["test"]}).test) == 10


class Frame:
    """What this program uses of a pandas data frame."""

    def __init__(self, values: np.ndarray, columns: list[str]) -> None:
        self.values, self.columns = values, columns

    def __array__(self, dtype: object = None, copy: bool | None = None) -> np.ndarray:
        return self.values


def test_data_frames() -> None:
    words = np.array(["abc"[y] for y in Y], object)
    assert Array(Frame(X, ["height", "width"]), words).checksum == Array(X, Y).checksum
    gap = X.copy()
    gap[3, 1] = np.nan
    with pytest.raises(UserError, match=r"row 3, column 1 \(width\)"):
        Array(Frame(gap, ["height", "width"]))


def test_half_precision() -> None:
    x = torch.from_numpy(X).bfloat16()
    assert Array(x).checksum == Array(x.float().numpy()).checksum


@pytest.mark.parametrize(
    ("dataset", "options", "message"),
    [
        (Items([]), {}, "Items holds no examples"),
        (Items([np.zeros(2), np.zeros(3)]), {}, r"differ in size: \(2,\) and \(3,\). Give all one size"),
        (Table(a=[1.0] * 9, b=[1.0] * 9), {}, r"has a, b, and x is looked for under x, image, .* with x='...'"),
        (
            Table(height=[1.0] * 9),
            {"x": "heigth"},
            r"x='heigth' is not in this Table of columns. Did you mean",
        ),
        (Items([{"x": [1.0], "kind": 1}] * 9), {"y": "kidn"}, r"y='kidn' is not in .* Did you mean y='kind'"),
        (
            TensorDataset(torch.zeros(9, 2)),
            {"x": "x"},
            "and an example of TensorDataset has none",
        ),
        ({"training": Table(x=[[1.0]] * 9)}, {}, "holds training, and no train"),
        (Table(x=["a"] * 9), {}, r"x holds <U1, not real numbers"),
    ],
)
def test_data_sets_that_are_refused(dataset: Any, options: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Array.from_dataset(dataset, **options)
