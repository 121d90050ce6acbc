"""The abstract data module of text: sentences of words as token ids."""

__all__ = ["TextCorpus", "TextDataModule", "TextOptions"]

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, TypedDict

import torch

from lid_vae.data.base import DataModule, Part
from lid_vae.data.split import at_least_one, subsample
from lid_vae.data.text_file import LineRules, Sentences, class_numbers
from lid_vae.data.token_split import TokenSplit
from lid_vae.data.token_stream import SortedLoader, TokenStream
from lid_vae.data.vocabulary import EOS, UNKNOWN, Vocabulary, choose_words, make_vocabulary
from lid_vae.data.word_list import read_words
from lid_vae.errors import UserError
from lid_vae.shapes import Float, Tensor

# The share of unknown words from which a given vocabulary is refused.
MOST_UNKNOWN = 0.5


@dataclass(frozen=True)
class TextCorpus:
    """What a text data module loads: three splits, and the words to choose from where a published list names them."""

    train: Sentences
    valid: Sentences
    test: Sentences
    words: Sequence[str] | None = None


class TextOptions(TypedDict, total=False):
    """What a data module of text hands on to ``TextDataModule``, which says what each means and is by default."""

    batch_size: int
    seed: int
    train_seed: int
    train_size: int | None
    valid_size: int | None
    test_size: int | None
    eval_batch_size: int
    max_length: int | None
    long: str
    empty: str
    vocabulary: str
    vocabulary_file: str | None
    vocabulary_size: int | None


class TextDataModule(DataModule, ABC):
    """A ``DataModule`` of sentences.

    A batch's ``x`` is int64 [B, T]: ids from 1 (``<unk>``) to V (``<eos>``, the last of every sentence), then 0 to the
    length T of the longest sentence of the batch. The vocabulary comes from all training sentences, whatever
    ``train_size``, so that likelihoods of different sizes compare. Arguments beside those of ``DataModule``:

    Args:
        train_size, valid_size, test_size: how many sentences to keep of each split, drawn by the data seed; None for
            all.
        max_length: the most words of a sentence; None for no bound.
        long: what becomes of longer ones: "truncate" or "drop".
        empty: lines without words: "refuse" the file, or "drop" them.
        vocabulary: the library that numbers words, "tokenizers" or "torchtext".
        vocabulary_file: the words to know, in their order: a file of a word a line, or a checkpoint, whose ids the
            words then have; None for those of the training sentences. A relative path is looked for in the working
            directory, then in ``root``.
        vocabulary_size: how many words to know beside ``<unk>`` and ``<eos>``, the most frequent (of a
            ``vocabulary_file`` the first); None for all.
        minimum_count: words that occur less often in training become ``<unk>``; not used where a list is published or
            given.

    Raises:
        UserError: for options out of range; in ``setup``, for a split of one sentence, and for a ``vocabulary_file``
            to which most words of the training sentences are unknown.
    """

    unknown: ClassVar[str] = "<unk>"
    """How the files spell ``<unk>``."""
    labelled: ClassVar[bool] = False
    """Whether each line is ``label<TAB>sentence``."""
    vocabulary_advice: ClassVar[str] = (
        "Give one whose words are written alike (case, punctuation apart) in data.vocabulary_file, or leave that out "
        "to make one of this corpus."
    )
    """What to do about a ``vocabulary_file`` that knows too little."""

    def __init__(
        self,
        root: str | None = "data",
        batch_size: int = 32,
        seed: int = 0,
        train_seed: int = 0,
        train_size: int | None = None,
        valid_size: int | None = None,
        test_size: int | None = None,
        eval_batch_size: int = 100,
        max_length: int | None = None,
        long: str = "truncate",
        empty: str = "refuse",
        vocabulary: str = "tokenizers",
        vocabulary_file: str | None = None,
        vocabulary_size: int | None = None,
        minimum_count: int = 1,
    ) -> None:
        super().__init__(
            root=root,
            batch_size=batch_size,
            seed=seed,
            train_seed=train_seed,
            train_size=train_size,
            valid_size=valid_size,
            eval_batch_size=eval_batch_size,
        )
        at_least_one(test_size=test_size, vocabulary_size=vocabulary_size, minimum_count=minimum_count)
        self.test_size = test_size
        self.rules = LineRules(max_length, long, empty, self.labelled, self.unknown)
        self.library = vocabulary
        self.vocabulary_file = vocabulary_file
        self.vocabulary_size = vocabulary_size
        self.minimum_count = minimum_count
        self._vocabulary: Vocabulary | None = None
        self._splits: dict[str, TokenSplit] = {}
        self._streams: dict[int, TokenStream] = {}
        self._label_count: int | None = None
        self._checksum: str | None = None

    @abstractmethod
    def load(self) -> TextCorpus:
        """Reads or generates the three splits, before ``train_size`` is applied."""

    def setup(self, stage: str | None = None) -> None:
        """Loads once, for all stages."""
        if self._vocabulary is not None:
            return
        corpus = self.load()
        parts = {"train": corpus.train, "valid": corpus.valid, "test": corpus.test}
        for part, sentences in parts.items():
            if len(sentences) < 2:
                raise UserError(
                    f"The {part} split of {self.name} is one sentence, from which nothing can be learnt or measured. "
                    "Give at least two, better thousands; of a file that is divided, data.valid_size and "
                    "data.test_size say how many go there."
                )
        words = self._choose_words(corpus)
        vocabulary = make_vocabulary(self.library, words)
        labels, self._label_count = class_numbers(list(parts.values()))
        for (part, sentences), y in zip(parts.items(), labels, strict=True):
            self._splits[part] = TokenSplit.pack(vocabulary.encode_all(sentences.lines), len(words), y)
        self._check_known(len(words))
        self._splits["train"] = subsample(self._splits["train"], self.train_size, self.seed)
        self._vocabulary = vocabulary

    @property
    def train(self) -> TokenSplit:
        return self._split("train")

    @property
    def valid(self) -> TokenSplit:
        return self._split("valid")

    @property
    def test(self) -> TokenSplit:
        return self._split("test")

    @property
    def vocabulary(self) -> list[str]:
        """The V symbols by their ids, from 1: ``<unk>``, the words by falling frequency or as given, ``<eos>``."""
        return self._numbering().words

    @property
    def shape(self) -> list[int]:
        return [len(self._numbering())]

    @property
    def image_shape(self) -> None:
        return None

    @property
    def label_count(self) -> int | None:
        self._numbering()
        return self._label_count

    @property
    def binary(self) -> bool:
        return False

    @property
    def checksum(self) -> str:
        """SHA-256 over the vocabulary, tokens and labels in use: equal sums, equal data."""
        if self._checksum is None:
            digest = hashlib.sha256("\n".join(self.vocabulary).encode())
            for part in ("train", "valid", "test"):
                split = self._split(part)
                for array in (split.tokens.int(), split.lengths, split.y):
                    if array is not None:
                        digest.update(f"{part} {tuple(array.shape)} {array.dtype};".encode())
                        digest.update(array.cpu().contiguous().numpy().data)
            self._checksum = digest.hexdigest()
        return self._checksum

    def encode(self, sentence: str) -> list[int]:
        """The ids of a sentence, ``<eos>`` at its end.

        Raises:
            UserError: for a word that is not in the vocabulary.
        """
        return self._numbering().encode(sentence)

    def decode(self, ids: Sequence[int]) -> str:
        """The words up to ``<eos>``, separated by single spaces."""
        return self._numbering().decode(ids)

    def check_vocabulary(self, words: Sequence[str]) -> None:
        """Refuses the vocabulary of another corpus, such as a checkpoint's, with which these ids would be other words.

        Raises:
            UserError: if ``words`` is not the vocabulary of this corpus.
        """
        own = self.vocabulary
        if own == list(words):
            return
        known = set(own)
        missing = [word for word in words if word not in known]
        first = next((k for k, pair in enumerate(zip(own, words, strict=False)) if pair[0] != pair[1]), 0)
        example = f'"{missing[0]}" among them, are not in this one' if missing else f"differ from symbol {first + 1} on"
        raise UserError(
            f"The vocabulary of {len(words)} symbols is from another corpus than {self.name}, which has {len(own)}: "
            f"{len(missing)} of its words, {example}. Use the corpus that it was made from, with the same data.seed, "
            "data.vocabulary_size, data.minimum_count and data.max_length; or train a model of this one with that "
            "vocabulary: data.vocabulary_file=<checkpoint>."
        )

    def training_array(self) -> None:
        """None: sentences are no vectors."""
        return None

    def mean(self) -> Float[Tensor, " V"]:
        """The share of each symbol among the tokens of the training split; symbol ``id`` stands at ``id - 1``."""
        tokens = self.train.tokens
        return torch.bincount(tokens.int() - 1, minlength=self.shape[0]).float() / len(tokens)

    def train_stream(self, seed: int) -> TokenStream:
        if seed not in self._streams:
            self._streams[seed] = TokenStream(self.train, self.batch_size, seed)
        return self._streams[seed]

    def evaluation_loader(self, split: Part, batch_size: int | None = None) -> SortedLoader:
        """All of a split from its shortest sentence to its longest."""
        return SortedLoader(self._split(split), batch_size or self.eval_batch_size)

    def to_device(self, device: torch.device | str) -> None:
        self._splits = {part: split.to(device) for part, split in self._splits.items()}
        self._streams = {}

    def find_file(self, option: str, given: str) -> Path:
        """The file that ``data.<option>`` names, in the working directory or in ``root``.

        Raises:
            UserError: if there is none.
        """
        name = Path(given).expanduser()
        places = (name, (self.root or Path()) / name)
        for path in places:
            if path.is_file():
                return path
        if any(path.is_dir() for path in places):
            raise UserError(
                f"data.{option}={given} is a folder. Name a file in it (data.train, data.valid and data.test take one "
                "for each split)."
            )
        raise UserError(f"data.{option}={given} is no file, neither in {Path.cwd()} nor in {self.root}.")

    def _choose_words(self, corpus: TextCorpus) -> list[str]:
        """The symbols in the order of their ids."""
        if self.vocabulary_file is None:
            return choose_words(corpus.train.lines, self.vocabulary_size, self.minimum_count, corpus.words)
        words = read_words(self.find_file("vocabulary_file", self.vocabulary_file), self.unknown)
        return [UNKNOWN, *words[: self.vocabulary_size], EOS]

    def _check_known(self, symbols: int) -> None:
        """Refuses a given vocabulary that knows less than half of the training text: what is learnt would be gaps."""
        if self.vocabulary_file is None:
            return
        split = self._splits["train"]
        words = len(split.tokens) - len(split)  # less the end of each sentence
        share = int((split.tokens == 1).sum()) / words
        if share > MOST_UNKNOWN:
            raise UserError(
                f"The vocabulary of {self.vocabulary_file} is of another corpus than {self.name}: {share:.0%} of the "
                f"{words:,} words here are not among its {symbols:,} symbols. {self.vocabulary_advice}"
            )
        print(f"{self.name}: {share:.1%} of {words:,} words are not in {self.vocabulary_file}", flush=True)

    def _numbering(self) -> Vocabulary:
        if self._vocabulary is None:
            raise RuntimeError(f"{type(self).__name__} holds nothing yet: call setup() first.")
        return self._vocabulary

    def _split(self, part: str) -> TokenSplit:
        self._numbering()
        return self._splits[part]
