"""Files of sentences: what is read, what is changed and told, and what is refused, by file and line."""

import gzip
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lid_vae.data.text.text_file import LineRules, Sentences, class_numbers, parse_sentences, read_text
from lid_vae.errors import UserError

HERE = Path("own.txt")


def parse(text: str | bytes, **rules: object) -> Sentences:
    return parse_sentences(text.encode() if isinstance(text, str) else text, HERE, LineRules(**rules))


@given(
    st.lists(st.lists(st.text("abc.é漢", min_size=1, max_size=3), min_size=1, max_size=5), min_size=1), st.booleans()
)
def test_lines_are_sentences_whatever_the_spaces_and_the_end(sentences: list[list[str]], ended: bool) -> None:
    text = "\r\n".join("  " + " \t".join(sentence) for sentence in sentences) + "\n" * ended
    assert parse(text).lines == [" ".join(sentence) for sentence in sentences]


def test_plain_and_packed_files_are_the_same(tmp_path: Path) -> None:
    text = "\ufeffthe cat\nsat\n".encode()
    (tmp_path / "plain.txt").write_bytes(text)
    (tmp_path / "packed").write_bytes(gzip.compress(text))
    assert read_text(tmp_path / "plain.txt") == read_text(tmp_path / "packed") == text
    assert parse(text).lines == ["the cat", "sat"], "the mark of the byte order is no word"


def test_long_lines_are_counted_and_truncated_or_dropped(capsys: pytest.CaptureFixture[str]) -> None:
    text = "a b c d\na b\na b c\n"
    assert parse(text, max_length=2).lines == ["a b", "a b", "a b"]
    assert "own.txt: of 3 lines 2 truncated to data.max_length=2 words" in capsys.readouterr().out
    assert parse(text, max_length=3, long="drop").lines == ["a b", "a b c"]
    assert "of 3 lines 1 dropped, as longer than data.max_length=3 words" in capsys.readouterr().out
    assert len(parse(text, max_length=4)) == 3
    assert capsys.readouterr().out == ""


def test_empty_lines_are_refused_or_counted_and_dropped(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match=r"Line 2 of own.txt is empty.*empty='drop'"):
        parse("a\n \nb\n")
    assert parse("a\n \nb\n\n", empty="drop").lines == ["a", "b"]
    assert "of 4 lines 2 dropped, as empty" in capsys.readouterr().out


def test_labels_stand_before_a_tab() -> None:
    found = parse("good\ta b\n bad \tc\td\n", labelled=True)
    assert (found.lines, found.labels) == (["a b", "c d"], ["good", "bad"])
    assert parse("a\tb\n").labels is None


@pytest.mark.parametrize("line", ["a b", "\ta b", " \ta"])
def test_a_line_without_its_label_is_refused(line: str) -> None:
    with pytest.raises(UserError, match=r"Line 2 of own.txt has no label"):
        parse(f"0\ta\n{line}\n", labelled=True)


def test_bytes_that_are_not_utf_8_are_refused_by_file_and_line() -> None:
    with pytest.raises(UserError, match=r"Line 3 of own.txt is not UTF-8 \(byte 0xe9\)"):
        parse(b"a\nb\ncaf\xe9 c\nd\n")


@pytest.mark.parametrize(("data", "why"), [("", "It is empty"), ("a b\nc d\n", "All of its 2 lines were dropped")])
def test_a_file_without_sentences_is_refused(data: str, why: str) -> None:
    with pytest.raises(UserError, match=f"own.txt gives no sentences. {why}"):
        parse(data, max_length=1, long="drop")


def test_the_symbol_of_the_end_as_a_word_is_refused() -> None:
    with pytest.raises(UserError, match=r"Line 2 of own.txt holds <eos> as a word"):
        parse("a\nb <eos>\n")


def test_a_damaged_or_missing_file_is_refused(tmp_path: Path) -> None:
    packed = gzip.compress(b"a b c\n" * 500)
    for damaged in (packed[:-9], packed[:20] + b"\0" * 20 + packed[40:]):
        (tmp_path / "half.gz").write_bytes(damaged)
        with pytest.raises(UserError, match=r"half.gz is a damaged gzip file"):
            read_text(tmp_path / "half.gz")
    with pytest.raises(UserError, match=r"absent.txt"):
        read_text(tmp_path / "absent.txt")


@pytest.mark.parametrize("rules", [{"max_length": 0}, {"long": "cut"}, {"empty": "keep"}])
def test_unknown_rules_are_refused(rules: dict[str, object]) -> None:
    (name,) = rules
    with pytest.raises(UserError, match=f"{name}="):
        LineRules(**rules)


def test_the_unknown_word_may_be_spelt_otherwise() -> None:
    assert parse("a _UNK b <unk>\n", unknown="_UNK").lines == ["a <unk> b <unk>"]


def test_classes_are_numbered_over_all_parts() -> None:
    parts = [Sentences(["a"] * 3, ["10", "9", "10"]), Sentences(["b"], ["2"])]
    numbers, count = class_numbers(parts)
    assert count == 3
    assert torch.equal(numbers[0], torch.tensor([2, 1, 2]))
    assert torch.equal(numbers[1], torch.tensor([0]))
    assert class_numbers([Sentences(["a"], ["no"]), Sentences(["b"], ["yes"])])[0][1].tolist() == [1]
    assert class_numbers([Sentences(["a"]), Sentences(["b"], ["1"])]) == ([None, None], None)
