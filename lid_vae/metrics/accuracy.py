"""How well the categories of z match labels that training never saw."""

from typing import Any

import torch
from scipy.optimize import linear_sum_assignment

from lid_vae.metrics.plotted import PlottedMetric
from lid_vae.shapes import Float, Int, Tensor

__all__ = ["ClusterAccuracy"]


class ClusterAccuracy(PlottedMetric):
    """Accuracy of argmax q(z | x) as a guess of the label: ``compute`` and ``majority``, in [0, 1].

    ``compute`` is under the best one-to-one matching of ``categories`` to ``labels`` (their numbers; Hungarian
    algorithm), ``majority`` with every category given its most frequent label.

    >>> accuracy = ClusterAccuracy(categories=2, labels=2)
    >>> accuracy.update(torch.tensor([0, 0, 1, 1]), torch.tensor([1, 1, 0, 1]))
    >>> float(accuracy.compute())
    0.75
    """

    full_state_update = False
    higher_is_better = True
    table: Tensor

    def __init__(self, categories: int, labels: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("table", torch.zeros(categories, labels, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, category: Int[Tensor, " B"], label: Int[Tensor, " B"]) -> None:
        """Predicted ``category`` and true ``label`` of each example."""
        categories, labels = self.table.shape
        counts = torch.bincount(category * labels + label, minlength=categories * labels)
        self.table += counts.view(categories, labels)

    def compute(self) -> Float[Tensor, ""]:
        table = self.table.cpu()
        rows, columns = linear_sum_assignment(table.numpy(), maximize=True)
        return table[rows, columns].sum() / table.sum()

    def majority(self) -> Float[Tensor, ""]:
        """Every category votes for its most frequent label."""
        return self.table.max(1).values.sum() / self.table.sum()
