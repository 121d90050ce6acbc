"""The symbols of a corpus and their numbers, by Hugging Face's tokenizers, or by torchtext where that still loads."""

__all__ = ["EOS", "UNKNOWN", "Vocabulary", "choose_words", "make_vocabulary"]

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, takewhile

from lid_vae.errors import UserError

UNKNOWN = "<unk>"
EOS = "<eos>"
Numbers = Callable[[list[str]], list[int]]
"""The number of each word, 1 where it is unknown."""


class Vocabulary:
    """V symbols, numbered from 1 in the order of ``words``: ``<unk>``, the words of the corpus, ``<eos>``.

    0 is padding, and no symbol. A sentence is words separated by white space.

    Args:
        words: the symbols.
        library: makes of them the function ``numbers``.

    Raises:
        UserError: if ``words`` does not begin with ``<unk>`` and end with ``<eos>``, or repeats a word.
    """

    def __init__(self, words: Sequence[str], library: Callable[[Sequence[str]], Numbers]) -> None:
        self.words = list(words)
        framed = self.words[:1] == [UNKNOWN] and self.words[-1:] == [EOS]
        if not framed or len(set(words)) < len(words) or any(word.split() != [word] for word in words):
            raise UserError(
                f"A vocabulary of {len(words)} symbols is none of this program's: it is to be {UNKNOWN}, then words "
                f"without spaces, each once, then {EOS}."
            )
        self._known = frozenset(self.words[:-1])
        self.numbers = library(self.words)

    def __len__(self) -> int:
        """V."""
        return len(self.words)

    def encode_all(self, sentences: Iterable[str]) -> Iterator[list[int]]:
        """The ids of each of ``sentences``, ``<eos>`` at its end; unknown words become ``<unk>``."""
        number: dict[str, int] = {}  # each distinct word is looked up once: a tokenizer takes a microsecond a word
        for sentence in sentences:
            words = sentence.split()
            new = [word for word in words if word not in number]
            if new:
                number.update(zip(new, self.numbers(new), strict=True))
            yield [*(number[word] for word in words), len(self)]

    def encode(self, sentence: str) -> list[int]:
        """The ids of a sentence, ``<eos>`` at its end.

        Raises:
            UserError: for a word that is not in the vocabulary, and for no word at all.
        """
        words = sentence.split()
        unknown = [word for word in words if word not in self._known]
        if unknown:
            raise UserError(
                f'"{unknown[0]}" in "{sentence}" is not in the vocabulary of {len(self)} symbols. Write the word as '
                f"the training text does (lower case, punctuation apart), or {UNKNOWN} in its place."
            )
        if not words:
            raise UserError("There is an empty sentence. Give each at least one word.")
        return [*self.numbers(words), len(self)]

    def decode(self, ids: Iterable[int]) -> str:
        """The words of ``ids`` up to ``<eos>``, separated by single spaces. Padding is left out."""
        before_end = takewhile(lambda number: number != len(self), ids)
        return " ".join(self.words[number - 1] for number in before_end if number)


def _by_tokenizers(words: Sequence[str]) -> Numbers:
    """By the word-level model of ``tokenizers``."""
    from tokenizers import Tokenizer, models, pre_tokenizers  # here, as images need none of it

    numbers = {word: number for number, word in enumerate(words[:-1], start=1)}
    tokenizer = Tokenizer(models.WordLevel(numbers, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return lambda asked: tokenizer.encode(asked, is_pretokenized=True, add_special_tokens=False).ids


def _by_torchtext(words: Sequence[str]) -> Numbers:
    """By ``torchtext.vocab``, for those who hold an environment in which it loads: the same numbers."""
    try:
        from torchtext.vocab import vocab
    except (ImportError, OSError) as error:
        raise UserError(
            f"vocabulary=torchtext needs torchtext, which does not load here ({error}). It is archived: its "
            "last release, 0.18, loads with no torch after 2.3. Use vocabulary='tokenizers', which gives the "
            "same numbers."
        ) from error
    places = vocab(OrderedDict((word, 1) for word in words[1:-1]), specials=[UNKNOWN])
    places.set_default_index(0)
    return lambda asked: [place + 1 for place in places.lookup_indices(asked)]


_LIBRARIES: dict[str, Callable[[Sequence[str]], Numbers]] = {"tokenizers": _by_tokenizers, "torchtext": _by_torchtext}


def make_vocabulary(library: str, words: Sequence[str]) -> Vocabulary:
    """The vocabulary of ``words`` by the library of that name.

    Raises:
        UserError: if there is none of that name, or it does not load.
    """
    if library not in _LIBRARIES:
        raise UserError(f"vocabulary={library} is unknown. Choose one of {', '.join(_LIBRARIES)}.")
    return Vocabulary(words, _LIBRARIES[library])


def choose_words(
    sentences: Iterable[str], size: int | None, minimum_count: int, among: Sequence[str] = ()
) -> list[str]:
    """``<unk>``, the words of the training sentences by falling frequency (ties alphabetically), ``<eos>``.

    Words that occur fewer than ``minimum_count`` times are left out, and all but the ``size`` most frequent.
    ``among`` names the words to choose from, where a published list does; ``minimum_count`` is then not used.
    """
    count = Counter(chain.from_iterable(sentence.split() for sentence in sentences))
    words = [word for word in among or count if word != UNKNOWN and (among or count[word] >= minimum_count)]
    words.sort(key=lambda word: (-count[word], word))
    return [UNKNOWN, *words[:size], EOS]
