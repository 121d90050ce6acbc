"""The batches of several seeds side by side, each seed's as it would draw them alone."""

from collections.abc import Sequence

import pytorch_lightning as pl
import torch

from lid_vae.data.base import DataModule
from lid_vae.data.split import Batch
from lid_vae.data.stream import Loader, Stream, StreamLoader

__all__ = ["SeedData", "SeedStreams"]


class SeedStreams:
    """The training streams of N seeds as one stream: x of shape [N, B, D], labels and rows of shape [N, B]."""

    def __init__(self, streams: Sequence[Stream]) -> None:
        self.streams = streams

    def __len__(self) -> int:
        return len(self.streams[0])

    def batch(self, step: int, draw: int = 0) -> Batch:
        """Batch ``step`` of every seed; ``draw`` as in ``Stream``."""
        batches = [stream.batch(step, draw) for stream in self.streams]
        labels = [batch.y for batch in batches if batch.y is not None]
        return Batch(
            torch.stack([batch.x for batch in batches]),
            torch.stack(labels) if labels else None,
            torch.stack([batch.index for batch in batches]),
        )


class SeedData(pl.LightningDataModule):
    """``data`` for several seeds: a training stream for each, and one evaluation split for all."""

    def __init__(self, data: DataModule, seeds: list[int]) -> None:
        super().__init__()
        self.data, self.seeds = data, seeds

    def streams(self) -> SeedStreams:
        """The training batches of the seeds."""
        return SeedStreams([self.data.train_stream(seed) for seed in self.seeds])

    def train_dataloader(self) -> StreamLoader:
        self.data.trainer = self.trainer
        return StreamLoader(self.streams(), self.data.train_dataloader().step)

    def val_dataloader(self) -> Loader:
        self.data.trainer = self.trainer
        return self.data.val_dataloader()
