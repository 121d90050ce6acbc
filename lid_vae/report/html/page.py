"""One HTML page with tables, curves and pictures, which needs nothing beside itself."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

from lid_vae.appearance import appearances
from lid_vae.report.html.charts import POINTS, Chart, charts, sample
from lid_vae.report.html.data import address, as_script, numbers
from lid_vae.report.html.images import embed
from lid_vae.report.numbers.analysis import Analysed, Line
from lid_vae.report.numbers.collapse import states
from lid_vae.report.numbers.curves import Curves, drawn
from lid_vae.report.output.finding import finding
from lid_vae.report.output.latex import latex
from lid_vae.report.output.pictures import TITLES, pictures, texts
from lid_vae.report.output.table import grid, shown
from lid_vae.report.output.wording import FURTHER, MARKS, caption, legend, single
from lid_vae.shown import Number

__all__ = ["PICTURED", "Drawn", "page"]

HERE = Path(__file__).parent
# Tables with pictures; of more the page would be too heavy, and their own folders have reports of their own.
PICTURED = 4
COMMANDS = 12
# Runs of one table that are listed.
LISTED = 200
NAMES = "Names in bold: models whose latents are identifiable by construction."


class Drawn(NamedTuple):
    """Of one table: its ``figures`` by name, as PNG, and the ``curves`` of its drawn rows."""

    figures: Mapping[str, bytes]
    curves: Sequence[Curves]


def page(title: str, items: Sequence[Analysed], notes: Sequence[str], drawings: Sequence[Drawn], folder: Path) -> str:
    """The text of a page with a ``title``, the tables ``items`` and ``notes``, for a file in ``folder``.

    ``drawings`` are what is drawn of each of the first ``PICTURED`` tables. Every word from a result is escaped, and
    the page allows its browser no script but its own, and no address beside itself.
    """
    environment = Environment(loader=FileSystemLoader(HERE), autoescape=True)
    sections = [
        _section(place, item, drawings[place] if place < len(drawings) else None, folder)
        for place, item in enumerate(items)
    ]
    _embed(sections)
    notes = [*notes, *(note for section in sections for note in section["damaged"])]
    if len(items) > PICTURED:
        notes = [*notes, f"Pictures of the first {PICTURED} tables; a report on a table's own folder has its pictures."]
    # Without a last line break: what the browser hashes begins and ends with the tags.
    script = Markup((HERE / "page.js").read_text(encoding="utf-8").strip())
    return environment.get_template("page.html.jinja").render(
        title=title,
        sections=sections,
        notes=notes,
        points=POINTS,
        terms=_terms(items),
        style=Markup((HERE / "page.css").read_text(encoding="utf-8").strip()),
        script=script,
        hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        data=as_script([section.pop("data") for section in sections]),
    )


def _section(number: int, item: Analysed, drawing: Drawn | None, folder: Path) -> dict[str, Any]:
    found = _charts(item, drawing)
    lines = drawn(item)
    looks = appearances([line.row.model for line in lines])
    return {
        "id": f"table-{number + 1}",
        "number": number,
        "title": item.title,
        "finding": finding(item),
        "brief": _table(item, False),
        "full": _table(item, True),
        "latex": latex([item], detail=False),
        "seeds": sorted({seed for line in item.lines for seed in line.row.results}),
        "charts": found,
        "thinned": max((chart.thinned or 0 for chart in found), default=0),
        "key": [
            {"name": line.row.title, "sample": sample(look), "identifiable": look.identifiable}
            for line, look in zip(lines, looks, strict=True)
        ],
        "ends": _ends(found, len(lines)),
        **_pictures(item, drawing, folder),
        "texts": [] if drawing is None else [{"title": title, "text": text} for title, text in texts(item)],
        "runs": _runs(item, folder),
        "provenance": _provenance(item),
        "data": numbers(item, found),
    }


def _charts(item: Analysed, drawing: Drawn | None) -> list[Chart]:
    if drawing is None:
        return []
    lines = drawn(item)
    looks = appearances([line.row.model for line in lines])
    return charts(drawing.curves, [line.row.title for line in lines], looks)


def _ends(found: Sequence[Chart], rows: int) -> list[list[str]]:
    """What each row's curves end with, a cell for each chart: mean, and lowest and highest."""
    cells = [["-"] * len(found) for _ in range(rows)]
    for column, chart in enumerate(found):
        digits = chart.data["digits"]
        for row in chart.data["rows"]:
            mean, low, high = (row[name][-1] for name in ("mean", "low", "high"))
            if mean is not None:
                beside = "" if low == high else f" [{low:.{digits}f}, {high:.{digits}f}]"
                cells[row["row"]][column] = f"{mean:.{digits}f}{beside}"
    return cells


def _table(item: Analysed, detail: bool) -> dict[str, Any]:
    headings, rows = grid(item, detail)
    measures = shown(item, detail)
    keys = ["model", "seeds", *(measure.key for measure in measures), *(["total"] if detail else [])]
    looks = appearances([line.row.model for line in item.lines])
    return {
        "columns": [{"key": key, "title": title} for key, title in zip(keys, headings, strict=True)],
        "rows": [
            {
                "cells": [
                    {"entry": entry, "key": key, "value": _value(line, key)}
                    for key, entry in zip(keys, row, strict=True)
                ],
                "short": len(line.row.results) < line.expected,
                "sample": sample(look),
                "identifiable": look.identifiable,
            }
            for row, line, look in zip(rows, item.lines, looks, strict=True)
        ],
        "caption": [
            *(caption(item) if detail else [one for one in legend(item) if one != FURTHER]),
            *([NAMES] if any(look.identifiable for look in looks) else []),
        ],
    }


def _value(line: Line, key: str) -> float | None:
    """What a column is sorted by; None for text, and where there is no number."""
    if key == "seeds":
        return len(line.row.results)
    if key == "total":
        return line.seconds
    cell = line.cells.get(key)
    return None if cell is None or cell.summary is None else cell.summary.mean


def _pictures(item: Analysed, drawing: Drawn | None, folder: Path) -> dict[str, Any]:
    """Figures of all models, and what each model's run drew itself; bytes until all the page's are known."""
    if drawing is None:
        return {"figures": [], "beside": []}
    figures = [
        {"title": TITLES[name], "image": image}
        for name, image in drawing.figures.items()
        if name != "curves"  # they are charts of the page itself
    ]
    beside = [
        {"title": name, "image": path.read_bytes(), "link": address(path, folder), "path": path}
        for name, path in pictures(item)
    ]
    return {"figures": figures, "beside": beside}


def _embed(sections: Sequence[dict[str, Any]]) -> None:
    """Puts addresses in the place of the bytes of all pictures, and leaves out what is no picture."""
    all_pictures = [one for section in sections for kind in ("figures", "beside") for one in section[kind]]
    for one, found in zip(all_pictures, embed([one["image"] for one in all_pictures]), strict=True):
        one["address"], one["width"], one["height"] = found or ("", 0, 0)
    for section in sections:
        damaged = [one["path"] for one in section["beside"] if not one["address"]]
        section["damaged"] = [f"{path} is damaged: it is no picture." for path in damaged]
        section["beside"] = [one for one in section["beside"] if one["address"]]


def _runs(item: Analysed, folder: Path) -> dict[str, Any]:
    """Every run with its folder and its numbers, as many as are listed."""
    measures = shown(item, detail=False)
    runs = [(line, seed) for line in item.lines for seed in line.row.expected]
    rows, bases = [], {place: address(place, folder) for place in {line.row.place for line, _ in runs[:LISTED]}}
    for line, seed in runs[:LISTED]:
        result, place = line.row.results.get(seed), line.row.run_folder(seed)
        rows.append(
            {
                "title": line.row.title,
                "seed": seed,
                "link": f"{bases[place.parent]}/{place.name}" if place.is_dir() else None,
                "state": line.row.missing.get(seed) if result is None else "finished",
                "cells": [_single(measure, result, item.table.is_search) for measure in measures],
            }
        )
    titles = [{"key": measure.key, "title": measure.title} for measure in measures]
    return {"columns": titles, "rows": rows, "more": len(runs) - len(rows)}


def _single(measure: Number, result: Mapping[str, Any] | None, search: bool) -> dict[str, Any]:
    value = None if result is None else measure.read(result)
    found = None
    if result is not None and not search and measure.key in ("au", "kl"):
        found = states(result)[measure.key]
    return {"text": single(value, measure) + (MARKS[found] if found else ""), "value": value, "state": found}


def _terms(items: Sequence[Analysed]) -> list[dict[str, str]]:
    """The measures of the page's tables that have a definition, each once."""
    measures = {measure.key: measure for item in items for measure in item.measures if measure.meaning}
    return [{"key": m.key, "title": m.label, "meaning": m.meaning} for m in measures.values()]


def _provenance(item: Analysed) -> list[str]:
    """Commands, versions and hardware, each once."""
    commands = list(dict.fromkeys(str(result["command"]) for result in item.results if result.get("command")))
    if len(commands) > COMMANDS:
        commands = [*commands[:COMMANDS], f"and {len(commands) - COMMANDS} more commands"]
    machines = {f"lid_vae {r.get('version')}, torch {r.get('torch')}, on {r.get('device')}" for r in item.results}
    return [*commands, *sorted(machines)]
