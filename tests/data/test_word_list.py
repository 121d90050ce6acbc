"""A vocabulary that is given: a list of words or a checkpoint's, kept in its order, refused where it does not fit."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from lid_vae.data import Text
from lid_vae.data.text.word_list import read_words
from lid_vae.errors import UserError

Write = Callable[..., str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(name: str, *lines: str) -> str:
        (tmp_path / name).write_text("".join(f"{line}\n" for line in lines))
        return str(tmp_path / name)

    return write


def text(path: str, **options: str | int) -> Text:
    module = Text(path=path, **options)
    module.setup()
    return module


def checkpoint(path: Path, vocabulary: list[str] | None) -> str:
    about = {"config": {}, "config_hash": "", "checksum": "", "shape": [1], "labels": None, "step": 0}
    torch.save({"state_dict": {}, "lid_vae": {**about, "vocabulary": vocabulary}}, path)
    return str(path)


def test_a_list_is_kept_in_its_order_without_counts_and_special_symbols(tmp_path: Path) -> None:
    lines = "<pad> 0\n<unk> 1\nzebra 2\n\nant\t3\n_UNK 4\n< 5\n</s>"
    (tmp_path / "plain").write_text(lines)
    (tmp_path / "packed").write_bytes(gzip.compress(lines.encode()))
    for name in ("plain", "packed"):
        assert read_words(tmp_path / name, "_UNK") == ["zebra", "ant", "<"]


def test_a_corpus_takes_the_words_of_a_list_and_their_numbers(write: Write, tmp_path: Path) -> None:
    own = write("own", *["a b c d"] * 30)
    module = text(own, vocabulary_file=write("words", "d", "never", "a", "b"))
    assert module.vocabulary == ["<unk>", "d", "never", "a", "b", "<eos>"]
    assert module.train.batch(torch.tensor([0])).x.tolist() == [[4, 5, 1, 2, 6]]
    assert text(own, root=str(tmp_path), vocabulary_file="words", vocabulary_size=3).vocabulary[1:-1] == [
        "d",
        "never",
        "a",
    ]


def test_another_corpus_takes_the_vocabulary_of_a_checkpoint(write: Write, tmp_path: Path) -> None:
    first = text(write("first", *["a b c"] * 30, *["c d"] * 30))
    kept = checkpoint(tmp_path / "best.ckpt", first.vocabulary)
    second = text(write("second", *["d e a a"] * 30), vocabulary_file=kept)
    second.check_vocabulary(first.vocabulary)
    assert second.decode(second.train.batch(torch.tensor([0])).x[0].tolist()) == "d <unk> a a"


def test_a_vocabulary_that_does_not_fit_is_refused_with_its_share(write: Write) -> None:
    """Of the words, half may be unknown; here it is 3 of 5."""
    own = write("own", *["The Cat Sat on mats"] * 50)
    with pytest.raises(UserError, match=r"is of another corpus than text: 60% of the 205 words here .*its 5 symbols"):
        text(own, vocabulary_file=write("words", "the", "on", "mats"))
    text(own, vocabulary_file=write("words", "The", "on", "mats"))


def test_lists_that_are_none_are_refused(write: Write, tmp_path: Path) -> None:
    own = write("own", *["a b"] * 30)
    with pytest.raises(UserError, match=r'names "a" 2 times'):
        text(own, vocabulary_file=write("words", "a", "b", "a 7"))
    with pytest.raises(UserError, match="names no words"):
        text(own, vocabulary_file=write("words", "<unk>", ""))
    with pytest.raises(UserError, match=r"vocabulary_file=absent is no file"):
        text(own, vocabulary_file="absent")
    with pytest.raises(UserError, match="model of vectors, which knows no words"):
        text(own, vocabulary_file=checkpoint(tmp_path / "best.ckpt", None))
    (tmp_path / "words").write_bytes(b"a\n\xe9\n")
    with pytest.raises(UserError, match=r"Line 2 of .* is not UTF-8"):
        text(own, vocabulary_file=str(tmp_path / "words"))
