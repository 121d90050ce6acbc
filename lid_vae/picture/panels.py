"""The panels of a picture: latents, samples, reconstructions, use of the categories, activity of the latents."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase

from lid_vae.picture.drawing import (
    PLAIN,
    colours,
    draw_bars,
    draw_clouds,
    draw_contours,
    draw_heat_map,
    draw_images,
    draw_marks,
)
from lid_vae.picture.pictured import PictureData, Vectors

__all__ = ["Panel", "panels"]

COLUMNS = 10


class Panel(NamedTuple):
    """``draw(figure)`` fills a figure or a part of one that is ``width`` times as wide as it is high."""

    draw: Callable[[FigureBase], None]
    width: float = 1.0


def panels(pictured: PictureData) -> dict[str, Panel]:
    """What ``pictured`` has to show of a model, by name: points, images, sequences; by category and label."""
    vectors = pictured.vectors
    images = vectors if vectors is not None and vectors.image_shape is not None else None
    shown = {"latents": Panel(partial(_latents, pictured=pictured))}
    if images is not None:
        shown["samples"] = Panel(partial(_image_samples, vectors=images))
        shown["reconstructions"] = Panel(partial(_reconstructions, vectors=images))
    elif vectors is not None:
        shown["samples"] = Panel(partial(_points, pictured=pictured, vectors=vectors), 2.0)
    if pictured.category_BK is not None:
        shown["usage"] = Panel(partial(_usage, pictured=pictured))
        if images is not None:
            shown["categories"] = Panel(partial(_decoded, pictured=pictured, vectors=images))
    if images is not None or pictured.category_BK is None:
        shown["activity"] = Panel(partial(_activity, pictured=pictured))
    return shown


def _latents(figure: FigureBase, pictured: PictureData) -> None:
    axis = figure.subplots()
    symbol = r"\log w" if pictured.support == "positive" else "w"
    what = "posterior means of $w$" if pictured.support == "binary" else f"posterior draws of ${symbol}$"
    inks = _category_inks(pictured)
    project, names = _directions(pictured.u_BM, symbol)
    named = pictured.label_B is not None
    notes = []
    if pictured.grid is not None:
        notes.append("lines: prior")
        draw_contours(axis, *pictured.grid, inks or ["0.45"] * len(pictured.grid[2]))
        draw_clouds(axis, pictured.u_BM, pictured.class_B, names=named)
    else:
        prior = None if pictured.support == "binary" else project(pictured.prior_NM)
        draw_clouds(axis, project(pictured.u_BM), pictured.class_B, prior, named)
        notes += [] if prior is None else ["grey: prior"]
        if pictured.centre_KM is not None and len(names) == 2:
            draw_marks(axis, project(pictured.centre_KM), inks)
            notes.append("crosses: prior means")
    _title(axis, what + "".join(f"; {note}" for note in notes))
    _frame([axis], names, project(np.concatenate([pictured.u_BM, pictured.prior_NM])))


def _points(figure: FigureBase, pictured: PictureData, vectors: Vectors) -> None:
    axes = list(figure.subplots(1, 2, sharex=True, sharey=vectors.x_BD.shape[1] > 1))
    project, names = _directions(vectors.x_BD, "x")
    data, samples = project(vectors.x_BD), project(vectors.sample_ND)
    kinds = None if vectors.sample_category_N is None else pictured.class_K[vectors.sample_category_N]
    draw_clouds(axes[0], data, pictured.class_B, names=pictured.label_B is not None)
    draw_clouds(axes[1], samples, kinds, names=False)
    coloured = "" if pictured.class_B is None else ", by label" if pictured.label_B is not None else ", by category"
    _title(axes[0], f"data{coloured}")
    _title(axes[1], "samples of the model" + ("" if kinds is None else ", by category"))
    _frame(axes, names, np.concatenate([data, samples]))


def _image_samples(figure: FigureBase, vectors: Vectors) -> None:
    axis = figure.subplots()
    draw_images(axis, _as_images(vectors, vectors.sample_ND[: COLUMNS**2]), COLUMNS)
    _title(axis, "samples (mean of $x$ given a prior draw)")


def _reconstructions(figure: FigureBase, vectors: Vectors) -> None:
    axis = figure.subplots()
    available = len(vectors.reconstruction_RD)
    count = min(available, COLUMNS**2 // 2) // COLUMNS * COLUMNS or available
    columns = min(COLUMNS, count)
    rows = [
        values[:count].reshape(-1, columns, values.shape[1]) for values in (vectors.x_BD, vectors.reconstruction_RD)
    ]
    draw_images(axis, _as_images(vectors, np.stack(rows, axis=1)), columns)
    _title(axis, "data, and below each its reconstruction")


def _decoded(figure: FigureBase, pictured: PictureData, vectors: Vectors) -> None:
    assert vectors.decoded_KD is not None
    axis = figure.subplots()
    count = len(vectors.decoded_KD)
    columns = int(np.ceil(np.sqrt(count)))
    names = [str(k) for k in pictured.order_K]
    draw_images(axis, _as_images(vectors, vectors.decoded_KD[pictured.order_K]), columns, names)
    _title(axis, "decoded prior mean of each category")


def _usage(figure: FigureBase, pictured: PictureData) -> None:
    assert pictured.mixing_K is not None
    order = pictured.order_K
    labelled = pictured.label_B is not None
    axes = figure.subplots(1 + labelled, 1, sharex=True, squeeze=False, height_ratios=[1, 3][: 1 + labelled])[:, 0]
    draw_bars(axes[0], pictured.usage_K[order], _category_inks(pictured, order), pictured.mixing_K[order])
    axes[0].set_ylabel("$q(z)$")
    _title(axes[0], "use of the categories; dashed: prior")
    if labelled:
        draw_heat_map(axes[1], pictured.usage_CK[:, order])
        axes[1].set_ylabel("label")
        _title(axes[1], "$q(z\\,|\\,$label$)$")
    step = 1 + len(order) // 20
    axes[-1].set_xticks(range(0, len(order), step), [str(k) for k in order[::step]], fontsize=8)
    axes[-1].set_xlabel("category $z$")


def _activity(figure: FigureBase, pictured: PictureData) -> None:
    axis: Axes = figure.subplots()
    activity = np.sort(pictured.activity_M)[::-1]
    draw_bars(axis, np.maximum(activity, 1e-5), PLAIN, 0.01)
    axis.set(yscale="log", ylim=(1e-5, max(2.0, 1.5 * activity.max())))
    axis.set_xticks([])
    axis.set_xlabel("dimension of $w$, sorted")
    axis.set_ylabel("variance of posterior mean / prior variance")
    active = int((activity >= 0.01).sum())
    _title(axis, f"{active} of {len(activity)} dimensions of $w$ active (above 0.01)")


def _frame(axes: list[Axes], names: list[str], points: np.ndarray) -> None:
    """A square around all but the farthest points, and the names of its axes."""
    low, high = np.quantile(points, [0.003, 0.997], axis=0)
    centre, reach = (low + high) / 2, 0.6 * (high - low).max() + 1e-6
    axes[0].set_xlim(centre[0] - reach, centre[0] + reach)
    if len(names) == 2:
        axes[0].set_ylim(centre[1] - reach, centre[1] + reach)
        axes[0].set_ylabel(names[1])
    for axis in axes:
        axis.set_xlabel(names[0])


def _title(axis: Axes, text: str) -> None:
    axis.set_title(text, fontsize=10)


def _category_inks(pictured: PictureData, order: np.ndarray | None = None) -> list[str]:
    if pictured.category_BK is None:
        return []
    class_K = pictured.class_K if order is None else pictured.class_K[order]
    return colours(class_K, len(class_K))


def _directions(points: np.ndarray, symbol: str) -> tuple[Callable[[np.ndarray], np.ndarray], list[str]]:
    """How to show points in at most two dimensions, with names: as they are, else on their principal directions."""
    dimensions = points.shape[1]
    if dimensions <= 2:
        return lambda values: values, [f"${symbol}$"] if dimensions == 1 else [f"${symbol}_1$", f"${symbol}_2$"]
    mean = points.mean(0)
    _, _, direction_RD = np.linalg.svd(points - mean, full_matrices=False)
    names = [f"principal direction {d + 1} of ${symbol}$" for d in range(2)]
    return lambda values: (values - mean) @ direction_RD[:2].T, names


def _as_images(vectors: Vectors, rows: np.ndarray) -> np.ndarray:
    """[N, height, width] or, of colours, [N, height, width, 3]; other values than pixels by the range of the data."""
    assert vectors.image_shape is not None
    low, high = float(vectors.x_BD.min()), float(vectors.x_BD.max())
    if low < 0 or high > 1:
        rows = (rows - low) / (high - low or 1.0)
    images = np.clip(rows, 0, 1).reshape(-1, *vectors.image_shape)
    return np.moveaxis(images, 1, -1) if images.ndim == 4 else images
