"""A user's own text: a file for each split, one that is divided, or one that is measured whole."""

__all__ = ["MeasuredText", "Text", "TextList"]

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lid_vae.data.split import Corpus, hold_out
from lid_vae.data.text.published_text import some
from lid_vae.data.text.text_data_module import TextDataModule
from lid_vae.data.text.text_file import Sentences, parse_sentences, read_text
from lid_vae.errors import UserError


class Text(TextDataModule):
    """Files of one sentence a line, words apart by white space, UTF-8, plain or gzip.

    Args:
        path: one file for all splits; or
        train: a file for training, with or without
        valid, test: files for these; one that is not given is held out of the training file by the data seed. A
            relative path is looked for in the working directory, then in ``root``.
        labels: whether each line is ``label<TAB>sentence``.
        minimum_count, options: those of ``TextDataModule``.
        valid_size, test_size: how many sentences to hold out (None for a tenth), or to keep of the file (None for all).

    Raises:
        UserError: in ``setup``, for files that are not as said here.

    >>> _ = Path("own.txt").write_text("the cat sleeps\\nthe dog sleeps\\n" * 10)
    >>> data = Text("own.txt", valid_size=4, test_size=4, batch_size=4)
    >>> data.setup()
    >>> data.vocabulary
    ['<unk>', 'sleeps', 'the', 'cat', 'dog', '<eos>']
    >>> data.decode(data.encode("the dog sleeps"))
    'the dog sleeps'
    """

    name = "text"

    def __init__(
        self,
        path: str | None = None,
        train: str | None = None,
        valid: str | None = None,
        test: str | None = None,
        labels: bool = False,
        minimum_count: int = 2,
        **options: Any,
    ) -> None:
        super().__init__(minimum_count=minimum_count, **options)
        if (path is None) == (train is None) or (path is not None and (valid or test)):
            raise UserError(
                "Text needs path=<file> to divide, or train=<file>, with valid=<file> and test=<file> or without, and "
                "not both."
            )
        self.rules = replace(self.rules, labelled=labels)
        self.files = {"train": train, "path": path, "valid": valid, "test": test}

    def sentences(self) -> Corpus[Sentences]:
        rest = self._read("path" if self.files["train"] is None else "train")
        held: dict[str, Sentences] = {}
        for part, size in (("test", self.test_size), ("valid", self.valid_size)):
            if self.files[part] is None:
                rest, held[part] = hold_out(rest, size, self.seed, part)
            else:
                held[part] = some(self._read(part), size, self.seed, part)
        return Corpus(rest, held["valid"], held["test"])

    def _read(self, option: str) -> Sentences:
        path = self.find_file(option, str(self.files[option]))
        return parse_sentences(read_text(path), path, self.rules)


class TextList(TextDataModule):
    """Sentences in memory, words apart by white space, divided by the data seed.

    Args:
        sentences: those of training, and of validation where no others are given.
        valid: sentences for validation; None: ``valid_size`` of the others (None for a tenth). The test part is the
            validation part.
        symbols: the words to know, ``<unk>`` first and ``<eos>`` last, as a model has them; None: those of training.
        minimum_count, options: those of ``TextDataModule``.

    Raises:
        UserError: in ``setup``, for sentences without words, and for one alone.

    >>> data = TextList(["the cat sleeps", "the dog sleeps"] * 10, batch_size=4)
    >>> data.setup()
    >>> data.decode(data.encode("the cat sleeps"))
    'the cat sleeps'
    """

    name = "text"

    def __init__(
        self,
        sentences: Sequence[str],
        valid: Sequence[str] | None = None,
        symbols: Sequence[str] | None = None,
        minimum_count: int = 2,
        **options: Any,
    ) -> None:
        super().__init__(root=None, minimum_count=minimum_count, **options)
        self.given = list(sentences), None if valid is None else list(valid)
        self.symbols = symbols

    def sentences(self) -> Corpus[Sentences]:
        train, valid = (None if lines is None else self._parsed(lines) for lines in self.given)
        assert train is not None
        if valid is None:
            train, valid = hold_out(train, self.valid_size, self.seed, "valid")
        return Corpus(train, valid, valid)

    def _parsed(self, lines: list[str]) -> Sentences:
        text = "\n".join(" ".join(line.split()) for line in lines)
        return parse_sentences(f"{text}\n".encode(), Path("the list"), self.rules)

    def _choose_words(self, corpus: Corpus[Sentences]) -> list[str]:
        return super()._choose_words(corpus) if self.symbols is None else list(self.symbols)


class MeasuredText(TextDataModule):
    """The sentences of one file, every split all of them, in words that are given: what a model is measured on.

    Args:
        file: one sentence a line, words apart by white space, UTF-8, plain or gzip.
        labels: whether each line is ``label<TAB>sentence``; the labels are left out, as a probe needs others to fit.
        options: those of ``TextDataModule``.

    Raises:
        UserError: in ``setup``, for a file that is not as said here, and for one sentence.
    """

    name = "text"
    vocabulary_advice = (
        "Give a file whose words are written as in training (case, punctuation apart), or train a model of this one."
    )

    def __init__(self, file: Path, labels: bool = False, **options: Any) -> None:
        super().__init__(root=None, **options)
        self.rules = replace(self.rules, labelled=labels)
        self.file = file

    def sentences(self) -> Corpus[Sentences]:
        sentences = Sentences(parse_sentences(read_text(self.file), self.file, self.rules).lines)
        if len(sentences) < 2:
            raise UserError(
                f"{self.file} gives one sentence, whose measures have no standard error. Give at least two, better "
                "hundreds."
            )
        return Corpus(sentences, sentences, sentences)
