"""Lists of words: a file of a word a line, as corpora publish them, or the vocabulary that a checkpoint holds."""

__all__ = ["parse_words", "read_words"]

from collections import Counter
from pathlib import Path

from lid_vae.data.text.text_file import decode_text, read_text
from lid_vae.data.text.vocabulary import EOS, UNKNOWN
from lid_vae.errors import UserError
from lid_vae.system.checkpoint import load_checkpoint

# Symbols that lists hold and that are no words; this program has its own for the unknown, the end and padding.
SPECIAL = frozenset({UNKNOWN, EOS, "<pad>", "<s>", "</s>", "<bos>"})
# A checkpoint is a zip file.
ZIP = b"PK\x03\x04"


def parse_words(data: bytes, path: Path, unknown: str = UNKNOWN) -> list[str]:
    """The first word of each line of ``data``, in their order, without ``SPECIAL`` and ``unknown``.

    ``path`` is the file that the bytes are from, for messages.

    Raises:
        UserError: for bytes that are not UTF-8, for a word that comes twice, and for no word.
    """
    found = [line.split()[0] for line in decode_text(data, path).split("\n") if line.strip()]
    words = [word for word in found if word not in SPECIAL and word != unknown]
    if not words:
        raise UserError(f"{path} names no words: it is to hold one a line.")
    word, times = Counter(words).most_common(1)[0]
    if times > 1:
        raise UserError(f'{path} names "{word}" {times} times, and a word has one number: remove all but one.')
    return words


def read_words(path: Path, unknown: str = UNKNOWN) -> list[str]:
    """The words of ``path``, a list, plain or gzip, or a checkpoint of a model of text, in the order of their ids.

    ``unknown`` is how the list spells ``<unk>``, which is no word.

    Raises:
        UserError: as ``parse_words``, for a file that cannot be read, and for a checkpoint without a vocabulary.
    """
    data = read_text(path)
    if not data.startswith(ZIP):
        return parse_words(data, path, unknown)
    vocabulary = load_checkpoint(path)["lid_vae"].get("vocabulary")
    if vocabulary is None:
        raise UserError(f"{path} is the checkpoint of a model of vectors, which knows no words. Give one of text.")
    return [str(word) for word in vocabulary[1:-1]]
