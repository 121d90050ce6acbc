"""One HTML page with tables and pictures, which needs nothing beside itself."""

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from pathlib import Path

from jinja2 import Environment, FileSystemLoader

from lid_vae.appearance import appearance
from lid_vae.report.numbers.analysis import Analysed
from lid_vae.report.output.finding import finding
from lid_vae.report.output.pictures import embedded, pictures, texts
from lid_vae.report.output.table import grid
from lid_vae.report.output.wording import FURTHER, caption, legend

__all__ = ["PICTURED", "page"]

# Tables with pictures; of more the page would be too heavy, and their own folders have reports of their own.
PICTURED = 4
COMMANDS = 12


def page(title: str, items: Sequence[Analysed], notes: Sequence[str], drawn: Sequence[Mapping[str, bytes]]) -> str:
    """The text of a page with a ``title``, the tables ``items`` and, below, ``notes``.

    ``drawn`` are the figures of each of the first ``PICTURED`` tables, as PNG. Every word from a result is escaped.
    """
    environment = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True)
    sections = [_section(item, images) for item, images in zip_longest(items, drawn)]
    if len(items) > PICTURED:
        notes = [*notes, f"Pictures of the first {PICTURED} tables; a report on a table's own folder has its pictures."]
    return environment.get_template("page.html.jinja").render(title=title, sections=sections, notes=notes)


def _section(item: Analysed, drawn: Mapping[str, bytes] | None) -> dict[str, object]:
    shown = [] if drawn is None else pictures(item, drawn)
    return {
        "title": item.title,
        "finding": finding(item),
        "brief": _table(item, False),
        "full": _table(item, True),
        "pictures": [{"title": one.title, "address": embedded(one.image), "width": one.width} for one in shown],
        "texts": [{"title": title, "text": text} for title, text in ([] if drawn is None else texts(item))],
        "provenance": _provenance(item),
    }


def _table(item: Analysed, detail: bool) -> dict[str, object]:
    headings, rows = grid(item, detail)
    shorts = [len(line.row.results) < line.expected for line in item.lines]
    colours = [appearance(line.row.model).colour for line in item.lines]
    return {
        "headings": headings,
        "rows": [
            {"cells": row, "short": short, "colour": colour}
            for row, short, colour in zip(rows, shorts, colours, strict=True)
        ],
        "caption": caption(item) if detail else [one for one in legend(item) if one != FURTHER],
    }


def _provenance(item: Analysed) -> list[str]:
    """Commands, versions and hardware, each once."""
    commands = list(dict.fromkeys(str(result["command"]) for result in item.results if result.get("command")))
    if len(commands) > COMMANDS:
        commands = [*commands[:COMMANDS], f"and {len(commands) - COMMANDS} more commands"]
    machines = {f"lid_vae {r.get('version')}, torch {r.get('torch')}, on {r.get('device')}" for r in item.results}
    return [*commands, *sorted(machines)]
