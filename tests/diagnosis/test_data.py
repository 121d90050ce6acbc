"""Whatever holds data gives the same report."""

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from builders import normal
from torch.distributions import Normal
from torch.utils.data import DataLoader, Dataset, TensorDataset

from lid_vae.diagnosis import Report, diagnose

X = normal(90, 3)


def encode(x: torch.Tensor) -> Normal:
    return Normal(0.5 * x, torch.full_like(x, 0.8))


def measured(data: object, **options: object) -> Report:
    return diagnose(encode=encode, prior=Normal(0.0, 1.0), data=data, batch_size=40, **options)


class Named(Dataset):
    def __init__(self, key: str) -> None:
        self.key = key

    def __len__(self) -> int:
        return len(X)

    def __getitem__(self, index: int) -> dict[str, object]:
        return {"label": 3, self.key: X[index]}


class Module(pl.LightningDataModule):
    def setup(self, stage: str | None = None) -> None:
        self.x = X

    def test_dataloader(self) -> DataLoader:
        return DataLoader(TensorDataset(self.x), batch_size=40)

    def val_dataloader(self) -> list[DataLoader]:
        return [DataLoader(TensorDataset(self.x[:50]), batch_size=40)]


SOURCES = {
    "array": lambda: X.numpy(),
    "dataset": lambda: TensorDataset(X, torch.zeros(90)),
    "loader of tuples": lambda: DataLoader(TensorDataset(X, torch.zeros(90)), batch_size=40),
    "loader of tensors": lambda: DataLoader(list(X), batch_size=40),
    "loader of dictionaries": lambda: DataLoader(Named("image"), batch_size=40),
    "list of batches": lambda: list(X.split(40)),
    "module": Module,
}


@pytest.mark.parametrize("source", SOURCES)
def test_every_source_gives_the_same(source: str) -> None:
    # NumPy's double precision is taken as PyTorch's default
    expected = measured(X.float() if source == "array" else X)
    assert measured(SOURCES[source]()).rows() == expected.rows()


def test_a_split_of_a_module() -> None:
    assert measured(Module(), split="val").examples == 50


def test_a_dictionary_with_one_tensor_needs_no_name() -> None:
    class Odd(Named):
        def __getitem__(self, index: int) -> dict[str, object]:
            return {"pressure": X[index], "name": "a"}

    assert measured(DataLoader(Odd("pressure"), batch_size=40)).examples == 90


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (X[:0], "hold no examples"),
        (np.zeros((0, 3)), "hold no examples"),
        ([], "hold no examples"),
        (torch.tensor(1.0), "single number"),
        (torch.cat([X[:50], X[:1] * torch.nan]), "Batch 1 of the data holds NaN"),
        (np.array([[1.0, np.inf, 0.0]]), "NaN or infinite"),
        (np.array([{}]), "objects, no numbers"),
        ("x.npy", "Data of type str"),
        ({"x": X}, "Data of type dict"),
        (["a", "b"], "A batch is a str"),
        (DataLoader(Named("pressure"), batch_size=40), "under x, image"),
    ],
)
def test_data_are_refused(data: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        measured(data)


def test_modules_without_the_split_are_refused() -> None:
    with pytest.raises(ValueError, match="has no train_dataloader"):
        measured(Module(), split="train")
    with pytest.raises(ValueError, match="split='all' is none of"):
        measured(Module(), split="all")
