"""Lines of code of the program, room by room: ``python benchmarks/lines.py``, or of another checkout, its folder after.

A line counts if a token of Python's own tokenizer begins, ends or goes on there that is no comment and no line break,
and if it is not of a docstring: a string that is a statement by itself, of a module, class, function or attribute. So
brackets alone on a line count, comments, docstrings and blank lines do not. Long files are those of more than
``LONGEST`` lines in all.
"""

import ast
import io
import tokenize
from collections.abc import Iterator
from pathlib import Path

from bench import ROOT, options_of, publish, table

ROOTS = ("lid_vae", "hydra_plugins")
LONGEST = 350
NO_CODE = (
    tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER,
)  # fmt: skip


def code_lines(source: str) -> int:
    """Those of a file that hold code."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    lines = {n for t in tokens if t.type not in NO_CODE for n in range(t.start[0], t.end[0] + 1)}
    return len(lines - {n for node in docstrings(source) for n in range(node.lineno, (node.end_lineno or 0) + 1)})


def docstrings(source: str) -> Iterator[ast.Expr]:
    """Strings that are statements by themselves."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node


def main() -> None:
    parser = options_of(__doc__)
    parser.add_argument("checkout", type=Path, nargs="?", default=ROOT)
    options = parser.parse_args()
    rooms: dict[str, list[tuple[str, int, int]]] = {}
    for root in ROOTS:
        for path in sorted((options.checkout / root).rglob("*.py")):
            place, source = path.relative_to(options.checkout), path.read_text()
            room = "/".join(place.parts[:-1][:2])
            rooms.setdefault(room, []).append((str(place), code_lines(source), len(source.splitlines())))
    files = [file for room in rooms.values() for file in room]
    rows = [
        [name, len(found), *(f"{sum(counts):,}" for counts in list(zip(*found, strict=True))[1:])]
        for name, found in (*sorted(rooms.items()), ("in total", files))
    ]
    lines = table(["room", "files", "lines of code", "lines in all"], rows)
    long = [f"{name} ({count})" for name, _, count in files if count > LONGEST]
    publish("Lines of code", options, [*lines, "", f"Above {LONGEST} lines in all: {', '.join(long) or 'none'}."])


if __name__ == "__main__":
    main()
