"""Each continuous latent against its prior: how far its means spread, how wide its posteriors are, what it costs."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from lid_vae.errors import UserError
from lid_vae.model.encoded import Encoded
from lid_vae.plot.axes import as_array, axis_of, prior_moments

__all__ = ["dimensions"]

USED, UNUSED = "#3640F4", "#B0B0B0"


def dimensions(
    q: Any,
    std: Any = None,
    axis: Axes | None = None,
    name: str = "",
    prior: tuple[Any, Any] | None = None,
    most: int = 64,
) -> Axes:
    """Posterior means and standard deviations of each dimension against the prior's band, the costliest first.

    A thick bar spans the middle nine tenths of the posterior means, thin whiskers reach one average posterior standard
    deviation further, and the grey band is the prior's mean with one standard deviation. Where a dimension is collapsed
    its bar is a dot and its whiskers are the band. Dimensions are sorted by their KL from the prior, that of Gaussians
    with these moments; grey are those whose means vary by less than 0.01 of the prior's variance (Burda et al., 2016).

    Args:
        q: what ``model.encode(x)`` gives, or the posterior means, [N, M].
        std: the posterior standard deviations, [N, M], where ``q`` are means.
        axis: where it is drawn; None for a new figure.
        name: what the title begins with, such as the model's name.
        prior: mean and standard deviation of the prior, numbers or [M]; None for those of the model's own, and of means
            for a standard normal.
        most: of how many dimensions, at most.

    Raises:
        UserError: if shapes do not fit, or a standard deviation is not above 0.

    >>> import torch, lid_vae
    >>> mean = torch.stack([torch.linspace(-2, 2, 50), torch.zeros(50)], -1)
    >>> lid_vae.plot.dimensions(mean, torch.tensor([0.1, 1.0]).expand(50, 2)).get_title()
    '1 of 2 dimensions used'
    """
    if isinstance(q, Encoded):
        prior = prior_moments(q) if prior is None else prior
        q, std = q.mean, q.std
    if std is None:
        raise UserError("Of means alone it cannot be said how wide the posteriors are. Give std=, of the same shape.")
    mean, spread = as_array(q, "q", 2), as_array(std, "std", 2)
    if mean.shape != spread.shape:
        raise UserError(
            f"Means have the shape {list(mean.shape)}, standard deviations {list(spread.shape)}: give one for each."
        )
    if not (spread > 0).all():
        raise UserError("Standard deviations are above 0. Of a log-variance they are (0.5 * log_variance).exp().")
    centre, scale = (np.broadcast_to(np.asarray(value, float), mean.shape[1:]) for value in prior or (0.0, 1.0))
    z, s = (mean - centre) / scale, spread / scale
    kl = 0.5 * (z**2 + s**2 - 1 - 2 * np.log(s)).mean(0)
    used = z.var(0) > 0.01
    order = np.argsort(-kl, kind="stable")[:most]
    axis = axis_of(axis, 6.4, 3.4)
    axis.axhspan(-1, 1, color="0.92", label="prior, one standard deviation")
    low, high = np.quantile(z[:, order], [0.05, 0.95], axis=0)
    wide = s[:, order].mean(0)
    place = np.arange(len(order))
    inks = [USED if used[k] else UNUSED for k in order]
    axis.vlines(place, low - wide, high + wide, colors=inks, linewidth=0.9)
    axis.vlines(place, low, high, colors=inks, linewidth=3.5)
    axis.scatter(place, np.median(z[:, order], 0), s=9, c=inks, zorder=3)
    named = slice(None, None, 1 if len(order) <= 16 else len(order) // 8)
    axis.set_xticks(place[named], [str(one) for one in order[named]])
    axis.set_xlabel("dimension, by its KL")
    axis.set_ylabel("in prior standard deviations")
    axis.spines[["top", "right"]].set_visible(False)
    told = f"{used.sum()} of {mean.shape[1]} dimensions used"
    axis.set_title(f"{name}\n{told}" if name else told)
    return axis
