"""The symbols of a corpus and their numbers, by Hugging Face's tokenizers, or by torchtext where that still loads."""

__all__ = [
    "EOS",
    "UNKNOWN",
    "TokenizersVocabulary",
    "TorchtextVocabulary",
    "Vocabulary",
    "choose_words",
    "make_vocabulary",
]

from abc import ABC, abstractmethod
from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator, Sequence

from lid_vae.errors import UserError

UNKNOWN = "<unk>"
EOS = "<eos>"


class Vocabulary(ABC):
    """V symbols, numbered from 1 in the order of ``words``: ``<unk>``, the words of the corpus, ``<eos>``.

    0 is padding, and no symbol. A sentence is words separated by white space.

    Raises:
        UserError: if ``words`` does not begin with ``<unk>`` and end with ``<eos>``, or repeats a word.
    """

    def __init__(self, words: Sequence[str]) -> None:
        self.words = list(words)
        framed = self.words[:1] == [UNKNOWN] and self.words[-1:] == [EOS]
        if not framed or len(set(words)) < len(words) or any(word.split() != [word] for word in words):
            raise UserError(
                f"A vocabulary of {len(words)} symbols is none of this program's: it is to be {UNKNOWN}, then words "
                f"without spaces, each once, then {EOS}."
            )
        self._known = frozenset(self.words[:-1])

    def __len__(self) -> int:
        """V."""
        return len(self.words)

    @abstractmethod
    def numbers(self, words: list[str]) -> list[int]:
        """The number of each word, 1 where it is unknown."""

    def encode_all(self, sentences: Iterable[str]) -> Iterator[list[int]]:
        """The ids of each sentence, ``<eos>`` at its end; unknown words become ``<unk>``."""
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
        """The sentence up to its ``<eos>``, words separated by single spaces. Padding is left out."""
        words = []
        for number in ids:
            if number == len(self):
                break
            if number:
                words.append(self.words[number - 1])
        return " ".join(words)


class TokenizersVocabulary(Vocabulary):
    """By the word-level model of ``tokenizers``."""

    def __init__(self, words: Sequence[str]) -> None:
        super().__init__(words)
        from tokenizers import Tokenizer, models, pre_tokenizers  # here, as images need none of it

        numbers = {word: number for number, word in enumerate(self.words[:-1], start=1)}
        self._tokenizer = Tokenizer(models.WordLevel(numbers, unk_token=UNKNOWN))
        self._tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()

    def numbers(self, words: list[str]) -> list[int]:
        return self._tokenizer.encode(words, is_pretokenized=True, add_special_tokens=False).ids


class TorchtextVocabulary(Vocabulary):
    """By ``torchtext.vocab``, for those who hold an environment in which it loads: the same numbers."""

    def __init__(self, words: Sequence[str]) -> None:
        super().__init__(words)
        try:
            from torchtext.vocab import vocab
        except (ImportError, OSError) as error:
            raise UserError(
                f"data.vocabulary=torchtext needs torchtext, which does not load here ({error}). It is archived: its "
                "last release, 0.18, loads with no torch after 2.3. Use data.vocabulary=tokenizers, which gives the "
                "same numbers."
            ) from error
        self._vocab = vocab(OrderedDict((word, 1) for word in self.words[1:-1]), specials=[UNKNOWN])
        self._vocab.set_default_index(0)

    def numbers(self, words: list[str]) -> list[int]:
        return [place + 1 for place in self._vocab.lookup_indices(words)]


_BY_NAME: dict[str, type[Vocabulary]] = {"tokenizers": TokenizersVocabulary, "torchtext": TorchtextVocabulary}


def make_vocabulary(library: str, words: Sequence[str]) -> Vocabulary:
    """The vocabulary of ``words`` by the library of that name.

    Raises:
        UserError: if there is none of that name, or it does not load.
    """
    if library not in _BY_NAME:
        raise UserError(f"data.vocabulary={library} is unknown. Choose one of {', '.join(_BY_NAME)}.")
    return _BY_NAME[library](words)


def choose_words(
    sentences: Iterable[str], size: int | None, minimum_count: int, among: Sequence[str] | None = None
) -> list[str]:
    """``<unk>``, the words of the training sentences by falling frequency (ties alphabetically), ``<eos>``.

    Words that occur fewer than ``minimum_count`` times are left out, and all but the ``size`` most frequent.
    ``among`` names the words to choose from, where a published list does; ``minimum_count`` is then not used.
    """
    count = Counter[str]()
    for sentence in sentences:
        count.update(sentence.split())
    if among is None:
        words = [word for word, times in count.items() if times >= minimum_count and word != UNKNOWN]
    else:
        words = [word for word in among if word != UNKNOWN]
    words.sort(key=lambda word: (-count[word], word))
    return [UNKNOWN, *words[:size], EOS]
