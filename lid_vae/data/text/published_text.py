"""Text corpora that come as files of their own: found in the data root, downloaded, or asked for by name."""

__all__ = ["PublishedText", "TextFile", "demand", "some"]

from abc import ABC
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from lid_vae.data.base import PARTS
from lid_vae.data.source import RemoteFile, digest, fetch
from lid_vae.data.split import Corpus, hold_out
from lid_vae.data.text.text_data_module import TextDataModule
from lid_vae.data.text.text_file import LineRules, Sentences, parse_sentences, read_text
from lid_vae.data.text.word_list import parse_words
from lid_vae.errors import UserError


@dataclass(frozen=True)
class TextFile(RemoteFile):
    """A file ``<name>`` or ``<name>.gz`` of a corpus; the sum is that of its text, whatever it is packed by.

    Attributes:
        name: what it is called unpacked.
        checksum: "sha256:..."; none where no copy was at hand to take it from: then any file of the name serves.
        urls: addresses of the unpacked file.
    """

    def find(self, folder: Path) -> Path | None:
        """Where in ``folder`` the file is, packed or not; None where it is not there."""
        return next((path for path in (folder / f"{self.name}.gz", folder / self.name) if path.exists()), None)

    def read(self, folder: Path) -> tuple[bytes, Path]:
        """Its text, from ``folder``, and where it was.

        Raises:
            UserError: if it is missing, damaged, or another file of the same name.
        """
        path = self.find(folder)
        if path is None:
            raise UserError(f"{folder.absolute() / self.name} is missing.")
        data = read_text(path)
        if self.checksum and digest(data, self.checksum) != self.checksum:
            raise UserError(
                f"{path} is damaged or another file: the sum of its text should be {self.checksum}, and is "
                f"{digest(data, self.checksum)}. Put a good copy in its place, or train on it as it is. Use "
                "Text with train=<file>, valid=<file> and test=<file>."
            )
        return data, path

    def sentences(self, folder: Path, rules: LineRules) -> Sentences:
        """Its sentences, from ``folder``, by ``rules``; ``UserError`` as in ``read`` and ``parse_sentences``."""
        return parse_sentences(*self.read(folder), rules)


def demand(name: str, files: Iterable[TextFile], folder: Path, where: str) -> None:
    """Downloads those ``files`` of the corpus ``name`` that ``folder`` lacks and that have an address.

    Raises:
        UserError: if files are missing that have none, naming them, the folder, and ``where`` they are published.
    """
    missing = [file for file in files if file.find(folder) is None]
    lost = [file.name for file in missing if not file.urls]
    if lost:
        raise UserError(
            f"{name} needs {', '.join(lost)} (as text or .gz, one sentence a line) in {folder.absolute()}. {where} "
            f"Or point LID_VAE_DATA (or root=) to a folder that holds {folder.name}/ with them."
        )
    fetch(folder, missing)


class PublishedText(TextDataModule, ABC):
    """A corpus of one file for each split below ``<root>/<folder>/``, and perhaps a published list of its words."""

    files: ClassVar[dict[str, TextFile]]
    """"train", "valid", "test", and "words" where a list is published."""
    where: ClassVar[str]
    """Where the files are published, for those who lack them."""

    def prepare_data(self) -> None:
        """Downloads what is missing and has an address; ``UserError`` where it has none."""
        demand(self.name, self.files.values(), self.path, self.where)

    def sentences(self) -> Corpus[Sentences]:
        train, valid, test = (self.files[part].sentences(self.path, self.rules) for part in PARTS)
        valid, test = some(valid, self.valid_size, self.seed, "valid"), some(test, self.test_size, self.seed, "test")
        words = self.files.get("words")
        symbols = () if words is None else parse_words(*words.read(self.path), self.unknown)
        return Corpus(train, valid, test, symbols=symbols)


def some(sentences: Sentences, size: int | None, seed: int, part: str) -> Sentences:
    """``size`` random ``sentences`` of a split (all for None), by the data ``seed`` and the split's name ``part``."""
    if size is None or size >= len(sentences):
        return sentences
    return hold_out(sentences, size, seed, part)[1]
