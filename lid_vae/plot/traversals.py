"""What the decoder makes of a walk along each latent or category: one that is not used changes nothing."""

from collections.abc import Sequence
from os import PathLike
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes

from lid_vae.distribution.latent import Mixture
from lid_vae.errors import UserError
from lid_vae.picture.drawing import draw_images
from lid_vae.plot.axes import axis_of, prior_moments

__all__ = ["category_traversals", "traversals"]


def traversals(
    model: Any,
    x: Any,
    dimensions: Sequence[int] | int = 8,
    steps: int = 9,
    span: float = 2.0,
    axis: Axes | None = None,
    gif: str | PathLike[str] | None = None,
) -> Axes:
    """Decodes the posterior mean of one example, moved along one dimension of w in each row of images.

    Args:
        model: one of this library's, trained on images.
        x: the example, [H, W] or [1, H, W], in the form that the model was trained on.
        dimensions: their numbers, or how many: those that this example's posterior knows best, beside the prior.
        steps: how many images a row has.
        span: how far the walk goes to either side of the mean, in standard deviations of the prior.
        axis: where it is drawn; None for a new figure.
        gif: a file that shows the columns one after another, there and back, as a moving picture; None: none is made.

    Raises:
        UserError: if the model is not one of images, or has no such dimension.
    """
    x = torch.as_tensor(x)
    image = x[None] if x.ndim == 2 or (x.ndim == 3 and len(x) != 1) else x
    with torch.no_grad():
        q = model.encode(image)
        _, deviation = prior_moments(q)
        if isinstance(dimensions, int):
            narrow = q.std[0].cpu().numpy() / deviation
            walked: Sequence[int] = narrow.argsort()[:dimensions].tolist()
        else:
            walked = dimensions
        wrong = [one for one in walked if not 0 <= one < q.mean.shape[1]]
        if wrong:
            raise UserError(f"There is no dimension {wrong[0]}: w has {q.mean.shape[1]}, from 0.")
        w = q.mean[0].repeat(len(walked), steps, 1)
        for row, one in enumerate(walked):
            w[row, :, one] += torch.linspace(-span, span, steps, device=w.device) * float(deviation[one])
        made = model.decode(w.flatten(0, 1))
    images = _images(made)
    axis = axis_of(axis, 0.55 * steps + 0.6, 0.55 * len(walked) + 0.6)
    draw_images(axis, images, steps)
    height = images.shape[1] + 1
    for row, one in enumerate(walked):
        axis.text(-2, row * height + height / 2, str(one), ha="right", va="center", fontsize=8)
    axis.set_title(f"each row one dimension of w:\n{span:g} prior deviations to either side", fontsize=9)
    if gif is not None:
        _write(gif, images, steps)
    return axis


def category_traversals(
    model: Any,
    rows: int = 6,
    seed: int = 0,
    axis: Axes | None = None,
    gif: str | PathLike[str] | None = None,
) -> Axes:
    """Decodes the same draws within one category z after another: a column for each, and a row for each draw.

    A row has the same random numbers throughout, as e in w = mean_z + deviation_z * e of Gaussian categories: what
    changes along it is the category's. Where z has collapsed, a row's images are alike.

    Args:
        model: one of this library's that has categories, trained on images.
        rows: how many draws.
        seed: of the draws, by which they are the same in every picture.
        axis: where it is drawn; None for a new figure.
        gif: a file that shows the columns one after another, there and back, as a moving picture; None: none is made.

    Raises:
        UserError: if the model has no categories, or is not one of images.
    """
    prior = model.vae.prior()
    if not isinstance(prior, Mixture):
        raise UserError(f"{type(model).__name__} has no categories here. Use lid_vae.plot.traversals.")
    categories = len(prior.log_mixing)
    columns = [model.sample(rows, category=one, mean=True, seed=seed) for one in range(categories)]
    images = _images(torch.stack(columns, 1).flatten(0, 1))
    axis = axis_of(axis, 0.55 * categories + 0.6, 0.55 * rows + 0.6)
    draw_images(axis, images, categories)
    axis.set_title(f"each column one of {categories} categories,\neach row the same draw", fontsize=9)
    if gif is not None:
        _write(gif, images, categories)
    return axis


def _images(made: torch.Tensor) -> np.ndarray:
    """What was decoded, in [0, 1]: [N, height, width], or [N, height, width, 3] of colours."""
    images = made.detach().cpu().numpy()
    if images.ndim < 3:
        raise UserError("This model is not one of images: there is nothing to draw. Use model.decode(w).")
    grey = images.ndim == 3 or images.shape[1] == 1
    images = images.reshape(-1, *images.shape[-2:]) if grey else np.moveaxis(images, 1, -1)
    return np.clip(images, 0, 1)


def _write(path: str | PathLike[str], images: np.ndarray, columns: int) -> None:
    """The columns one after another, there and back, all rows beneath each other."""
    from PIL import Image

    rows = images.reshape(-1, columns, *images.shape[1:])
    shown = [np.concatenate(list(rows[:, step])) for step in range(columns)]
    frames = [Image.fromarray(np.uint8(255 * (1 - column) if column.ndim == 2 else 255 * column)) for column in shown]
    frames = [frame.resize((4 * frame.width, 4 * frame.height), Image.Resampling.NEAREST) for frame in frames]
    frames += frames[-2:0:-1]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=120, loop=0)
