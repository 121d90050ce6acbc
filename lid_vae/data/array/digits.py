"""scikit-learn's 1,797 handwritten digits of 8 x 8 pixels, which need no download."""

__all__ = ["Digits"]

from typing import Any

import torch

from lid_vae.data.array.array_data_module import Corpus, PixelDataModule
from lid_vae.data.split import Split, at_least_one, hold_out


class Digits(PixelDataModule):
    """The test part of UCI's optical digits (Alpaydin and Kaynak 1998), as packed with scikit-learn.

    The 17 grey levels 0 to 16 become bytes by ``round(255 / 16 * level)``, halves to even: 0 stays 0, 16 becomes 255.
    Test and validation parts are drawn by the data seed; ``root`` is not used.

    Args:
        valid_size, test_size: how many images to hold out.
        options: those of ``PixelDataModule``.

    >>> data = Digits(batch_size=64)
    >>> data.setup()
    >>> len(data.train), data.image_shape, data.stream().batch(0).x.shape
    (1200, (8, 8), torch.Size([64, 64]))
    """

    name = "digits"

    def __init__(self, valid_size: int = 200, test_size: int = 397, **options: Any) -> None:
        super().__init__(valid_size=valid_size, **options)
        at_least_one(test_size=test_size)
        self.test_size = test_size

    def load(self) -> Corpus:
        from sklearn.datasets import load_digits  # here, because importing scikit-learn takes a second

        levels, labels = load_digits(return_X_y=True)
        x = torch.from_numpy(levels).mul(255 / 16).round().to(torch.uint8)
        rest, test = hold_out(Split(x, torch.from_numpy(labels).long()), self.test_size, self.seed, "test")
        train, valid = hold_out(rest, self.valid_size, self.seed, "valid")
        return Corpus(train, valid, test, image_shape=(8, 8), label_count=10)
