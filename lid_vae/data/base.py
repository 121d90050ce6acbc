"""The abstract data module: what the rest of the program asks of images, points and text alike."""

__all__ = ["DataModule", "Part"]

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Generic, Literal, get_args

import torch
from pytorch_lightning import LightningDataModule

from lid_vae.data.split import AnyExamples, Batch, Corpus, at_least_one, subsample
from lid_vae.data.stream import Loader, SharedLoader, SharedStream, SplitLoader, Stream, StreamLoader, TakesSpans
from lid_vae.shapes import Float, Tensor
from lid_vae.system.files import expanded
from lid_vae.system.processes import process_place, sharing

Part = Literal["train", "valid", "test"]
PARTS: tuple[Part, ...] = get_args(Part)


class DataModule(LightningDataModule, ABC, Generic[AnyExamples]):
    """Splits on one device, training batches by (seed, step), evaluation batches in a fixed order.

    A data set is a function, ``load``, that returns its splits, and may have a ``prepare_data`` that downloads them;
    all else is here, written once for all data sets. Of the options below a data set names only those whose defaults it
    changes, beside its own, and hands on the others as they come. ``seed`` is the data seed: splits, subsets and
    generated data come from it and from nothing else. ``train_seed`` is the seed of the run: the order of the batches,
    and what is drawn anew for each of them.

    Args:
        root: the folder of the data sets; None where none is needed.
        batch_size: examples per training batch.
        seed: the data seed.
        train_seed: the seed of the run.
        train_size: how many training examples to keep, drawn by the data seed; None for all.
        valid_size: how many validation examples there are to be; None for what the data set has by itself.
        eval_batch_size: examples per evaluation batch.

    Raises:
        UserError: for sizes that are not positive, or that the data cannot serve (in ``setup``).
    """

    name: str
    folder: str = ""
    """Where below ``root`` its files are; empty where in the folder of its name."""
    binary: bool = False
    """Whether every value that the model sees is 0 or 1."""

    def __init__(
        self,
        root: str | None = None,
        batch_size: int = 128,
        seed: int = 0,
        train_seed: int = 0,
        train_size: int | None = None,
        valid_size: int | None = None,
        eval_batch_size: int = 500,
    ) -> None:
        super().__init__()
        at_least_one(
            batch_size=batch_size, train_size=train_size, valid_size=valid_size, eval_batch_size=eval_batch_size
        )
        self.root = None if root is None else expanded(root)
        self.batch_size = batch_size
        self.seed = seed
        self.train_seed = train_seed
        self.train_size = train_size
        self.valid_size = valid_size
        self.eval_batch_size = eval_batch_size
        self._corpus: Corpus[AnyExamples] | None = None
        self._evaluated: dict[Part, AnyExamples] = {}
        self._streams: dict[int, Stream] = {}

    @abstractmethod
    def load(self) -> Corpus[AnyExamples]:
        """Reads or generates the three splits on the CPU, before ``train_size`` is applied."""

    @abstractmethod
    def evaluated(self, part: Part) -> AnyExamples:
        """The split ``part`` as it is evaluated, the same every time: where its pixels are drawn, one draw of them."""

    @abstractmethod
    def new_stream(self, seed: int) -> Stream:
        """The training batches of the run of this seed."""

    @property
    @abstractmethod
    def shape(self) -> list[int]:
        """Of one observation: [D], [height, width], [3, height, width], or for text [V], the symbols there are."""

    @abstractmethod
    def mean(self) -> Float[Tensor, " D"]:
        """The mean of an observation over the training split; of text the frequency of each symbol, [V]."""

    @property
    def path(self) -> Path:
        """The folder of the files of this data set."""
        assert self.root is not None
        return self.root / (self.folder or self.name)

    def places(self, given: str) -> tuple[Path, Path]:
        """Where a file that the user names ``given`` may be: in the working directory, then in ``root``."""
        name = expanded(given)
        return name, (self.root or Path()) / name

    def setup(self, stage: str | None = None) -> None:
        """Loads once, for all stages."""
        if self._corpus is None:
            corpus = self.load()
            self._corpus = replace(corpus, train=subsample(corpus.train, self.train_size, self.seed))

    @property
    def corpus(self) -> Corpus[AnyExamples]:
        """What ``setup`` loaded."""
        if self._corpus is None:
            raise RuntimeError(f"{type(self).__name__} holds nothing yet: call setup() first.")
        return self._corpus

    @property
    def train(self) -> AnyExamples:
        """The training split, as it is stored; ``valid`` and ``test`` likewise."""
        return self.corpus.train

    @property
    def valid(self) -> AnyExamples:
        return self.corpus.valid

    @property
    def test(self) -> AnyExamples:
        return self.corpus.test

    @property
    def image_shape(self) -> tuple[int, ...] | None:
        """(height, width) of a grey image, (3, height, width) of a colour one; None where the data are no images."""
        return self.corpus.image_shape

    @property
    def in_unit_interval(self) -> bool:
        """Whether every value is in [0, 1], which a Bernoulli likelihood needs."""
        return False

    @property
    def label_count(self) -> int | None:
        """The number of classes; None where there are no labels."""
        return self.corpus.label_count

    @cached_property
    def checksum(self) -> str:
        """SHA-256 over the symbols of text, and the stored values and labels in use: equal sums, equal data."""
        digest = hashlib.sha256("\n".join(self.corpus.symbols).encode())
        for part in PARTS:
            for array in self.corpus[part].arrays():
                digest.update(f"{part} {tuple(array.shape)} {array.dtype};".encode())
                digest.update(array.cpu().contiguous().numpy().data)
        return digest.hexdigest()

    def train_stream(self, seed: int) -> Stream:
        """The training batches of another run on the same data (``seed`` stands for ``train_seed``)."""
        if seed not in self._streams:
            self._streams[seed] = self.new_stream(seed)
        return self._streams[seed]

    def evaluation_loader(self, split: Part, batch_size: int | None = None) -> SplitLoader[AnyExamples]:
        """All of a ``split`` in a fixed order, the same every time, training split included.

        ``batch_size`` examples at a time; None for ``eval_batch_size``.
        """
        if split not in self._evaluated:
            self._evaluated[split] = self.evaluated(split)
        return SplitLoader(self._evaluated[split], batch_size or self.eval_batch_size)

    def to_device(self, device: torch.device | str) -> None:
        """Moves the splits to ``device``, where the batches are then made; streams made before stay where they are."""
        if self._corpus is not None:
            drawn = {part: split for part, split in self._evaluated.items() if split is not self._corpus[part]}
            self._evaluated = {part: split.to(device) for part, split in drawn.items()}
            self._corpus = replace(self._corpus, **{part: self._corpus[part].to(device) for part in PARTS})
        self._streams = {}

    def stream(self, seed: int | None = None) -> Stream:
        """The training batches of the run of this ``seed`` (None: ``train_seed``); of several processes each has its
        share of every batch.
        """
        stream = self.train_stream(self.train_seed if seed is None else seed)
        return stream if process_place().size == 1 else SharedStream(stream, process_place())

    def batches(self, split: Part, batch_size: int | None = None) -> Iterator[Batch]:
        """The batches of ``evaluation_loader(split, batch_size)``."""
        return iter(self.evaluation_loader(split, batch_size))

    def train_dataloader(self) -> StreamLoader:
        """The stream as Lightning takes it; resumes in mid-epoch from a checkpoint of the trainer.

        It begins at the ``step`` of a module that counts its own: from a checkpoint written at the end of an epoch,
        Lightning resumes with that epoch as the current one, and does not give the loader its state back.
        """
        self._follow_trainer()
        stream = self.stream()
        if self.trainer is None:
            return StreamLoader(stream)
        module = self.trainer.lightning_module
        step = getattr(module, "step", self.trainer.current_epoch * len(stream))
        return StreamLoader(stream, step, module.cut(stream) if isinstance(module, TakesSpans) else None)

    def val_dataloader(self) -> Loader:
        return self._shared("valid")

    def test_dataloader(self) -> Loader:
        return self._shared("test")

    def _shared(self, split: Part) -> Loader:
        """The batches that ``sharing`` gives to this process."""
        self._follow_trainer()
        loader = self.evaluation_loader(split)
        place = sharing(len(loader))
        return loader if place.size == 1 else SharedLoader(loader, place)

    def _follow_trainer(self) -> None:
        if self.trainer is not None:
            self.to_device(self.trainer.strategy.root_device)
