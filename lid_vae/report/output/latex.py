"""Tables as LaTeX, for a document that loads booktabs, and graphicx for the full ones."""

import re
from collections import Counter
from collections.abc import Sequence
from itertools import zip_longest

from lid_vae.report.numbers.analysis import Analysed
from lid_vae.report.numbers.collapse import State
from lid_vae.report.output.table import Entry, grid, shown
from lid_vae.report.output.wording import FURTHER, MARKS, caption, legend, mean_and_deviation

__all__ = ["latex"]

DAGGERS: dict[State, str] = {"collapsed": r"\dagger", "partly": r"\ddagger"}
_AS_WIDE_AS_THE_PAGE = r"}\ifdim\wd0>\textwidth\resizebox{\textwidth}{!}{\usebox0}\else\usebox0\fi"
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


def latex(items: Sequence[Analysed], detail: bool = True) -> str:
    """A table for each of ``items``, to be read by LaTeX's input.

    Without ``detail`` it fits one column of a two-column paper, and deviations are subscripts; with it a ``table*`` has
    all, the parts of a cell stand below one another, and what is wider than the page is made smaller.
    """
    packages = "booktabs,graphicx" if detail else "booktabs"
    head = f"% \\usepackage{{{packages}}}, and \\usepackage[T1]{{fontenc}} for quotation marks\n"
    return head + "\n".join((_full if detail else _narrow)(item) for item in items)


def _full(item: Analysed) -> str:
    headings, rows = grid(item)
    lines = []
    for number, row in enumerate(rows):
        if number:
            lines.append(r"\addlinespace")
        cells = [[_marked(entry), *(_signed(_escape(part)) for part in entry.parts[1:])] for entry in row]
        lines += [" & ".join(parts) + r" \\" for parts in zip_longest(*cells, fillvalue="")]
    frame = "tabular", f"{{ll{'r' * (len(headings) - 2)}}}"
    return _table("table*", "p", "2pt", frame, headings, lines, item, caption(item))


def _narrow(item: Analysed) -> str:
    headings, rows = grid(item, detail=False)
    measures = shown(item, detail=False)
    lines = []
    for line, (name, _, *entries) in zip(item.lines, rows, strict=True):
        cells = [_escape(name.parts[0])]
        for measure, entry in zip(measures, entries, strict=True):
            mean, deviation = mean_and_deviation(line.cells[measure.key], measure)
            below = "" if deviation is None else f"_{{{deviation.removeprefix('0')}}}"
            above = "" if entry.state is None else f"^{DAGGERS[entry.state]}"
            number = rf"\textbf{{{_signed(mean)}}}" if entry.best else _signed(mean)
            cells.append(number + (f"${below}{above}$" if below or above else ""))
        lines.append(" & ".join(cells) + r" \\")
    said = [one.replace("Mean (sd) over seeds", "Mean over seeds, sd as subscript,") for one in legend(item)]
    said.insert(1, _on_seeds(item))
    # As wide as the column: the gaps take what the numbers leave.
    frame = "tabular*", rf"{{\columnwidth}}{{@{{\extracolsep{{\fill}}}}l{'r' * len(measures)}@{{}}}}"
    headings = [headings[0], *headings[2:]]
    return _table("table", "t", "0.8pt", frame, headings, lines, item, [one for one in said if one != FURTHER])


def _on_seeds(item: Analysed) -> str:
    """How many seeds the rows have: a column of its own would be one too many."""
    counts = Counter(line.count for line in item.lines)
    usual = max(counts, key=counts.__getitem__)
    others = [f"{line.row.title} {line.count}" for line in item.lines if line.count != usual]
    return f"{usual} seeds each{', but ' if others else ''}{', '.join(others)}."


def _table(
    environment: str,
    place: str,
    gap: str,
    frame: tuple[str, str],
    headings: Sequence[str],
    lines: Sequence[str],
    item: Analysed,
    sentences: Sequence[str],
) -> str:
    tabular, columns = frame
    # graphicx has no "at most as wide as"
    before, after = (r"\sbox0{", _AS_WIDE_AS_THE_PAGE) if environment.endswith("*") else ("", "")
    return "\n".join(
        [
            rf"\begin{{{environment}}}[{place}]",
            r"\centering",
            r"\scriptsize",
            rf"\setlength{{\tabcolsep}}{{{gap}}}",
            rf"{before}\begin{{{tabular}}}{columns}",
            r"\toprule",
            " & ".join(map(_escape, headings)) + r" \\",
            r"\midrule",
            *lines,
            r"\bottomrule",
            rf"\end{{{tabular}}}{after}",
            rf"\caption{{{_escape(item.title)}. {' '.join(map(_escape, sentences))}}}",
            rf"\end{{{environment}}}",
            "",
        ]
    )


def _marked(entry: Entry) -> str:
    text = _signed(_escape(entry.parts[0]))
    text = rf"\textbf{{{text}}}" if entry.best else text
    return text if entry.state is None else f"{text}$^{DAGGERS[entry.state]}$"


def _escape(text: str) -> str:
    escaped = " ".join(text.split()).translate(_SPECIAL)
    for state, mark in MARKS.items():
        escaped = escaped.replace(mark, f"${DAGGERS[state]}$")
    return escaped


def _signed(text: str) -> str:
    """Numbers begin with a minus, not a hyphen; and a line of a tabular must not begin with an optional argument."""
    text = re.sub(r"(?<!\w)-(?=\d)", "$-$", text)
    return f"{{{text}}}" if text.startswith("[") else text
