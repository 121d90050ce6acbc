"""What the decoder makes of a walk along each latent: one that is not used changes nothing."""

from collections.abc import Sequence
from os import PathLike
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes

from lid_vae.errors import UserError
from lid_vae.picture.drawing import draw_images
from lid_vae.plot.axes import axis_of, prior_moments

__all__ = ["traversals"]


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
    images = made.detach().cpu().numpy()
    if images.ndim < 3:
        raise UserError("This model is not one of images: there is nothing to draw. Use model.decode(w).")
    grey = images.ndim == 3 or images.shape[1] == 1
    images = images.reshape(-1, *images.shape[-2:]) if grey else np.moveaxis(images, 1, -1)
    axis = axis_of(axis, 0.55 * steps + 0.6, 0.55 * len(walked) + 0.6)
    draw_images(axis, np.clip(images, 0, 1), steps)
    height = images.shape[1] + 1
    for row, one in enumerate(walked):
        axis.text(-2, row * height + height / 2, str(one), ha="right", va="center", fontsize=8)
    axis.set_title(f"each row one dimension of w: {span:g} prior deviations to either side", fontsize=9)
    if gif is not None:
        _write(gif, images.reshape(len(walked), steps, *images.shape[1:]))
    return axis


def _write(path: str | PathLike[str], images: np.ndarray) -> None:
    """The columns one after another, there and back, all rows beneath each other."""
    from PIL import Image

    columns = [np.concatenate(list(images[:, step])) for step in range(images.shape[1])]
    frames = [Image.fromarray(np.uint8(255 * (1 - column) if column.ndim == 2 else 255 * column)) for column in columns]
    frames = [frame.resize((4 * frame.width, 4 * frame.height), Image.Resampling.NEAREST) for frame in frames]
    frames += frames[-2:0:-1]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=120, loop=0)
