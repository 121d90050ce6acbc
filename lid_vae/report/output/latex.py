"""Tables as LaTeX, for a document that loads booktabs."""

import re
from collections.abc import Sequence
from itertools import zip_longest

from lid_vae.report.numbers.analysis import Analysed
from lid_vae.report.output.table import grid
from lid_vae.report.output.wording import caption

__all__ = ["latex"]

_NAMED = {
    "\\": "backslash",
    "~": "asciitilde",
    "^": "asciicircum",
    "<": "less",
    ">": "greater",
    "|": "bar",
    '"': "quotedbl",
}
_SPECIAL = str.maketrans(
    {mark: rf"\text{name}{{}}" for mark, name in _NAMED.items()} | {mark: rf"\{mark}" for mark in "{}&%$#_"}
)


def latex(items: Sequence[Analysed]) -> str:
    """A ``table*`` for each of ``items``, to be read by LaTeX's input; the parts of a cell stand below one another."""
    return "% \\usepackage{booktabs}, and \\usepackage[T1]{fontenc} for quotation marks\n" + "\n".join(
        _table(item) for item in items
    )


def _table(item: Analysed) -> str:
    headings, rows = grid(item)
    lines = [
        r"\begin{table*}[p]",
        r"\centering",
        r"\scriptsize",
        r"\setlength{\tabcolsep}{2pt}",
        rf"\begin{{tabular}}{{ll{'r' * (len(headings) - 2)}}}",
        r"\toprule",
        " & ".join(map(_escape, headings)) + r" \\",
        r"\midrule",
    ]
    for number, row in enumerate(rows):
        if number:
            lines.append(r"\addlinespace")
        for parts in zip_longest(*row, fillvalue=""):
            lines.append(" & ".join(_signed(_escape(part)) for part in parts) + r" \\")
    lines += [
        r"\bottomrule",
        r"\end{tabular}",
        rf"\caption{{{_escape(item.title)}. {' '.join(map(_escape, caption(item)))}}}",
        r"\end{table*}",
        "",
    ]
    return "\n".join(lines)


def _escape(text: str) -> str:
    return " ".join(text.split()).translate(_SPECIAL)


def _signed(text: str) -> str:
    """Numbers begin with a minus, not a hyphen; and a line of a tabular must not begin with an optional argument."""
    text = re.sub(r"(?<!\w)-(?=\d)", "$-$", text)
    return f"{{{text}}}" if text.startswith("[") else text
