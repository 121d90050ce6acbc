"""Pictures and texts of a table's runs: learning curves, KL by dimension, use of the categories, depth, runs' own."""

from collections.abc import Iterator, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lid_vae.appearance import DOTS, Appearance, appearance, appearances
from lid_vae.report.numbers.analysis import Analysed, Line
from lid_vae.report.numbers.curves import LOGGED, Curves, drawn, read_curves
from lid_vae.report.study.study import Row
from lid_vae.shown import CORE

__all__ = ["TITLES", "Text", "figures", "pictures", "texts"]


# (title, plain text)
Text = tuple[str, str]
TITLES = {
    "depth": "Depth of the decoder: mean over seeds with its 95 % bootstrap interval",
    "curves": "Learning curves: median over seeds, band from the lowest to the highest",
    "divergences": "Divergence from the prior",
}
CURVES = {name: number for name, number in LOGGED.items() if number.drawn}
BY_DEPTH = {number.key: number.label for number in CORE if number.key in ("au", "accuracy", "ll")}


def figures(item: Analysed, curves: Sequence[Curves] | None = None) -> dict[str, Figure]:
    """Those of the table ``item``, by the first part of their files' names: depth, curves, divergences.

    Of its drawn rows; no test data of a search. ``curves`` are those that were read before (None: they are read).
    """
    lines = drawn(item)
    found = {"depth": _depth(item), "curves": _curves(lines, read_curves(item) if curves is None else curves)}
    if not item.table.is_search:
        found["divergences"] = _divergences(lines)
    return {name: figure for name, figure in found.items() if figure is not None}


def pictures(item: Analysed) -> list[tuple[str, Path]]:
    """The pictures that the runs of the table ``item`` drew, each with the name of its run; none of a search."""
    return [] if item.table.is_search else list(_files(drawn(item), "latents.png"))


def texts(item: Analysed) -> list[Text]:
    """What the runs of the table ``item`` wrote of themselves, where their data are text; of a search nothing."""
    files = [] if item.table.is_search else _files(drawn(item), "texts.txt")
    what = "samples, reconstructions, interpolations"
    return [(f"{name}: {what}", path.read_text(encoding="utf-8", errors="replace")) for name, path in files]


def _depth(item: Analysed) -> Figure | None:
    """AU, accuracy and LL of the table ``item`` against the number of maps, a line for each model.

    None where no model has two depths.
    """
    models: dict[str, list[tuple[int, Line]]] = {}
    for line in item.lines:
        if line.row.results and line.row.setting("depth") is not None:
            models.setdefault(line.row.model, []).append((int(line.row.setting("depth")), line))
    models = {model: lines for model, lines in models.items() if len({depth for depth, _ in lines}) > 1}
    if not models or item.table.is_search:
        return None
    shown = [key for key in BY_DEPTH if any(m.key == key for m in item.measures)]
    figure, axes = _side_by_side(len(shown))
    for axis, key in zip(axes, shown, strict=True):
        for model, lines in models.items():
            look = appearance(model)
            found = [(depth, line.cells[key].summary) for depth, line in sorted(lines, key=itemgetter(0))]
            points = [(depth, summary) for depth, summary in found if summary is not None]
            mean = [summary.mean for _, summary in points]
            reach = [
                (0.0, 0.0) if s.low is None or s.high is None else (s.mean - s.low, s.high - s.mean) for _, s in points
            ]
            axis.errorbar(
                [depth for depth, _ in points],
                mean,
                np.maximum(np.transpose(reach), 0),
                **_style(look),
                marker=look.marker,
                capsize=3,
                label=look.name,
            )
        axis.set_xticks(sorted({depth for lines in models.values() for depth, _ in lines}))
        axis.set(xlabel="maps in the decoder", ylabel=BY_DEPTH[key])
    axes[0].legend(frameon=False, handlelength=3)
    return figure


def _curves(lines: Sequence[Line], read: Sequence[Curves]) -> Figure | None:
    looks = _looks(lines)
    shown = [name for name in CURVES if any(name in curves for curves in read)]
    if not shown:
        return None
    figure, axes = _side_by_side(len(shown))
    for axis, name in zip(axes, shown, strict=True):
        finals = []
        for look, curves in zip(looks, read, strict=True):
            if name not in curves:
                continue
            step, values_TN, _ = curves[name]
            lowest, median, highest = np.quantile(values_TN, [0.0, 0.5, 1.0], axis=1)
            axis.plot(step, median, **_style(look), **_marks(look), markevery=max(1, len(step) // 8))
            axis.fill_between(step, lowest, highest, color=look.colour, alpha=0.2, linewidth=0)
            finals += [edge[len(step) // 10 :] for edge in (lowest, highest)]
        _frame(axis, np.concatenate(finals), 0.0 if CURVES[name].bounded else 0.05)
        axis.set(xlabel="step", ylabel=f"validation {CURVES[name].label}")
    _legend(figure, lines, looks)
    return figure


def _divergences(lines: Sequence[Line]) -> Figure | None:
    """KL by dimension, sorted in each run, and the use of the categories in each; means over seeds."""
    looks = _looks(lines)
    named = {name: [_sorted(line.row, name) for line in lines] for name in ("kl_by_dimension", "usage")}
    shown = {name: found for name, found in named.items() if any(map(len, found))}
    if not shown:
        return None
    figure, axes = _side_by_side(len(shown), 5.4)
    for axis, (name, found) in zip(axes, shown.items(), strict=True):
        for look, values_ND in zip(looks, found, strict=True):
            if not len(values_ND):
                continue
            place = np.arange(1, values_ND.shape[1] + 1)
            axis.plot(place, values_ND.mean(0), **_style(look), **_marks(look))
            low, high = values_ND.min(0), values_ND.max(0)
            axis.fill_between(place, low, high, color=look.colour, alpha=0.15, linewidth=0)
        if name == "usage":
            prior = 1 / max(values.shape[1] for values in found if len(values))
            axis.set(xlabel="category, sorted in each run", ylabel="$q(z)$", ylim=(0, None))
            title = "use of the categories; dashed: the prior; bands: extremes"
        else:
            prior = 0
            axis.set(xlabel="dimension of $w$, sorted in each run", ylabel="KL from the prior, nats")
            title = "each dimension alone, from below; dashed: the prior; bands: extremes"
        axis.axhline(prior, color="black", linestyle="dashed", linewidth=0.8)
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.set_title(title, fontsize=8)
    _legend(figure, lines, looks)
    return figure


def _files(lines: Sequence[Line], name: str) -> Iterator[tuple[str, Path]]:
    """What runs have left under ``name``, of each row's first seed that all rows have, else of its own first."""
    common = set.intersection(*(set(line.row.seeds) for line in lines)) if lines else set()
    for line in lines:
        seed = min(common) if common else line.row.seeds[0]
        path = line.row.run_folder(seed) / name
        if path.is_file():
            yield f"{line.row.title}, seed {seed}", path


def _sorted(row: Row, name: str) -> np.ndarray:
    """A list of each run's result, largest first, [N, D]; empty where a run has none."""
    found = []
    for result in row.results.values():
        latent = result["latent"]
        values = latent["z"].get(name) or latent.get("w", {}).get(name)
        if values is None:
            return np.zeros((0, 0))
        found.append(sorted(values, reverse=True))
    return np.array(found) if len({len(values) for values in found}) == 1 else np.zeros((0, 0))


def _frame(axis: Axes, values: np.ndarray, lowest: float) -> None:
    """The scale of ``values`` but for their ``lowest`` share: a seed's bad moment would dwarf the rest."""
    low, high = float(np.quantile(values, lowest)), float(values.max())
    margin = 0.08 * (high - low) or 0.1
    axis.set_ylim(low - margin, high + margin)


def _side_by_side(count: int, width: float = 3.6) -> tuple[Figure, np.ndarray]:
    """A figure of ``count`` axes in a row."""
    figure = Figure(figsize=(width * count, 3.3), dpi=DOTS, layout="constrained")
    axes = figure.subplots(1, count, squeeze=False)[0]
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _looks(lines: Sequence[Line]) -> list[Appearance]:
    return appearances([line.row.model for line in lines])


def _style(look: Appearance) -> dict[str, Any]:
    return {"color": look.colour, "linestyle": look.line, "linewidth": look.width}


def _marks(look: Appearance) -> dict[str, Any]:
    face = look.colour if look.filled else "white"
    return {"marker": look.marker, "markersize": 7 if look.marker == "*" else 5, "markerfacecolor": face}


def _legend(figure: Figure, lines: Sequence[Line], looks: Sequence[Appearance]) -> None:
    """Below the figure, of all rows."""
    handles = [
        Line2D([], [], **_style(look), **_marks(look), label=line.row.title)
        for line, look in zip(lines, looks, strict=True)
    ]
    columns = min(len(handles), 5)
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, frameon=False, handlelength=3.5)
