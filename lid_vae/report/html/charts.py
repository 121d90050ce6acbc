"""Learning curves as SVG, and the same numbers for whoever reads them off."""

from collections.abc import Sequence
from functools import lru_cache
from math import isfinite
from typing import Any, NamedTuple

import numpy as np
from markupsafe import Markup
from matplotlib import rcParams
from matplotlib.markers import MarkerStyle
from matplotlib.ticker import MaxNLocator

from lid_vae.appearance import Appearance
from lid_vae.report.numbers.curves import LOGGED, Curve, Curves
from lid_vae.shown import Number

__all__ = ["POINTS", "Chart", "charts", "sample"]

# Steps of one curve: more cannot be told apart at this width.
POINTS = 80
# In the units of an SVG, whose width is that of a phone's screen.
WIDTH, HEIGHT = 360, 250
LEFT, TOP, RIGHT, BOTTOM = 54, 10, 348, 212
# The page's order; others stand behind.
FIRST = ("kl", "mi", "elbo", "ll", "au", "accuracy")
MARKS = 8
# Numbers of a table's curves, seed by seed, that a page can hold: a third of a megabyte.
MOST = 50_000
# Matplotlib's dashes and gaps, in widths of the line.
PATTERNS = {
    "dashed": rcParams["lines.dashed_pattern"],
    "dotted": rcParams["lines.dotted_pattern"],
    "dashdot": rcParams["lines.dashdot_pattern"],
}


class Chart(NamedTuple):
    """The curves of one measure: an ``svg``, what it says (``alt``), and ``data``, which the page's script reads off.

    ``title`` heads it. ``thinned`` is of how many steps only some are drawn; None where all are.
    """

    title: str
    alt: str
    svg: Markup
    data: dict[str, Any]
    thinned: int | None


class _Curve(NamedTuple):
    """Of one row: the steps [T], the values [T, N] of the runs of N ``seeds``, and mean, lowest and highest of them."""

    row: int
    steps: np.ndarray
    values: np.ndarray
    seeds: Sequence[int]
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray


def charts(curves: Sequence[Curves], names: Sequence[str], looks: Sequence[Appearance]) -> list[Chart]:
    """A chart for each measure that some of ``curves`` has; row by row, ``names`` and ``looks`` are their own.

    Their data have the curve of each seed, unless there are very many.
    """
    order = sorted(LOGGED.items(), key=lambda one: FIRST.index(one[1].key) if one[1].key in FIRST else len(FIRST))
    drawn = {name: [_curve(row, read[name]) for row, read in enumerate(curves) if name in read] for name, _ in order}
    apart = sum(one.values.size for rows in drawn.values() for one in rows) <= MOST
    found = []
    for name, number in order:
        if rows := drawn[name]:
            most = max(len(read[name].steps) for read in curves if name in read)
            found.append(_chart(number, rows, names, looks, most if most > POINTS else None, apart))
    return found


@lru_cache(maxsize=64)
def sample(look: Appearance) -> Markup:
    """A piece of the line of ``look`` with its marker, for a key."""
    line = Markup('<line x1="2" x2="40" y1="8" y2="8" {}/>').format(_stroke(look))
    return Markup(
        '<svg class="sample" viewBox="0 0 42 16" width="42" height="16" aria-hidden="true">{}{}</svg>'
    ).format(line, _marker(look, 21, 8))


def _curve(row: int, read: Curve) -> _Curve:
    steps, values_TN = read.steps, np.where(np.isfinite(read.values), read.values, np.nan)
    keep = np.unique(np.linspace(0, len(steps) - 1, min(POINTS, len(steps))).round().astype(int))
    kept_TN = values_TN[keep]
    with np.errstate(over="ignore"):  # what overflows is left out, as other numbers that JSON does not have
        return _Curve(row, steps[keep], kept_TN, read.seeds, kept_TN.mean(1), kept_TN.min(1), kept_TN.max(1))


def _chart(
    number: Number,
    rows: Sequence[_Curve],
    names: Sequence[str],
    looks: Sequence[Appearance],
    thinned: int | None,
    apart: bool,
) -> Chart:
    first, last = (float(f([f(one.steps) for one in rows])) for f in (min, max))
    low, high = _scale(rows, number.bounded)
    steps, levels = _ticks(first, last), _ticks(low, high)

    def x(step: float) -> float:
        return LEFT + (step - first) / (last - first or 1) * (RIGHT - LEFT)

    def y(value: float) -> float:
        # Far outside is outside: what overflows a browser's numbers is not drawn at all.
        return float(np.clip(BOTTOM - (value - low) / (high - low) * (BOTTOM - TOP), -1e4, 1e4))

    parts = [_axis(steps, levels, x, y)]
    inside = []
    for one in rows:
        look = looks[one.row]
        edges = [(x(s), y(a), y(b)) for s, a, b in _finite(one.steps, one.low, one.high)]
        band = [*((s, b) for s, _, b in edges), *((s, a) for s, a, _ in reversed(edges))]
        inside.append(
            Markup('<polygon data-row="{}" points="{}" fill="{}" opacity="0.18"/>').format(
                one.row, _points(band), look.colour
            )
        )
    for one in rows:
        look = looks[one.row]
        places = [(x(s), y(m)) for s, m in _finite(one.steps, one.mean)]
        line = Markup('<polyline points="{}" {}/>').format(_points(places), _stroke(look))
        marks = [_marker(look, across, up) for across, up in places[:: max(1, len(places) // MARKS)]]
        inside.append(Markup('<g data-row="{}">{}{}</g>').format(one.row, line, Markup("").join(marks)))
    # A nested SVG cuts off what lies outside of the axes.
    parts.append(
        Markup(
            '<svg class="inside" x="{0}" y="{1}" width="{2}" height="{3}" viewBox="{0} {1} {2} {3}">{4}</svg>'
        ).format(LEFT, TOP - 4, RIGHT - LEFT + 8, BOTTOM - TOP + 8, Markup("").join(inside))
    )
    parts.append(Markup('<line class="cursor" x1="0" x2="0" y1="{}" y2="{}" visibility="hidden"/>').format(TOP, BOTTOM))
    title = f"Validation {number.label}"
    ends = [f"{names[one.row]} {one.mean[-1]:.{number.digits}f}" for one in rows if isfinite(one.mean[-1])]
    alt = f"{title}, against the step. At the end: {', '.join(ends)}."
    svg = Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        WIDTH, HEIGHT, alt, Markup("").join(parts)
    )
    data = {
        "key": number.key,
        "digits": number.digits,
        "box": [LEFT, RIGHT, WIDTH],
        "range": [first, last],
        "scale": [TOP, BOTTOM, low, high],
        "marks": MARKS,
        "rows": [
            {
                "row": one.row,
                "steps": one.steps.tolist(),
                **{name: [_short(value) for value in getattr(one, name)] for name in ("mean", "low", "high")},
                "seeds": [str(seed) for seed in one.seeds] if apart else None,
                "values": [[_short(value) for value in values] for values in one.values.T] if apart else None,
            }
            for one in rows
        ],
    }
    return Chart(title, alt, svg, data, thinned)


def _finite(*columns: np.ndarray) -> list[tuple[float, ...]]:
    """The rows of the ``columns`` that hold numbers alone."""
    return [row for row in zip(*(column.tolist() for column in columns), strict=True) if all(map(isfinite, row))]


def _scale(rows: Sequence[_Curve], bounded: bool) -> tuple[float, float]:
    """That of the values but for the first tenth and, where they can fall without limit, their lowest twentieth."""
    values = np.concatenate([edge[len(one.steps) // 10 :] for one in rows for edge in (one.low, one.high)])
    values = values[np.isfinite(values) & (np.abs(values) < 1e300)]
    if not len(values):
        return 0.0, 1.0
    low, high = float(np.quantile(values, 0.0 if bounded else 0.05)), float(values.max())
    margin = 0.06 * (high - low) or 0.1 * abs(high) or 0.1
    return low - margin, high + margin


def _ticks(low: float, high: float) -> list[float]:
    return [float(tick) for tick in MaxNLocator(5).tick_values(low, high) if low <= tick <= high]


def _axis(across: Sequence[float], up: Sequence[float], x: Any, y: Any) -> Markup:
    step = float(np.diff(up).min()) if len(up) > 1 else 1.0
    digits = next((k for k in range(7) if abs(round(step, k) - step) < 1e-6 * step), 7)
    wide = max((abs(tick) for tick in (*across, *up)), default=0) >= 1e6
    parts = [Markup('<path class="axis" d="M{0} {1}V{2}H{3}"/>').format(LEFT, TOP, BOTTOM, RIGHT)]
    for tick in up:
        text = f"{tick:.3g}" if wide else f"{tick:.{digits}f}"
        parts.append(
            Markup(
                '<path class="grid" d="M{0} {2:.1f}H{1}"/><text x="{3}" y="{4:.1f}" text-anchor="end">{5}</text>'
            ).format(LEFT, RIGHT, y(tick), LEFT - 5, y(tick) + 4, text)
        )
    for tick in across:
        parts.append(
            Markup('<text x="{:.1f}" y="{}" text-anchor="middle">{}</text>').format(
                x(tick), BOTTOM + 16, _compact(tick)
            )
        )
    parts.append(Markup('<text x="{}" y="{}" text-anchor="middle">step</text>').format((LEFT + RIGHT) / 2, BOTTOM + 33))
    return Markup("").join(parts)


def _compact(step: float) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(step) >= 10 * size or (abs(step) >= size and step % size == 0):
            return f"{step / size:g}{letter}"
    return f"{step:g}"


def _points(places: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)


def _short(value: float) -> float | None:
    return float(f"{value:.5g}") if isfinite(value) else None


def _stroke(look: Appearance) -> Markup:
    dashes = PATTERNS.get(look.line, ()) if isinstance(look.line, str) else look.line[1]
    array = " ".join(f"{look.width * dash:.3g}" for dash in dashes)
    dashed = Markup(' stroke-dasharray="{}"').format(array) if array else Markup("")
    return Markup('fill="none" stroke="{}" stroke-width="{}"{}').format(look.colour, look.width, dashed)


def _marker(look: Appearance, x: float, y: float) -> Markup:
    return Markup('<path transform="translate({:.1f} {:.1f})" d="{}" fill="{}" stroke="{}"/>').format(
        x, y, _outline(look.marker), look.colour if look.filled else "#fff", look.colour
    )


@lru_cache(maxsize=64)
def _outline(marker: str) -> str:
    """Matplotlib's marker as the path of an SVG, whose vertical axis points down."""
    style = MarkerStyle(marker)
    path = style.get_path().transformed(style.get_transform())
    size = 9 if marker == "*" else 3 if marker == "." else 6.5
    letters = {1: "M", 2: "L", 3: "Q", 4: "C", 79: "Z"}
    found = []
    for points, code in path.iter_segments(curves=True, simplify=False):
        flat = np.asarray(points).reshape(-1, 2) * (size, -size)
        pairs = "" if int(code) == 79 else " ".join(f"{value:.1f}" for value in flat.ravel())
        found.append(letters[int(code)] + pairs)
    return "".join(found)
