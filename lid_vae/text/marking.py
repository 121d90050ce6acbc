"""Sentences for people: repeated ones said once, and in a pair of them what agrees made plain."""

from collections.abc import Sequence
from itertools import groupby, zip_longest

__all__ = ["Marked", "coloured", "folded", "marked"]

Marked = list[tuple[str, bool]]
"""The words of a sentence, each with whether it agrees with that in its place in another."""
AGREES, PLAIN = "\x1b[32;4m", "\x1b[0m"
"""Green and underlined, so that it shows without colour too."""


def marked(sentence: str, original: str) -> Marked:
    """The words of ``sentence``, each with whether ``original`` has it in the same place.

    >>> marked("the dog sat", "the cat sat")
    [('the', True), ('dog', False), ('sat', True)]
    """
    pairs = zip_longest(sentence.split(), original.split())
    return [(word, word == other) for word, other in pairs if word is not None]


def coloured(first: str, others: Sequence[Marked]) -> list[str]:
    """The sentence ``first`` and ``others`` for a terminal, word below word, what agrees in green and underlined."""
    lines = [[(word, False) for word in first.split()], *others]
    widths = [max(len(line[k][0]) for line in lines if k < len(line)) for k in range(max(map(len, lines)))]
    return [
        " ".join(
            (f"{AGREES}{word}{PLAIN}" if agrees else word) + " " * (width - len(word))
            for (word, agrees), width in zip(line, widths, strict=False)
        ).rstrip()
        for line in lines
    ]


def folded(lines: Sequence[str]) -> list[str]:
    """``lines``, those that follow each other and are alike as one.

    >>> folded(["a b", "a b", "c"])
    ['a b  (x2, identical)', 'c']
    """
    runs = [(line, len(list(same))) for line, same in groupby(lines)]
    return [line if count == 1 else f"{line}  (x{count}, identical)" for line, count in runs]
