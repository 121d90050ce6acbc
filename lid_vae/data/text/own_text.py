"""A user's own text: a file for each split, one that is divided, or one that is measured whole."""

__all__ = ["MeasuredText", "Text"]

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
