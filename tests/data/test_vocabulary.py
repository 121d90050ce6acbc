"""Words and their numbers: the order, the round trip, and what is refused, with either library."""

import sys
from collections import Counter
from collections.abc import Sequence
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lid_vae.data.text.vocabulary import EOS, UNKNOWN, choose_words, make_vocabulary
from lid_vae.errors import UserError

WORD = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=4).filter(
    lambda word: word.split() == [word] and word not in (UNKNOWN, EOS)
)
SENTENCES = st.lists(st.lists(WORD, min_size=1, max_size=6), min_size=1, max_size=8)


class Vocab:
    """torchtext's ``Vocab``, as its documentation describes it."""

    def __init__(self, words: Sequence[str]) -> None:
        self.place = {word: number for number, word in enumerate(words)}
        self.default: int | None = None

    def set_default_index(self, index: int) -> None:
        self.default = index

    def lookup_indices(self, words: list[str]) -> list[int]:
        return [self.place.get(word, self.default) for word in words]


@pytest.fixture
def torchtext(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in: no torchtext loads with a PyTorch that this program runs on."""
    package, module = ModuleType("torchtext"), ModuleType("torchtext.vocab")
    module.vocab = lambda counts, specials: Vocab([*specials, *counts])
    monkeypatch.setitem(sys.modules, "torchtext", package)
    monkeypatch.setitem(sys.modules, "torchtext.vocab", module)


@given(SENTENCES)
def test_words_stand_by_falling_frequency_and_then_by_the_alphabet(sentences: list[list[str]]) -> None:
    count = Counter(word for sentence in sentences for word in sentence)
    words = choose_words([" ".join(sentence) for sentence in sentences], None, 1)
    assert (words[0], words[-1]) == (UNKNOWN, EOS)
    assert words[1:-1] == [word for _, word in sorted((-times, word) for word, times in count.items())]


@given(SENTENCES)
def test_what_is_encoded_is_decoded(sentences: list[list[str]]) -> None:
    lines = [" ".join(sentence) for sentence in sentences]
    vocabulary = make_vocabulary("tokenizers", choose_words(lines, None, 1))
    for line, ids in zip(lines, vocabulary.encode_all(lines), strict=True):
        assert len(ids) == len(line.split()) + 1
        assert ids[-1] == len(vocabulary)
        assert UNKNOWN not in line or 1 in ids
        assert all(1 < number < len(vocabulary) for number in ids[:-1])
        assert vocabulary.decode([*ids, 0, 0]) == line
        assert vocabulary.encode(f"  {line} ") == ids


def test_rare_words_and_those_beyond_the_size_become_unknown() -> None:
    lines = ["a a a b b c", "a d <unk> <unk> <unk> <unk>"]
    assert choose_words(lines, None, 2) == [UNKNOWN, "a", "b", EOS]
    assert choose_words(lines, 3, 1) == [UNKNOWN, "a", "b", "c", EOS]
    assert choose_words(lines, None, 9, ["z", "b", "a", "y"]) == [UNKNOWN, "a", "b", "y", "z", EOS]
    vocabulary = make_vocabulary("tokenizers", choose_words(lines, None, 2))
    assert list(vocabulary.encode_all(lines)) == [[2, 2, 2, 3, 3, 1, 4], [2, 1, 1, 1, 1, 1, 4]]
    assert vocabulary.decode([2, 1, 4, 3]) == "a <unk>"


def test_torchtext_gives_the_same_numbers(torchtext: None) -> None:
    lines = ["the cat sat", "the cat ran", "a b c d e"]
    words = choose_words(lines, None, 1)
    lines.append("the unseen <unk>")
    assert list(make_vocabulary("torchtext", words).encode_all(lines)) == list(
        make_vocabulary("tokenizers", words).encode_all(lines)
    )


def test_an_unknown_word_of_a_sentence_to_encode_is_refused_by_its_name() -> None:
    vocabulary = make_vocabulary("tokenizers", [UNKNOWN, "the", "cat", EOS])
    assert vocabulary.encode("the <unk>") == [2, 1, 4]
    with pytest.raises(UserError, match='"Cat" in "the Cat" is not in the vocabulary of 4 symbols'):
        vocabulary.encode("the Cat")
    with pytest.raises(UserError, match=EOS):
        vocabulary.encode("the <eos>")
    with pytest.raises(UserError, match="empty sentence"):
        vocabulary.encode("  ")


@pytest.mark.parametrize(
    "words", [[], ["a", EOS], [UNKNOWN, "a"], [UNKNOWN, "a", "a", EOS], [UNKNOWN, "a b", EOS], [UNKNOWN, "", EOS]]
)
def test_a_list_that_is_no_vocabulary_is_refused(words: list[str]) -> None:
    with pytest.raises(UserError, match="none of this program's"):
        make_vocabulary("tokenizers", words)


def test_an_unknown_library_is_refused() -> None:
    with pytest.raises(UserError, match=r"vocabulary=spacy is unknown. Choose one of tokenizers, torchtext"):
        make_vocabulary("spacy", [UNKNOWN, EOS])


def test_a_torchtext_that_does_not_load_is_refused_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchtext", None)
    with pytest.raises(UserError, match=r"archived.*after 2\.3\. Use vocabulary='tokenizers'"):
        make_vocabulary("torchtext", [UNKNOWN, "a", EOS])
