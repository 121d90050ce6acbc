"""scikit-learn's digits, by their own numbers."""

import torch
from sklearn.datasets import load_digits

from lid_vae.data import Digits


def test_the_three_parts_are_the_1797_images() -> None:
    module = Digits()
    module.setup()
    parts = (module.train, module.valid, module.test)
    assert [len(part) for part in parts] == [1200, 200, 397]
    levels, labels = load_digits(return_X_y=True)
    back = torch.cat([part.x for part in parts]).double().div(255 / 16).round().long()
    found = torch.cat([back, torch.cat([part.y for part in parts])[:, None]], 1).tolist()
    assert sorted(found) == sorted([*map(int, row), int(label)] for row, label in zip(levels, labels, strict=True))


def test_the_17_levels_are_rounded_with_halves_to_even() -> None:
    module = Digits()
    module.setup()
    expected = [0, 16, 32, 48, 64, 80, 96, 112, 128, 143, 159, 175, 191, 207, 223, 239, 255]
    assert torch.cat([module.train.x, module.test.x]).unique().tolist() == expected
