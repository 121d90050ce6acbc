"""The help of a program, laid out: plain text within 80 columns, or panels on a terminal.

A template (``conf/hydra/help``) is prose; lines in capitals that head a section; and in sections rows ``option :: one
line``, of which this makes two columns. Hydra's lines ``group: choice, choice`` are rows too.
"""

import io
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from textwrap import wrap

from omegaconf import DictConfig, OmegaConf

from lid_vae.system.invocation import command
from lid_vae.system.phases import is_screen

__all__ = ["laid_out", "lay_out", "register_resolvers"]

WIDTH = 80
WIDEST = 100
"""Of panels: longer lines read badly."""
INDENT = "  "
KEYS = 30
"""Columns of options at most; a longer one has its line to itself."""
_TITLE = re.compile(r"[A-Z][A-Z ,]+(\(.*\))?")
_GROUP = re.compile(r"([a-z_/]+): (.*)")
# Groups that are options of other programs.
_ELSEWHERE = {"figure", "wandb"}


def register_resolvers() -> None:
    """What a help text may say of the configuration: ``${option:key}``, ``${choice:group}`` and ``${command:work}``."""
    OmegaConf.register_new_resolver("option", _option, replace=True)
    OmegaConf.register_new_resolver("choice", _choice, replace=True)
    OmegaConf.register_new_resolver("command", command, replace=True)


@contextmanager
def laid_out(arguments: Sequence[str]) -> Iterator[None]:
    """Lays out the help that is printed within, where the ``arguments`` ask for it; leaves other text alone."""
    if not {"--help", "-h"} & {*arguments}:
        yield
        return
    held = io.StringIO()
    try:
        with redirect_stdout(held):
            yield
    finally:
        _show(held.getvalue())


@dataclass
class Section:
    """Lines under a title: a pair is an option with what is said of it."""

    title: str
    lines: list[str | tuple[str, str]] = field(default_factory=list)


def lay_out(text: str, width: int = WIDTH) -> str:
    """The help ``text`` as plain text of at most ``width`` columns."""
    parts = []
    for section in _sections(text):
        body = _body(section, width - len(INDENT) * bool(section.title))
        indent = INDENT if section.title else ""
        title = [section.title] if section.title else []
        parts.append("\n".join([*title, *(f"{indent}{line}".rstrip() for line, _ in body)]))
    return "\n\n".join(parts) + "\n"


def _option(key: str, *, _root_: DictConfig) -> str:
    """``key=value`` as one would type it: the truth about defaults."""
    value = OmegaConf.select(_root_, key)
    return f"{key}=null" if value is None else f"{key}={str(value).lower() if isinstance(value, bool) else value}"


def _choice(group: str, *, _root_: DictConfig) -> str:
    """``group=choice`` likewise."""
    chosen = OmegaConf.select(_root_, "hydra.runtime.choices") or {}
    return f"{group}={chosen.get(group) or 'null'}"


def _show(text: str) -> None:
    if not text.strip():
        return
    if not is_screen(sys.stdout):
        print(lay_out(text), end="", flush=True)
        return
    # Imported here: what is piped does not wait for it.
    from rich.console import Console
    from rich.panel import Panel
    from rich.text import Text

    console = Console(highlight=False)
    width = min(console.width, WIDEST)
    for section in _sections(text):
        framed = bool(section.title)
        lines = [
            Text.assemble((line[:key], "cyan"), line[key:])
            for line, key in _body(section, width - 4 if framed else width)
        ]
        content = Text("\n").join(lines)
        if framed:
            console.print(Panel(content, title=section.title.capitalize(), title_align="left", width=width))
        else:
            console.print(content)


def _sections(text: str) -> list[Section]:
    """The prose before the first title is a section without one."""
    sections = [Section("")]
    for line in text.strip().splitlines():
        stripped = line.strip()
        group = _GROUP.fullmatch(line)
        if _TITLE.fullmatch(line):
            sections.append(Section(line))
        elif " :: " in line:
            key, _, words = stripped.partition(" :: ")
            sections[-1].lines.append((key.rstrip(), words.strip()))
        elif group is not None and sections[-1].title:
            if group[1] not in _ELSEWHERE:
                sections[-1].lines.append((group[1], group[2]))
        else:
            sections[-1].lines.append(line.removeprefix(INDENT) if sections[-1].title else line)
    for section in sections:
        while section.lines and section.lines[-1] == "":
            section.lines.pop()
        while section.lines and section.lines[0] == "":
            section.lines.pop(0)
    return [section for section in sections if section.lines]


def _body(section: Section, width: int) -> list[tuple[str, int]]:
    """The lines of a ``section`` in ``width`` columns, each with how much of it is an option's name."""
    keys = [len(line[0]) for line in section.lines if isinstance(line, tuple) and len(line[0]) <= KEYS]
    column = min(max(keys, default=0) + len(INDENT), max(width // 2, 1))
    lines: list[tuple[str, int]] = []
    for line in section.lines:
        if isinstance(line, str):
            kept = len(line) <= width or not line.strip()
            lead = line[: len(line) - len(line.lstrip())]
            lines += [(part, 0) for part in ([line] if kept else wrap(line, width, subsequent_indent=lead + INDENT))]
            continue
        key, words = line
        said = wrap(words, max(width - column, 10), break_long_words=False, break_on_hyphens=False) or [""]
        if len(key) + len(INDENT) > column:
            lines.append((key, len(key)))
        else:
            lines.append((f"{key:<{column}}{said.pop(0)}", len(key)))
        lines += [(" " * column + part, 0) for part in said]
    return lines
