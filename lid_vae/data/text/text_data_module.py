"""The abstract data module of text: sentences of words as token ids."""

__all__ = ["TextDataModule"]

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import torch

from lid_vae.data.base import PARTS, DataModule, Part
from lid_vae.data.split import Corpus, at_least_one
from lid_vae.data.text.text_file import LineRules, Sentences, class_numbers
from lid_vae.data.text.token_split import TokenSplit, TokenStream
from lid_vae.data.text.vocabulary import EOS, UNKNOWN, Vocabulary, choose_words, make_vocabulary
from lid_vae.data.text.word_list import read_words
from lid_vae.errors import UserError
from lid_vae.shapes import Float, Tensor

# The share of unknown words from which a given vocabulary is refused.
MOST_UNKNOWN = 0.5


class TextDataModule(DataModule[TokenSplit], ABC):
    """A ``DataModule`` of sentences.

    A batch's ``x`` is int64 [B, T]: ids from 1 (``<unk>``) to V (``<eos>``, the last of every sentence), then 0 to the
    length T of the longest sentence of the batch. The vocabulary comes from all training sentences, whatever
    ``train_size``, so that likelihoods of different sizes compare.

    Args:
        root: the folder of the data sets.
        batch_size, eval_batch_size: sentences per training and per evaluation batch.
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
        options: the others of ``DataModule``.

    Raises:
        UserError: for options out of range; in ``setup``, for a split of one sentence, and for a ``vocabulary_file``
            to which most words of the training sentences are unknown.
    """

    unknown: ClassVar[str] = "<unk>"
    """How the files spell ``<unk>``."""
    labelled: ClassVar[bool] = False
    """Whether each line is ``label<TAB>sentence``."""
    vocabulary_advice: ClassVar[str] = (
        "Give one whose words are written alike (case, punctuation apart) in vocabulary_file, or leave that out "
        "to make one of this corpus."
    )
    """What to do about a ``vocabulary_file`` that knows too little."""

    def __init__(
        self,
        root: str | None = "data",
        batch_size: int = 32,
        test_size: int | None = None,
        eval_batch_size: int = 100,
        max_length: int | None = None,
        long: str = "truncate",
        empty: str = "refuse",
        vocabulary: str = "tokenizers",
        vocabulary_file: str | None = None,
        vocabulary_size: int | None = None,
        minimum_count: int = 1,
        **options: Any,
    ) -> None:
        super().__init__(root, batch_size, eval_batch_size=eval_batch_size, **options)
        at_least_one(test_size=test_size, vocabulary_size=vocabulary_size, minimum_count=minimum_count)
        self.test_size = test_size
        self.rules = LineRules(max_length, long, empty, self.labelled, self.unknown)
        self.library = vocabulary
        self.vocabulary_file = vocabulary_file
        self.vocabulary_size = vocabulary_size
        self.minimum_count = minimum_count

    @abstractmethod
    def sentences(self) -> Corpus[Sentences]:
        """Reads or generates the three splits, before ``train_size`` is applied."""

    def load(self) -> Corpus[TokenSplit]:
        """The sentences as the numbers of their symbols."""
        corpus = self.sentences()
        for part in PARTS:
            if len(corpus[part]) < 2:
                raise UserError(
                    f"The {part} split of {self.name} is one sentence, from which nothing can be learnt or measured. "
                    "Give at least two, better thousands; of a file that is divided, valid_size and "
                    "test_size say how many go there."
                )
        symbols = self._choose_words(corpus)
        numbers = make_vocabulary(self.library, symbols)
        labels, label_count = class_numbers([corpus[part] for part in PARTS])
        train, valid, test = (
            TokenSplit.pack(numbers.encode_all(corpus[part].lines), len(symbols), y)
            for part, y in zip(PARTS, labels, strict=True)
        )
        if self.vocabulary_file is not None:
            self._check_known(train, len(symbols))
        return Corpus(train, valid, test, label_count=label_count, symbols=symbols)

    @property
    def vocabulary(self) -> list[str]:
        """The V symbols by their ids, from 1: ``<unk>``, the words by falling frequency or as given, ``<eos>``."""
        return list(self.corpus.symbols)

    @property
    def shape(self) -> list[int]:
        return [len(self.corpus.symbols)]

    @cached_property
    def _numbers(self) -> Vocabulary:
        return make_vocabulary(self.library, self.corpus.symbols)

    def encode(self, sentence: str) -> list[int]:
        """The ids of a sentence, ``<eos>`` at its end.

        Raises:
            UserError: for a word that is not in the vocabulary.
        """
        return self._numbers.encode(sentence)

    def decode(self, ids: Sequence[int]) -> str:
        """The words of ``ids`` up to ``<eos>``, separated by single spaces."""
        return self._numbers.decode(ids)

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
            f"{len(missing)} of its words, {example}. Use the corpus that it was made from, with the same seed, "
            "vocabulary_size, minimum_count and max_length; or train a model of this one with that "
            "vocabulary: vocabulary_file=<checkpoint>."
        )

    def mean(self) -> Float[Tensor, " V"]:
        """The share of each symbol among the tokens of the training split; symbol ``id`` stands at ``id - 1``."""
        tokens = self.train.tokens
        return torch.bincount(tokens.int() - 1, minlength=self.shape[0]).float() / len(tokens)

    def evaluated(self, part: Part) -> TokenSplit:
        return self.corpus[part]

    def new_stream(self, seed: int) -> TokenStream:
        return TokenStream(self.train, self.batch_size, seed)

    def find_file(self, option: str, given: str) -> Path:
        """The file ``given`` as ``data.<option>``, in the working directory or in ``root``.

        Raises:
            UserError: if there is none.
        """
        places = self.places(given)
        for path in places:
            if path.is_file():
                return path
        if any(path.is_dir() for path in places):
            raise UserError(
                f"{option}={given} is a folder. Name a file in it (train=, valid= and test= take one for each split)."
            )
        raise UserError(f"{option}={given} is no file, neither in {Path.cwd()} nor in {self.root}.")

    def _choose_words(self, corpus: Corpus[Sentences]) -> list[str]:
        """The symbols in the order of their ids."""
        if self.vocabulary_file is None:
            return choose_words(corpus.train.lines, self.vocabulary_size, self.minimum_count, corpus.symbols)
        words = read_words(self.find_file("vocabulary_file", self.vocabulary_file), self.unknown)
        return [UNKNOWN, *words[: self.vocabulary_size], EOS]

    def _check_known(self, split: TokenSplit, symbols: int) -> None:
        """Refuses a given vocabulary that knows less than half of the training text: what is learnt would be gaps."""
        words = len(split.tokens) - len(split)  # less the end of each sentence
        share = int((split.tokens == 1).sum()) / words
        if share > MOST_UNKNOWN:
            raise UserError(
                f"The vocabulary of {self.vocabulary_file} is of another corpus than {self.name}: {share:.0%} of the "
                f"{words:,} words here are not among its {symbols:,} symbols. {self.vocabulary_advice}"
            )
        print(f"{self.name}: {share:.1%} of {words:,} words are not in {self.vocabulary_file}", flush=True)
