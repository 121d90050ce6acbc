"""Batches of sentences of about equal length: training batches by (seed, step), evaluation batches in a fixed order."""

__all__ = ["SortedLoader", "TokenStream"]

from collections.abc import Iterator

import torch

from lid_vae.data.split import Batch
from lid_vae.data.token_split import TokenSplit
from lid_vae.noise import generator
from lid_vae.shapes import Int, Tensor


class TokenStream:
    """An endless sequence of training batches in which batch ``step`` depends on nothing but the seed and ``step``.

    Each epoch of ``len(stream)`` steps leaves out less than a batch of sentences, drawn at random; the others are put
    in a fresh order, sorted by length (those of equal length stay in that order), cut into batches, and the batches
    shuffled. So a batch is sentences of about one length, chosen anew in each epoch, and padding is the least that
    whole batches allow. A split smaller than a batch is one batch.
    """

    def __init__(self, split: TokenSplit, batch_size: int, seed: int) -> None:
        assert len(split) > 0
        assert batch_size > 0
        self.split = split
        self.batch_size = min(batch_size, len(split))
        self.seed = seed
        self._epochs: dict[str, tuple[int, Tensor]] = {}

    def __len__(self) -> int:
        """Steps per epoch."""
        return len(self.split) // self.batch_size

    def batch(self, step: int, draw: int = 0) -> Batch:
        """The batch of ``step``; ``draw`` > 0 gives further batches of that step, independent of it.

        The further batches are drawn with replacement from those of an epoch of their own, as in the code of He et al.
        (2019): sentences drawn one by one would be of all lengths, and a third of such a batch padding.
        """
        epoch, place = divmod(step, len(self))
        if draw == 0:
            return self.split.batch(self._batches("order", epoch)[place])
        chosen = torch.randint(len(self), (), generator=generator(self.seed, "draw", step, draw))
        return self.split.batch(self._batches("draws", epoch)[chosen])

    def _batches(self, purpose: str, epoch: int) -> Int[Tensor, "steps B"]:
        """The rows of every batch of an epoch, on the CPU, so that the order is the same on every device."""
        found, batches = self._epochs.get(purpose, (-1, torch.empty(0)))
        if found != epoch:
            rng = generator(self.seed, purpose, epoch)
            rows = torch.randperm(len(self.split), generator=rng)[: len(self) * self.batch_size]
            rows = rows[self.split.lengths[rows].argsort(stable=True)]
            batches = rows.view(len(self), self.batch_size)[torch.randperm(len(self), generator=rng)]
            self._epochs[purpose] = epoch, batches
        return batches


class SortedLoader:
    """All sentences of a split from the shortest to the longest; ``index`` of a batch tells which they are."""

    def __init__(self, split: TokenSplit, batch_size: int) -> None:
        self.split = split
        self.batch_size = batch_size

    def __len__(self) -> int:
        return -(-len(self.split) // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        for index in self.split.lengths.argsort(stable=True).split(self.batch_size):
            yield self.split.batch(index)
