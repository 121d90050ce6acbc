"""Text corpora that come as files of their own: found in the data root, downloaded, or asked for by name."""

__all__ = ["PublishedText", "TextFile", "demand", "some"]

from abc import ABC
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from lid_vae.data.source import RemoteFile, digest, fetch
from lid_vae.data.split import hold_out
from lid_vae.data.text_data_module import TextCorpus, TextDataModule
from lid_vae.data.text_file import LineRules, Sentences, parse_sentences, read_text
from lid_vae.data.word_list import parse_words
from lid_vae.errors import UserError


@dataclass(frozen=True)
class TextFile:
    """A file ``<name>`` or ``<name>.gz`` of a corpus; the sum is that of its text, whatever it is packed by.

    Attributes:
        checksum: "sha256:..."; None where no copy was at hand to take it from: then any file of the name serves.
        urls: addresses of the unpacked file.
    """

    name: str
    checksum: str | None = None
    urls: tuple[str, ...] = ()

    def find(self, folder: Path) -> Path | None:
        """Where the file is, if it is there."""
        return next((path for path in (folder / f"{self.name}.gz", folder / self.name) if path.exists()), None)

    def read(self, folder: Path) -> bytes:
        """Its text.

        Raises:
            UserError: if it is missing, damaged, or another file of the same name.
        """
        path = self.find(folder)
        if path is None:
            raise UserError(f"{folder.absolute() / self.name} is missing.")
        data = read_text(path)
        if self.checksum is not None and digest(data, self.checksum) != self.checksum:
            raise UserError(
                f"{path} is damaged or another file: the sum of its text should be {self.checksum}, and is "
                f"{digest(data, self.checksum)}. Put a good copy in its place, or train on it as it is with "
                "data=text data.train=<file> data.valid=<file> data.test=<file>."
            )
        return data

    def sentences(self, folder: Path, rules: LineRules) -> Sentences:
        """Its sentences; ``UserError`` as in ``read`` and ``parse_sentences``."""
        data = self.read(folder)
        return parse_sentences(data, self.find(folder) or folder / self.name, rules)


def demand(name: str, files: Iterable[TextFile], folder: Path, where: str) -> None:
    """Downloads those of ``files`` that are missing and have an address.

    Raises:
        UserError: if files are missing that have none, naming them, the folder, and ``where`` they are published.
    """
    missing = [file for file in files if file.find(folder) is None]
    lost = [file.name for file in missing if not file.urls]
    if lost:
        raise UserError(
            f"{name} needs {', '.join(lost)} (as text or .gz, one sentence a line) in {folder.absolute()}. {where} "
            f"Or point LID_VAE_DATA (or paths.data) to a folder that holds {folder.name}/ with them."
        )
    fetch(folder, [RemoteFile(file.name, file.checksum or "", file.urls) for file in missing])


class PublishedText(TextDataModule, ABC):
    """A corpus of one file for each split below ``<root>/<folder>/``, and perhaps a published list of its words."""

    folder: ClassVar[str]
    files: ClassVar[dict[str, TextFile]]
    """"train", "valid", "test", and "words" where a list is published."""
    where: ClassVar[str]
    """Where the files are published, for those who lack them."""

    @property
    def path(self) -> Path:
        assert self.root is not None
        return self.root / self.folder

    def prepare_data(self) -> None:
        """Downloads what is missing and has an address; ``UserError`` where it has none."""
        demand(self.name, self.files.values(), self.path, self.where)

    def load(self) -> TextCorpus:
        parts = {part: self._read(part) for part in ("train", "valid", "test")}
        valid = some(parts["valid"], self.valid_size, self.seed, "valid")
        test = some(parts["test"], self.test_size, self.seed, "test")
        return TextCorpus(parts["train"], valid, test, self._words())

    def _read(self, part: str) -> Sentences:
        return self.files[part].sentences(self.path, self.rules)

    def _words(self) -> Sequence[str] | None:
        """The published words; None where no list is published."""
        if "words" not in self.files:
            return None
        file = self.files["words"]
        return parse_words(file.read(self.path), self.path / file.name, self.unknown)


def some(sentences: Sentences, size: int | None, seed: int, part: str) -> Sentences:
    """``size`` random sentences of a split (all for None)."""
    if size is None or size >= len(sentences):
        return sentences
    return hold_out(sentences, size, seed, part)[1]
