"""All panels of a picture on one page, or each by itself: for files, and for loggers."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from lid_vae.appearance import DOTS
from lid_vae.picture.drawing import MarkedPair, draw_sentences, pdf, png, render, styled, svg
from lid_vae.picture.panels import panels
from lid_vae.picture.pictured import PictureData
from lid_vae.system.files import write_atomic
from lid_vae.system.phases import phase

__all__ = ["draw_page", "render_panels", "write_page"]

SIDE, PANEL = 4.2, 3.6
ROW = 4.0
LINE = 0.17
"""Inches of a line of text."""


def write_page(
    pictured: PictureData, path: Path, note: str = "", sentences: Sequence[MarkedPair] = (), vectors: bool = False
) -> Path:
    """Writes the page of ``pictured`` to ``path``, as PNG, and returns that.

    ``note`` and ``sentences`` are those of ``draw_page``. ``vectors``: as SVG and PDF beside it too.
    """
    figure = draw_page(pictured, note, sentences)
    write_atomic(path, png(figure))
    if vectors:
        figure.set_layout_engine("none")  # found once
        for suffix, form in ((".svg", svg), (".pdf", pdf)):
            with phase(f"drawing {path.stem}{suffix}"):
                write_atomic(path.with_suffix(suffix), form(figure))
    return path


def render_panels(pictured: PictureData) -> dict[str, np.ndarray]:
    """The panels of ``pictured`` by name, each an RGB image [height, width, 3] of bytes."""
    found = {}
    for name, panel in panels(pictured).items():
        figure = Figure(figsize=(PANEL * panel.width, PANEL), layout="constrained")
        panel.draw(figure)
        found[name] = render(figure)
    return found


def draw_page(pictured: PictureData, note: str = "", sentences: Sequence[MarkedPair] = ()) -> Figure:
    """The panels of ``pictured`` side by side, at most four sides wide.

    ``note`` stands behind the title. Below are ``sentences``, each with what the model makes of it, if there are any.
    """
    with styled():
        return _draw_page(pictured, note, sentences)


def _draw_page(pictured: PictureData, note: str, sentences: Sequence[MarkedPair]) -> Figure:
    shown = list(panels(pictured).values())
    total = sum(panel.width for panel in shown)
    images = pictured.vectors is not None and pictured.vectors.image_shape is not None
    rows = 1 if total <= ROW and not images else 2
    columns = -(-int(total) // rows)
    strip = LINE * (3 * len(sentences) + 1) if sentences else 0.0
    size = (SIDE * columns, SIDE * rows + 0.3 + strip)
    figure = Figure(figsize=size, dpi=DOTS, layout="constrained")
    figure.suptitle(f"{pictured.title}, {note}" if note else pictured.title, fontsize=11)
    heights = [SIDE] * rows + ([strip] if sentences else [])
    places = figure.add_gridspec(len(heights), columns, height_ratios=heights)
    if sentences:
        draw_sentences(figure.add_subfigure(places[rows, :]).subplots(), sentences, size[0])
    row, column = 0, 0
    for panel in shown:
        if column + panel.width > columns:
            row, column = row + 1, 0
        width = int(panel.width)
        panel.draw(figure.add_subfigure(places[row, column : column + width]))
        column += width
    return figure
