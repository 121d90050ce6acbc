"""Drawing on matplotlib axes: scatter plots by class, densities, grids of images, heat maps. Arrays in, ink out."""

import io
from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import cache
from itertools import zip_longest

import numpy as np
from matplotlib import RcParams, rc_context, rc_params_from_file
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from lid_vae.appearance import STYLE

__all__ = [
    "MarkedPair",
    "colours",
    "draw_bars",
    "draw_clouds",
    "draw_contours",
    "draw_heat_map",
    "draw_images",
    "draw_marks",
    "draw_sentences",
    "pdf",
    "png",
    "render",
    "styled",
    "svg",
]

# Paul Tol's "muted" scheme (SRON/EPS/TN/09-002, 2021) and black: told apart with any common colour blindness.
PALETTE = (
    "#332288",
    "#CC6677",
    "#117733",
    "#DDCC77",
    "#88CCEE",
    "#882255",
    "#44AA99",
    "#999933",
    "#AA4499",
    "#000000",
)
PLAIN, PALE = "#332288", "0.8"
AGREES = "#117733"
LETTER = 0.602 * 8
"""Points of one of DejaVu Sans Mono, of eight points."""
MarkedPair = tuple[str, Sequence[tuple[str, bool]]]
"""A sentence, and the words of another, each with whether it agrees with the first."""
NAMED = 12
MANY = 500
"""Dots of a scatter plot, above which files of vectors are large and slow."""
OUTLINE = withStroke(linewidth=2.5, foreground="white")


def colours(classes: np.ndarray | None, count: int) -> list[str]:
    """A colour for each of ``count`` examples, by ``classes``; they come round again after ten classes."""
    return [PLAIN] * count if classes is None else [PALETTE[int(c) % len(PALETTE)] for c in classes]


def draw_clouds(
    axis: Axes,
    points: np.ndarray,
    classes: np.ndarray | None,
    reference: np.ndarray | None = None,
    names: bool = True,
) -> None:
    """``points`` on ``axis``, coloured by ``classes`` [B], before a pale ``reference``.

    [B, 1] become a histogram and [B, 2] a scatter plot, whose dots are pixels in a PDF or SVG where there are many. Up
    to twelve classes are named at their medians, where ``names`` is true.
    """
    if points.shape[1] == 1:
        _histograms(axis, points[:, 0], classes, None if reference is None else reference[:, 0])
        return
    if reference is not None:
        many = len(reference) > MANY
        axis.scatter(reference[:, 0], reference[:, 1], s=3, color=PALE, linewidths=0, rasterized=many)
    size, inks = np.clip(10_000 / len(points), 5, 15), colours(classes, len(points))
    axis.scatter(points[:, 0], points[:, 1], s=size, c=inks, alpha=0.6, linewidths=0, rasterized=len(points) > MANY)
    if names and classes is not None and 1 < len(present := np.unique(classes)) <= NAMED:
        for c in present:
            x, y = np.median(points[classes == c], 0)
            text = axis.text(x, y, str(c), ha="center", va="center", fontsize=11, fontweight="bold", zorder=4)
            text.set_path_effects([OUTLINE])


def draw_contours(axis: Axes, x: np.ndarray, y: np.ndarray, log_density: np.ndarray, inks: Sequence[str]) -> None:
    """On ``axis``, of each density the lines one and two standard deviations out, were it Gaussian.

    ``log_density`` [K, G, G] has the columns ``x`` and the rows ``y``; ``inks`` are a colour for each density.
    """
    for density, ink in zip(log_density, inks, strict=True):
        relative = density - density.max()
        axis.contour(x, y, relative, levels=[-2.0, -0.5], colors=[ink], linewidths=[0.8, 1.2], linestyles="solid")


def draw_marks(axis: Axes, points: np.ndarray, inks: Sequence[str]) -> None:
    """Crosses with a white edge on ``axis``, at ``points`` [K, 2], in the colours ``inks``."""
    axis.scatter(points[:, 0], points[:, 1], s=60, c=list(inks), marker="X", edgecolors="white", linewidths=1, zorder=3)


def draw_images(axis: Axes, images: np.ndarray, columns: int, names: Sequence[str] | None = None) -> None:
    """``images`` on ``axis`` in rows of ``columns``, ``names`` in their corners.

    Values are in [0, 1]: of [N, height, width] 1 is dark, and [N, height, width, 3] are red, green and blue.
    """
    count, height, width, *channels = images.shape
    rows = -(-count // columns)
    sheet = np.full((rows * (height + 1) + 1, columns * (width + 1) + 1, *channels), 1.0 if channels else np.nan)
    for number, image in enumerate(images):
        top, left = number // columns * (height + 1) + 1, number % columns * (width + 1) + 1
        sheet[top : top + height, left : left + width] = image
        if names is not None:
            text = axis.text(left, top, names[number], fontsize=7, va="top", color="#882255")
            text.set_path_effects([OUTLINE] if channels else [])
    axis.imshow(np.ma.masked_invalid(sheet), cmap="gray_r", vmin=0, vmax=1, interpolation="nearest")
    axis.set_axis_off()


def draw_bars(axis: Axes, heights: np.ndarray, inks: str | Sequence[str], line: np.ndarray | float) -> None:
    """Bars of ``heights`` on ``axis``, coloured by ``inks``.

    Across them runs a dashed ``line``, or a step for each bar.
    """
    place = np.arange(len(heights))
    axis.bar(place, heights, color=inks, width=0.8)
    level = np.broadcast_to(line, len(heights))
    axis.hlines(level, place - 0.5, place + 0.5, colors="black", linestyles="dashed", linewidth=0.9)
    axis.spines[["top", "right"]].set_visible(False)


def draw_sentences(axis: Axes, sentences: Sequence[MarkedPair], width: float) -> None:
    """``sentences`` on ``axis``, each with the words of another below, in colour and underlined where they agree.

    ``width`` is that of the axis, in inches: longer lines are cut.
    """
    columns = int(width * 72 / LETTER) - 4

    def write(place: int, line: int, word: str, ink: str) -> None:
        # Each word by itself, so that it stands below its like; a dollar in it is no mathematics.
        axis.text(place, line, word, family="monospace", fontsize=8, va="baseline", color=ink, parse_math=False)

    axis.set(xlim=(0, columns), ylim=(3 * len(sentences), -1))
    axis.set_axis_off()
    said = "data, and below each its reconstruction (greedy); underlined: as in the data"
    axis.set_title(said, fontsize=10, loc="left")
    for number, (sentence, words) in enumerate(sentences):
        place, line = 0, 3 * number
        for above, below in zip_longest(sentence.split(), words or [("(no word)", False)]):
            word, agrees = below or ("", False)
            room = max(len(above or ""), len(word))
            if place + room > columns - 3:
                write(place, line, "...", "black")
                break
            write(place, line, above or "", "0.35")
            write(place, line + 1, word, AGREES if agrees else "black")
            if agrees:
                axis.plot([place, place + len(word)], [line + 1.2] * 2, color=AGREES, linewidth=0.8)
            place += room + 1


def draw_heat_map(axis: Axes, table: np.ndarray) -> None:
    """The ``table`` of shares in [0, 1] on ``axis``, darker for more; written out where there is room."""
    axis.imshow(table, cmap="Blues", vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    axis.set_yticks(range(len(table)))
    if max(table.shape) > NAMED:
        return
    for (row, column), share in np.ndenumerate(table):
        if share >= 0.005:
            ink = "white" if share > 0.6 else "black"
            axis.text(column, row, f"{share:.2f}".removeprefix("0"), ha="center", va="center", fontsize=7, color=ink)


def render(figure: Figure) -> np.ndarray:
    """The ``figure`` as an RGB image [height, width, 3] of bytes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def styled() -> AbstractContextManager[None]:
    """The style of every picture, within it: of what is made there, and of files that are written there."""
    return rc_context(_style())


@cache
def _style() -> RcParams:
    return rc_params_from_file(STYLE, use_default_template=False)


def png(figure: Figure, dots: float | None = None) -> bytes:
    """The ``figure`` as a PNG file, of so many ``dots`` to an inch; None: as many as it says itself.

    ``savefig`` draws everything twice where a layout is to be found.
    """
    from PIL import Image

    own = figure.dpi
    file = io.BytesIO()
    figure.set_dpi(dots or own)
    try:
        Image.fromarray(render(figure)).save(file, format="png", dpi=(figure.dpi, figure.dpi))
    finally:
        figure.set_dpi(own)
    return file.getvalue()


def pdf(figure: Figure) -> bytes:
    """The ``figure`` as a PDF file, its fonts whole TrueType ones, the same for the same figure."""
    from matplotlib.backends.backend_pdf import FigureCanvasPdf

    file = io.BytesIO()
    with styled():
        FigureCanvasPdf(figure).print_pdf(file, metadata={"CreationDate": None})  # ``savefig`` draws everything twice
    return file.getvalue()


def svg(figure: Figure) -> bytes:
    """The ``figure`` as an SVG file, its text as text, the same for the same figure."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    file = io.BytesIO()
    with styled():
        FigureCanvasSVG(figure).print_svg(file, metadata={"Date": None})
    return file.getvalue()


def _histograms(axis: Axes, values: np.ndarray, classes: np.ndarray | None, reference: np.ndarray | None) -> None:
    pool = values if reference is None else np.concatenate([values, reference])
    low, high = np.quantile(pool, [0.002, 0.998])
    edges = list(np.linspace(low, high, 60))
    if reference is not None:
        axis.hist(reference, edges, density=True, color=PALE)
    present = [None] if classes is None else list(np.unique(classes))
    parts = [values if c is None else values[classes == c] for c in present]
    axis.hist(
        parts,
        edges,
        weights=[np.full(len(part), 1 / len(values) / (edges[1] - edges[0])) for part in parts],
        histtype="step",
        stacked=len(parts) > 1,
        color=colours(None if classes is None else np.array(present), len(parts)),
        linewidth=1.5,
    )
    axis.set_yticks([])
