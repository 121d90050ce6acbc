"""The training batches as a function of (seed, step), and the loaders that hand batches to Lightning."""

__all__ = [
    "Cut",
    "DrawsAhead",
    "Epochs",
    "Loader",
    "SharedLoader",
    "SharedStream",
    "SplitLoader",
    "Stream",
    "StreamLoader",
    "TakesSpans",
    "TrainStream",
    "share",
]

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, Protocol, runtime_checkable

import torch

from lid_vae.data.split import AnyExamples, Batch, Split
from lid_vae.errors import UserError
from lid_vae.noise import Counted, Rng, counted_on, generator
from lid_vae.shapes import Float, Int, Tensor
from lid_vae.system.processes import ProcessPlace

Prepare = Callable[..., Float[Tensor, "*seeds B D"]]
"""``prepare(x, *rngs)``: stored values, [B, D] or [N, B, D], as the model's input, by one ``Rng`` or one an x[i].

Numbers that are ``Counted`` are one, whose keys are the leading axes of x.
"""


@runtime_checkable
class Stream(Protocol):
    """Batches by their number; ``len`` is how many make an epoch."""

    def __len__(self) -> int: ...

    @abstractmethod
    def batch(self, step: int, draw: int = 0) -> Batch:
        """The batch of ``step``; ``draw`` > 0 gives further batches of that step, independent of it and each other.

        The further batches are for the inner loop of He et al. (2019).
        """


@runtime_checkable
class Loader(Protocol):
    """The batches of a split, as often as they are asked for."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Batch]: ...


@runtime_checkable
class DrawsAhead(Protocol):
    """A stream that gives x of T places, (step, draw), in one go."""

    def x_ahead(self, places: Sequence[tuple[int, int]]) -> Float[Tensor, "T *seeds B D"]: ...


@runtime_checkable
class Cut(Protocol):
    """How the steps of epochs are cut into spans; ``len`` is how many there are to an epoch."""

    def __len__(self) -> int: ...

    def end(self, step: int) -> int:
        """The first step after the span that ``step`` is in."""


@runtime_checkable
class TakesSpans(Protocol):
    """Who makes steps of a stream, perhaps several of each batch that a loader gives."""

    def cut(self, stream: Stream) -> Cut: ...


class Epochs(Stream, Generic[AnyExamples]):
    """An endless sequence of training batches in which batch ``step`` depends on nothing but the seed and ``step``.

    Each epoch of ``len(stream)`` steps leaves out less than a batch of rows, drawn at random.

    Args:
        split: where the batches are cut from; one smaller than a batch is one batch.
        batch_size: examples per batch.
        seed: the seed of the run.
    """

    def __init__(self, split: AnyExamples, batch_size: int, seed: int) -> None:
        assert len(split) > 0
        assert batch_size > 0
        self.split = split
        self.batch_size = min(batch_size, len(split))
        self.seed = seed
        self._epochs: dict[str, tuple[int, Tensor]] = {}

    def __len__(self) -> int:
        """Steps per epoch."""
        return len(self.split) // self.batch_size

    @abstractmethod
    def cut(self, rows: Int[Tensor, " rows"], rng: torch.Generator) -> Int[Tensor, "steps B"]:
        """The ``rows`` of an epoch, in random order, as batches; ``rng`` is for what remains to be drawn."""

    def batches(self, purpose: str, epoch: int) -> Int[Tensor, "steps B"]:
        """The rows of every batch of an ``epoch``, drawn on the CPU, so that the order is the same on every device.

        ``purpose`` is part of the key of the random numbers: orders for different purposes are independent.
        """
        if purpose not in self._epochs or self._epochs[purpose][0] != epoch:
            rng = generator(self.seed, purpose, epoch)
            rows = torch.randperm(len(self.split), generator=rng)[: len(self) * self.batch_size]
            self._epochs[purpose] = epoch, self.cut(rows, rng)
        return self._epochs[purpose][1]


class TrainStream(Epochs[Split]):
    """``Epochs`` of arrays.

    Args:
        split, batch_size, seed: those of ``Epochs``.
        prepare: turns stored values into the model's input; its generators live on the device of the split, so the
            pixels never leave it.
    """

    def __init__(self, split: Split, batch_size: int, seed: int, prepare: Prepare) -> None:
        super().__init__(split, batch_size, seed)
        self._prepare = prepare

    def batch(self, step: int, draw: int = 0) -> Batch:
        """Further batches are drawn with replacement from the whole split."""
        index = self._index(step, draw).to(self.split.device)
        rows = self.split.rows(index)
        return Batch(self._prepare(rows.x, self._rng(step, draw)), rows.y, index)

    @staticmethod
    def side_by_side(streams: Sequence["TrainStream"], step: int, draw: int = 0) -> Batch | None:
        """The batches of N ``streams`` as one, [N, B, ...], cut and drawn at once; None unless they are of one split.

        Every number is what the stream gives alone. What is started for each seed is one kernel, not seven.
        """
        first = streams[0]
        if any(one.split is not first.split or one.batch_size != first.batch_size for one in streams):
            return None
        index = torch.stack([one._index(step, draw) for one in streams]).to(first.split.device)
        rows = first.split.rows(index.view(-1))
        x = rows.x.view(*index.shape, -1)
        labels = None if rows.y is None else rows.y.view(index.shape)
        if counted_on(first.split.device):
            return Batch(first._prepare(x, TrainStream._counted(streams, [(step, draw)])[0]), labels, index)
        return Batch(first._prepare(x, *(one._rng(step, draw) for one in streams)), labels, index)

    def x_ahead(self, places: Sequence[tuple[int, int]]) -> Float[Tensor, "T B D"]:
        """x of T ``places``, (step, draw), in one go, where numbers are counted."""
        return TrainStream.ahead([self], places)[:, 0]

    @staticmethod
    def ahead(streams: Sequence["TrainStream"], places: Sequence[tuple[int, int]]) -> Float[Tensor, "T N B D"]:
        """x of T ``places``, (step, draw), in one go, of N ``streams`` of one split, where numbers are counted."""
        first = streams[0]
        rows = [torch.stack([one._index(*place) for place in places]) for one in streams]
        index = torch.stack(rows, 1).to(first.split.device)
        x = first.split.x[index.view(-1)].view(*index.shape, -1)
        return first._prepare(x, TrainStream._counted(streams, places))

    @staticmethod
    def _counted(streams: Sequence["TrainStream"], places: Sequence[tuple[int, int]]) -> Counted:
        return Counted.of([one.seed for one in streams], "binarise", places, streams[0].split.device)

    def _index(self, step: int, draw: int) -> Int[Tensor, " B"]:
        """The rows of a batch; of a further one not yet on the device."""
        if draw == 0:
            epoch, place = divmod(step, len(self))
            return self.batches("order", epoch)[place]
        rng = generator(self.seed, "draw", step, draw)
        return torch.randint(len(self.split), (self.batch_size,), generator=rng)

    def _rng(self, step: int, draw: int) -> Rng:
        if counted_on(self.split.device):
            return TrainStream._counted([self], [(step, draw)])[0][0]
        return generator(self.seed, "binarise", step, draw, device=self.split.device)

    def cut(self, rows: Int[Tensor, " rows"], rng: torch.Generator) -> Int[Tensor, "steps B"]:
        return rows.view(len(self), self.batch_size).to(self.split.device)


class StreamLoader:
    """Iterates over a stream one epoch at a time, and tells Lightning which step comes next.

    ``step`` is the first batch. Lightning stores ``state_dict()`` in its checkpoints and gives it back before it goes
    on, so that a run resumed in mid-epoch sees the batches of the uninterrupted run. The state is a step of the stream,
    not a place in an epoch: a pass yields ``len(loader)`` batches from wherever it stands, and Lightning, which counts,
    ends a resumed epoch.

    Where whoever takes the batches makes ``spans`` of steps of each, it is given that of the first, and the next is
    that of the step after the span.
    """

    def __init__(self, stream: Stream, step: int = 0, spans: Cut | None = None) -> None:
        self.stream = stream
        self.step = step
        self.spans = spans

    def __len__(self) -> int:
        return len(self.stream if self.spans is None else self.spans)

    def __iter__(self) -> Iterator[Batch]:
        for _ in range(len(self)):
            step = self.step
            # Before the yield: a checkpoint written during step n must say n + 1.
            self.step = step + 1 if self.spans is None else self.spans.end(step)
            yield self.stream.batch(step)

    def state_dict(self) -> dict[str, int]:
        return {"step": self.step}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Goes on at the step that ``state``, from ``state_dict()``, holds."""
        self.step = state["step"]


@runtime_checkable
class Sequences(Protocol):
    """Examples of various ``lengths``."""

    lengths: Int[Tensor, " N"]


class SplitLoader(Generic[AnyExamples]):
    """All rows of a split in its own order, ``batch_size`` at a time, the last batch as large as it comes.

    It can be iterated again.
    """

    def __init__(self, split: AnyExamples, batch_size: int) -> None:
        self.split = split
        self.batch_size = batch_size

    def __len__(self) -> int:
        return -(-len(self.split) // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        return map(self.split.batch, self.split.order().split(self.batch_size))

    def sizes(self) -> list[int]:
        """How much there is to each batch: its rows, and of sequences its symbols, padding counted."""
        pieces = self.split.order().split(self.batch_size)
        if isinstance(self.split, Sequences):
            return [len(rows) * int(self.split.lengths[rows].max()) for rows in pieces]
        return [len(rows) for rows in pieces]


class SharedStream:
    """One process's share of every batch of a ``stream``: of B rows the ``rank``-th B / ``size`` in a row.

    ``place`` holds ``rank`` and ``size``. Together the shares are the batches of a run in one process. Raises
    ``UserError`` for a B that cannot be divided.
    """

    def __init__(self, stream: Stream, place: ProcessPlace) -> None:
        self.stream, self.place = stream, place

    def __len__(self) -> int:
        return len(self.stream)

    def batch(self, step: int, draw: int = 0) -> Batch:
        """This process's rows of the batch that the stream gives for ``step`` and ``draw``."""
        batch = self.stream.batch(step, draw)
        rank, size = self.place
        rows = share(len(batch.x), size)
        own = slice(rank * rows, (rank + 1) * rows)
        return Batch(batch.x[own], None if batch.y is None else batch.y[own], batch.index[own])


def share(batch_size: int, devices: int) -> int:
    """How many of ``batch_size`` examples each of ``devices`` takes. Raises ``UserError`` where a rest would stay."""
    rows, rest = divmod(batch_size, devices)
    if rest:
        raise UserError(
            f"A batch of {batch_size} examples cannot be divided among {devices} devices. Use a batch_size "
            f"that is a multiple of {devices}, and not above the number of training examples."
        )
    return rows


class SharedLoader:
    """Of the batches of ``loader`` those of one process, every ``place.size``-th from number ``place.rank`` on."""

    def __init__(self, loader: Loader, place: ProcessPlace) -> None:
        self.loader, self.place = loader, place

    def __len__(self) -> int:
        return len(range(self.place.rank, len(self.loader), self.place.size))

    def __iter__(self) -> Iterator[Batch]:
        return self.place.take(self.loader)
