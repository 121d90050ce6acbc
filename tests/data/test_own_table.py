"""A user's tables: what a .csv holds, and the line and column of what is wrong in it."""

from pathlib import Path

import numpy as np
import pytest

from lid_vae.data.array.own.table import read_table
from lid_vae.errors import UserError


def table(folder: Path, text: str, **options: object):
    (folder / "t.csv").write_text(text)
    return read_table(folder / "t.csv", **options)


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("1,2.5\n3,-4e1\n", []),
        ("a,b\n1,2.5\n3,-4e1\n", ["a", "b"]),
        ("# a, b\n1, 2.5\n3, -4e1\n", ["a", "b"]),
        ("a;b\n1;2.5\n\n3;-4e1\n", ["a", "b"]),
        ("a\tb\r\n1\t2.5\r\n3\t-4e1\r\n", ["a", "b"]),
        ('\ufeff"a, long","b"\n"1","2.5"\n3,-4e1', ["a, long", "b"]),
    ],
)
def test_forms_of_a_table(tmp_path: Path, text: str, columns: list[str]) -> None:
    found = table(tmp_path, text)
    assert found.x.tolist() == [[1, 2.5], [3, -40]]
    assert (list(found.columns), found.y) == (columns, None)


def test_savetxt_is_read_exactly(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(20, 3))
    np.savetxt(tmp_path / "t.csv", x, delimiter=",", header="a,b,c")
    assert np.array_equal(read_table(tmp_path / "t.csv").x, x)


@pytest.mark.parametrize("labels", ["kind", 1, -2])
def test_columns_by_name_and_number(tmp_path: Path, labels: object) -> None:
    text = "a,kind,b\n1,cat,2\n3,dog,4\n"
    assert table(tmp_path, text, labels=labels).x.tolist() == [[1, 2], [3, 4]]
    assert table(tmp_path, text, labels=labels).y.tolist() == ["cat", "dog"]
    assert table(tmp_path, text, labels=labels, columns=["b"]).x.tolist() == [[2], [4]]
    assert table(tmp_path, text, columns=[2, "a"]).x.tolist() == [[2, 1], [4, 3]]


def test_words_as_labels_are_no_header(tmp_path: Path) -> None:
    found = table(tmp_path, "1,cat\n2,dog\n", labels=1)
    assert (found.x.tolist(), found.y.tolist()) == ([[1], [2]], ["cat", "dog"])


def test_names_that_are_numbers_are_names_first(tmp_path: Path) -> None:
    assert table(tmp_path, "2,x,0\n1,5,9\n", labels="2").y.tolist() == [1]


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("", {}, "t.csv is empty"),
        ("\n \n", {}, "t.csv is empty"),
        ("a,b\n", {"labels": "b"}, "holds no line of numbers below its first"),
        ("a,b\n1,2\n3,tall\n", {}, r"Line 3, column 1 \(b\), of .*t.csv is 'tall', no number. Encode words .*labels="),
        ("1,2\n\n3,tall\n", {}, r"Line 3, column 1 \(counted from 0\), of .* is 'tall'"),
        ("a;b\n1;2\n3;4,5\n", {}, "'4,5', no number. Write decimal points"),
        ("a,b\n1,2\n3,\n", {}, r"Line 3, column 1 \(b\), of .*t.csv is empty. Fill the gap"),
        ("a,b\n1,2\nnan,4\n", {}, r"Line 3, column 0 \(a\), of .* is nan, no finite number"),
        ("a,b\n1,2\n-inf,4\n", {}, "is -inf, no finite number"),
        ("a,b\n1,2\n3,4,5\n", {}, "Line 3 of .*t.csv has 3 cells, and the first line 2"),
        ("a,b\n1,2\n3, \n", {"labels": "b"}, r"Line 3 of .* has no label in column 1 \(b\)"),
        ("height,b\n1,2\n", {"labels": "heigth"}, r"labels=heigth is no column of .* Did you mean labels=height\?"),
        ("a,b\n1,2\n", {"columns": ["z"]}, r"columns=z is no column of .*t.csv. Its columns are a, b\."),
        ("1,2\n", {"labels": 2}, r"labels=2 is no column of .*t.csv, whose columns are 0 to 1"),
        ("a,a\n1,2\n", {"labels": "a"}, "several columns called a. Give the number of one"),
        ("a\n1\n", {"labels": "a"}, "has no column beside its labels"),
    ],
)
def test_tables_that_are_refused(tmp_path: Path, text: str, options: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        table(tmp_path, text, **options)


def test_files_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"a,b\n1,2\n\xff\xfe,3\n")
    with pytest.raises(UserError, match=r"t.csv cannot be read as a table: .* Save it as text in UTF-8"):
        read_table(tmp_path / "t.csv")
