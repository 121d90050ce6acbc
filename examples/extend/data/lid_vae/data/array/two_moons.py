"""Two moons: two half circles in the plane that reach into one another, a class each."""

__all__ = ["TwoMoons"]

from typing import Any

import torch

from lid_vae.data.array.array_data_module import ArrayDataModule, Corpus
from lid_vae.data.split import Split, at_least_one
from lid_vae.errors import UserError
from lid_vae.noise import derive_seed


class TwoMoons(ArrayDataModule):
    """scikit-learn's ``make_moons`` (Pedregosa et al. 2011): half circles of radius 1, and Gaussian noise around them.

    All three splits come from the data seed, each by draws of its own; ``root`` is not used.

    Args:
        batch_size, eval_batch_size: points per training and per evaluation batch.
        valid_size, test_size: how many points to draw for validation and for the test.
        per_class: training points of each moon.
        spread: the standard deviation of the noise, in radii.
        options: the others of ``DataModule``.

    Raises:
        UserError: for sizes below 1, or a negative ``spread``.
    """

    name = "two_moons"

    def __init__(
        self,
        batch_size: int = 512,
        valid_size: int = 2_000,
        test_size: int = 2_000,
        eval_batch_size: int = 2_000,
        per_class: int = 5_000,
        spread: float = 0.1,
        **options: Any,
    ) -> None:
        super().__init__(batch_size=batch_size, valid_size=valid_size, eval_batch_size=eval_batch_size, **options)
        at_least_one(test_size=test_size, per_class=per_class)
        if spread < 0:
            raise UserError(f"data.spread={spread} is a standard deviation and must be at least 0.")
        self.sizes = {"train": 2 * per_class, "valid": valid_size, "test": test_size}
        self.spread = spread

    def load(self) -> Corpus:
        train, valid, test = (self._draw(part, size) for part, size in self.sizes.items())
        return Corpus(train, valid, test, label_count=2)

    def _draw(self, part: str, size: int) -> Split:
        from sklearn.datasets import make_moons  # here, because importing scikit-learn takes a second

        seed = derive_seed(self.seed, self.name, part) % 2**32  # as many bits as NumPy takes
        points, labels = make_moons(size, noise=self.spread, random_state=seed)
        return Split(torch.from_numpy(points).float(), torch.from_numpy(labels).long())
