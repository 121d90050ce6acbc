"""A user's table of numbers, .csv or .tsv: columns for x, one for labels, and where a cell is at fault."""

__all__ = ["Column", "read_table"]

import csv
import difflib
import math
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from lid_vae.data.array.own.real_array import Given
from lid_vae.errors import UserError

Column = str | int
"""A column by its name, or by its number from 0 (from the end where negative)."""


def read_table(path: Path, columns: Sequence[Column] | None = None, labels: Column | None = None) -> Given:
    """The numbers of the file ``path``, and the labels where a column holds them.

    Cells stand apart by tabs in a .tsv; else by semicolons where the first line has any, or tabs, or commas. The first
    line names the columns if one of its cells is no number where the cell below is one, or if ``columns`` or ``labels``
    are names. Empty lines are left out.

    Args:
        path: the file.
        columns: those of x; None for all but the labels.
        labels: the column of the labels, whole numbers or words; None for no labels.

    Raises:
        UserError: for a file that is no such table, a column that it has not, and the first cell that is no finite
            number, by line and column.
    """
    lines = _Lines(path)
    first, second = ([*islice(lines, 2), (0, []), (0, [])])[:2]
    if not first[1]:
        raise UserError(f"{path} is empty. Give a line of numbers for each example.")
    named = any(isinstance(column, str) and not _is_whole(column) for column in [*(columns or ()), labels])
    headed = named or any(not _is_number(a) and _is_number(b) for a, b in zip(first[1], second[1], strict=False))
    names = [name.strip() for name in first[1]] if headed else []
    names[:1] = [name.removeprefix("#").strip() for name in names[:1]]
    count = len(first[1])
    of_labels = None if labels is None else _number(labels, names, count, "labels", path)
    if columns is None:
        used = [column for column in range(count) if column != of_labels]
    else:
        used = [_number(column, names, count, "columns", path) for column in columns]
    if not used:
        raise UserError(f"{path} has no column beside its labels. Give at least one of numbers.")
    chosen = [names[column] for column in used] if names else []
    rows, words = [], []
    for line, cells in islice(lines, int(headed), None):
        if len(cells) != count:
            raise UserError(
                f"Line {line} of {path} has {len(cells)} cells, and the first line {count}. Give each line as many, "
                "with a cell that holds commas in quotation marks."
            )
        try:
            rows.append(np.array([cells[column] for column in used], np.float64))
            bad = not np.isfinite(rows[-1]).all()
        except ValueError:
            bad = True
        if bad:
            raise _fault(path, line, cells, used, names)
        if of_labels is not None:
            words.append(cells[of_labels].strip())
            if not words[-1]:
                raise UserError(
                    f"Line {line} of {path} has no label in column {_told(of_labels, names)}. Give one, or "
                    "take the line out."
                )
    if not rows:
        raise UserError(f"{path} holds no line of numbers below its first. Give one for each example.")
    y = None if of_labels is None else _as_labels(words)
    return Given(np.stack(rows), y, str(path), chosen)


class _Lines:
    """The lines of a table that are not empty, with their numbers from 1, as often as they are asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise UserError(f"{path} is a device or a pipe, and no ordinary file. Name the file itself.")
        try:
            with path.open(newline="", encoding="utf-8-sig") as file:
                first = next((line for line in file if line.strip()), "")
        except UnicodeDecodeError as error:
            raise self._no_text(error) from error
        marks = "\t" if path.suffix.lower() == ".tsv" else ";\t,"
        self.mark = next((mark for mark in marks if mark in first), marks[-1])

    def __iter__(self) -> Iterator[tuple[int, list[str]]]:
        with self.path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, delimiter=self.mark, skipinitialspace=True)
            try:
                yield from ((reader.line_num, cells) for cells in reader if any(map(str.strip, cells)))
            except (UnicodeDecodeError, csv.Error) as error:
                raise self._no_text(error) from error

    def _no_text(self, error: Exception) -> UserError:
        return UserError(f"{self.path} cannot be read as a table: {error}. Save it as text in UTF-8.")


def _number(column: Column, names: Sequence[str], count: int, option: str, path: Path) -> int:
    """Of a column its number from 0."""
    if str(column) in names:
        if names.count(str(column)) > 1:
            raise UserError(f"{path} has several columns called {column}. Give the number of one: {option}=<number>.")
        return names.index(str(column))
    if _is_whole(column):
        if -count <= int(column) < count:
            return int(column) % count
        raise UserError(f"{option}={column} is no column of {path}, whose columns are 0 to {count - 1}.")
    near = difflib.get_close_matches(str(column), names, n=1)
    hint = f" Did you mean {option}={near[0]}?" if near else ""
    raise UserError(
        f"{option}={column} is no column of {path}.{hint} Its columns are {', '.join(names[:20])}"
        f"{', ...' if len(names) > 20 else ''}."
    )


def _fault(path: Path, line: int, cells: Sequence[str], used: Sequence[int], names: Sequence[str]) -> UserError:
    """What is wrong with the first of the cells in use that is no finite number."""
    column = next(one for one in used if not _is_number(cells[one]) or not math.isfinite(float(cells[one])))
    cell = cells[column].strip()
    where = f"Line {line}, column {_told(column, names)}, of {path}"
    if not cell:
        return UserError(f"{where} is empty. Fill the gap, or take the line out.")
    if _is_number(cell):
        return UserError(f"{where} is {cell}, no finite number. Fill the gap, or take the line out.")
    hint = "Write decimal points" if re.fullmatch(r"-?\d+,\d+", cell) else "Encode words as numbers"
    return UserError(
        f"{where} is '{cell[:40]}', no number. {hint}, choose the columns of numbers with columns=[...], or name "
        "the column of the labels with labels=<column>."
    )


def _told(column: int, names: Sequence[str]) -> str:
    return f"{column} ({names[column]})" if names else f"{column} (counted from 0)"


def _as_labels(words: list[str]) -> np.ndarray:
    """Numbers where all are numbers, so that 10 comes after 9."""
    return np.array(words, np.float64) if all(map(_is_number, words)) else np.array(words)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _is_whole(column: Column | None) -> bool:
    return re.fullmatch(r"-?\d+", str(column)) is not None
