"""The pinwheel: noisy spiral arms in the plane, one class each (Johnson et al. 2016, arXiv:1603.06277)."""

__all__ = ["Pinwheel"]

from typing import Any

import torch

from lid_vae.data.array.array_data_module import ArrayDataModule, Corpus
from lid_vae.data.array.pinwheel_density import PinwheelLaw
from lid_vae.data.split import Split, at_least_one
from lid_vae.noise import generator


class Pinwheel(ArrayDataModule):
    """Five classes of 10,000 training points; validation and test points are draws of their own.

    All come from the data seed. Classes are of equal size (to within one point), and ``root`` is not used. Values are
    computed in float64 and rounded once, so that machines agree on them.

    Args:
        batch_size, eval_batch_size: points per training and per evaluation batch.
        valid_size, test_size: how many points to draw for validation and for the test.
        classes: the arms.
        per_class: training points of each arm.
        radial, tangential, rate, scale: those of ``PinwheelLaw``.
        options: the others of ``DataModule``.

    >>> data = Pinwheel(per_class=100, valid_size=50, test_size=50, batch_size=64)
    >>> data.setup()
    >>> batch = data.stream().batch(step=0)
    >>> batch.x.shape, batch.y.shape, round(data.expected_log_density(), 2)
    (torch.Size([64, 2]), torch.Size([64]), -1.63)
    """

    name = "pinwheel"

    def __init__(
        self,
        batch_size: int = 512,
        valid_size: int = 10_000,
        test_size: int = 10_000,
        eval_batch_size: int = 2_000,
        classes: int = 5,
        per_class: int = 10_000,
        radial: float = 0.3,
        tangential: float = 0.05,
        rate: float = 0.25,
        scale: float = 5.0,
        **options: Any,
    ) -> None:
        super().__init__(batch_size=batch_size, valid_size=valid_size, eval_batch_size=eval_batch_size, **options)
        at_least_one(test_size=test_size, classes=classes, per_class=per_class)
        self.sizes = {"train": classes * per_class, "valid": valid_size, "test": test_size}
        self.law = PinwheelLaw(classes, radial, tangential, rate, scale)

    def load(self) -> Corpus:
        train, valid, test = (self._draw(part, size) for part, size in self.sizes.items())
        return Corpus(train, valid, test, label_count=self.law.classes)

    def expected_log_density(self) -> float:
        """The best expected log-likelihood that any model can reach on these data, nats per point."""
        return self.law.expected_log_density()

    def _draw(self, part: str, size: int) -> Split:
        labels = torch.arange(size) % self.law.classes
        points = self.law.sample(labels, generator(self.seed, "pinwheel", part))
        return Split(points.float(), labels)
