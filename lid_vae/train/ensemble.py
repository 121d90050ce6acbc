"""The members of a run, as Lightning trains them: their batches side by side, their checkpoints their own."""

from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from torch import nn

from lid_vae.data.base import DataModule
from lid_vae.data.split import Batch
from lid_vae.data.stream import Loader, Stream, StreamLoader, TrainStream
from lid_vae.seed_range import seed_text
from lid_vae.shapes import Float, Tensor
from lid_vae.train.member import Member
from lid_vae.train.step.spans import Spans
from lid_vae.train.training import Training

__all__ = ["Ensemble", "MemberData", "MemberStreams"]


class Ensemble(Training):
    """Trains ``members`` on ``data``. ``seed`` names theirs, as in ``0-9``."""

    def __init__(self, members: Sequence[Member], data: DataModule) -> None:
        super().__init__()
        self._members, self._data = list(members), data
        # Lightning moves them to its device and precision, and finds their parameters here.
        self.models = nn.ModuleList(member.module for member in members)
        self.step = members[0].module.step
        self.seed = seed_text([member.module.seed for member in members])
        self.in_spans = True

    @property
    def members(self) -> list[Member]:
        return self._members

    @property
    def data(self) -> DataModule:
        return self._data

    def extra_batch(self, draw: int) -> Tensor:
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        assert isinstance(data, MemberData)
        return data.stream().batch(self.step, draw).x

    def spans_now(self) -> Spans:
        """What Lightning is to see as batches, before it has asked for them."""
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        assert isinstance(data, MemberData)
        return self.cut(data.stream())

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """What a callback of Lightning's writes of a run of one seed is that member's checkpoint."""
        if len(self.members) == 1:
            checkpoint |= self.checkpoint(0)


class MemberStreams:
    """The training streams of N members as one stream: x of shape [N, B, D], labels and rows of shape [N, B]."""

    def __init__(self, streams: Sequence[Stream]) -> None:
        self.streams = streams

    def __len__(self) -> int:
        return len(self.streams[0])

    def batch(self, step: int, draw: int = 0) -> Batch:
        """Batch ``step`` of every member; ``draw`` as in ``Stream``."""
        arrays = [stream for stream in self.streams if isinstance(stream, TrainStream)]
        together = TrainStream.side_by_side(arrays, step, draw) if len(arrays) == len(self.streams) else None
        if together is not None:
            return together
        batches = [stream.batch(step, draw) for stream in self.streams]
        labels = [batch.y for batch in batches if batch.y is not None]
        return Batch(
            torch.stack([batch.x for batch in batches]),
            torch.stack(labels) if labels else None,
            torch.stack([batch.index for batch in batches]),
        )


class MemberArrays(MemberStreams):
    """``MemberStreams`` of arrays, of one split."""

    def __init__(self, streams: Sequence[TrainStream]) -> None:
        super().__init__(streams)
        self.arrays = list(streams)

    def x_ahead(self, places: Sequence[tuple[int, int]]) -> Float[Tensor, "T N B D"]:
        """As that of a ``TrainStream``, of every member."""
        return TrainStream.ahead(self.arrays, places)


class MemberData(pl.LightningDataModule):
    """``data`` for the members of these ``seeds``: a training stream for each, and one evaluation split for all."""

    def __init__(self, data: DataModule, seeds: Sequence[int]) -> None:
        super().__init__()
        self.data, self.seeds = data, list(seeds)

    def stream(self) -> Stream:
        """The training batches: of one member as they are, of several side by side."""
        streams = [self.data.stream(seed) for seed in self.seeds]
        if len(streams) == 1:
            return streams[0]
        arrays = [stream for stream in streams if isinstance(stream, TrainStream)]
        return MemberArrays(arrays) if len(arrays) == len(streams) else MemberStreams(streams)

    def train_dataloader(self) -> StreamLoader:
        assert self.trainer is not None
        self.data.to_device(self.trainer.strategy.root_device)
        training = self.trainer.lightning_module
        assert isinstance(training, Ensemble)
        stream = self.stream()
        return StreamLoader(stream, training.step, training.cut(stream))

    def val_dataloader(self) -> Loader:
        self.data.trainer = self.trainer
        return self.data.val_dataloader()
