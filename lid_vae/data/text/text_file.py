"""Text files: one sentence a line, words separated by white space, UTF-8, plain or gzip, with labels or without."""

__all__ = ["LineRules", "Sentences", "class_numbers", "decode_text", "parse_sentences", "read_text"]

import gzip
import io
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from lid_vae.data.split import at_least_one
from lid_vae.data.text.vocabulary import EOS, UNKNOWN
from lid_vae.errors import UserError
from lid_vae.machine_memory import in_bytes
from lid_vae.shapes import Int, Tensor
from lid_vae.system.files import explain_os_error, read_file

MOST = 2**31
"""Bytes that a gzip file may unpack to: a few kilobytes may hold any number of zeros."""


@dataclass(frozen=True)
class Sentences:
    """Lines of a file.

    ``lines`` are words separated by single spaces; ``labels`` one for each line, as it is written, or None.
    """

    lines: list[str]
    labels: list[str] | None = None

    def __len__(self) -> int:
        return len(self.lines)

    def rows(self, index: Int[Tensor, " n"]) -> "Sentences":
        """The lines ``index``."""
        chosen = index.tolist()
        labels = None if self.labels is None else [self.labels[row] for row in chosen]
        return Sentences([self.lines[row] for row in chosen], labels)


@dataclass(frozen=True)
class LineRules:
    """What becomes of lines that are too long or empty; what is changed is said, in one line for each file.

    Args:
        max_length: the most words of a sentence; None for no bound.
        long: "truncate" longer lines to that, or "drop" them.
        empty: "refuse" a file with lines that have no words, or "drop" those.
        labelled: whether each line is ``label<TAB>sentence``.
        unknown: how the files spell ``<unk>``.

    Raises:
        UserError: for values other than these.
    """

    max_length: int | None = None
    long: str = "truncate"
    empty: str = "refuse"
    labelled: bool = False
    unknown: str = UNKNOWN

    def __post_init__(self) -> None:
        at_least_one(max_length=self.max_length)
        for name, known in (("long", ("truncate", "drop")), ("empty", ("refuse", "drop"))):
            if getattr(self, name) not in known:
                raise UserError(f"{name}={getattr(self, name)} is unknown. Choose {' or '.join(known)}.")


def read_text(path: Path) -> bytes:
    """The bytes of the file ``path``, unpacked where it is gzip, which its first bytes tell: ``MOST`` at most.

    Raises:
        UserError: if it is missing, unreadable or damaged, or unpacks to more.
    """
    try:
        data = read_file(path)
    except OSError as error:
        raise UserError(explain_os_error(error, path)) from error
    if not data.startswith(b"\x1f\x8b"):
        return data
    try:
        with gzip.open(io.BytesIO(data)) as file:
            text = file.read(MOST + 1)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{path} is a damaged gzip file ({error}). Copy or download it again.") from error
    if len(text) > MOST:
        raise UserError(f"{path} holds more than {in_bytes(MOST)} unpacked. Unpack it, if that is meant.")
    return text


def decode_text(data: bytes, path: Path) -> str:
    """The text of ``data``, the bytes of ``path``; ``UserError`` with the line for bytes that are not UTF-8."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"Line {line} of {path} is not UTF-8 (byte 0x{data[error.start]:02x}). Convert the file, for example with "
            f"iconv -f latin1 -t utf-8 {path.name}."
        ) from error


def parse_sentences(data: bytes, path: Path, rules: LineRules) -> Sentences:
    """The sentences in ``data``, the bytes of the file ``path``, by ``rules`` for their lines.

    Raises:
        UserError: for bytes that are not UTF-8, for a line without words or label where these are asked for, for
            ``<eos>`` as a word, and for no sentences; with the number of the line.
    """
    lines = decode_text(data, path).split("\n")
    if lines[-1] == "":
        lines.pop()
    kept: list[str] = []
    labels: list[str] = []
    changed = Counter[str]()
    for number, line in enumerate(lines, start=1):
        label, words = _parse_line(line, rules, f"Line {number} of {path}")
        if not words:
            changed["dropped, as empty"] += 1
            continue
        if rules.max_length is not None and len(words) > rules.max_length:
            if rules.long == "drop":
                changed[f"dropped, as longer than data.max_length={rules.max_length} words"] += 1
                continue
            changed[f"truncated to data.max_length={rules.max_length} words"] += 1
            del words[rules.max_length :]
        kept.append(" ".join(words))
        labels.append(label)
    if changed:
        told = ", ".join(f"{count:,} {what}" for what, count in changed.items())
        print(f"{path}: of {len(lines):,} lines {told}", flush=True)
    if not kept:
        why = "It is empty" if not lines else f"All of its {len(lines):,} lines were dropped"
        raise UserError(f"{path} gives no sentences. {why}: it is to hold one sentence a line, words apart by spaces.")
    return Sentences(kept, labels if rules.labelled else None)


def class_numbers(parts: Sequence[Sentences]) -> tuple[list[Tensor | None], int | None]:
    """Class numbers for each part, and how many classes there are: the labels of all parts together, sorted."""
    given = [part.labels for part in parts if part.labels is not None]
    if len(given) < len(parts):
        return [None] * len(parts), None
    distinct = {label for labels in given for label in labels}
    whole = all(label.isdecimal() for label in distinct)
    number = {label: place for place, label in enumerate(sorted(distinct, key=int if whole else None))}
    return [torch.tensor([number[label] for label in labels]) for labels in given], len(distinct)


def _parse_line(line: str, rules: LineRules, where: str) -> tuple[str, list[str]]:
    """The label ("" without) and the words of a line; no words where it is empty and that is allowed."""
    label = ""
    if rules.labelled and line.strip():
        label, tab, line = line.partition("\t")
        label = label.strip()
        if not tab or not label:
            raise UserError(
                f"{where} has no label, and each is to be label<TAB>sentence. Mend it, or use labels=False for "
                "lines without labels."
            )
    words = line.split()
    if EOS in words:
        raise UserError(
            f"{where} holds {EOS} as a word. The end of a line is the end of its sentence, and the program adds the "
            "symbol by itself: remove it from the file."
        )
    if not words and rules.empty == "refuse":
        raise UserError(
            f"{where} is empty, and every line is to be a sentence. Remove it, or leave such lines out with "
            "empty='drop'."
        )
    if rules.unknown != UNKNOWN:
        words = [UNKNOWN if word == rules.unknown else word for word in words]
    return label, words
