"""What a user asks a model of vectors for: draws of it, and what lies between examples, as a picture or a table."""

import csv
import io
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from lid_vae.appearance import DOTS
from lid_vae.data.base import DataModule, Part
from lid_vae.errors import UserError
from lid_vae.likelihood.base import VectorLikelihood
from lid_vae.noise import generator
from lid_vae.picture.drawing import draw_images, png
from lid_vae.shapes import Float, Tensor
from lid_vae.system.files import write_atomic
from lid_vae.train.display_name import display_name
from lid_vae.train.posterior_mean import STEPS, between, posterior_mean
from lid_vae.train.vae_module import VAEModule

__all__ = ["draw_answer"]

COLUMNS = 10
SIDE = 0.6


def draw_answer(
    module: VAEModule, data: DataModule, split: Part, count: int, chains: Sequence[Sequence[str]], path: Path
) -> Path:
    """Writes draws of ``module``, and what lies between examples of its ``data``; the file, of images a picture.

    Args:
        module: a model of vectors, in evaluation mode.
        data: what it was trained on.
        split: where the examples of ``chains`` stand.
        count: how many draws of w from the prior, of each of which E[x | w] is shown.
        chains: row numbers in ``split``, as they were typed: between each and the next lie seven steps, both included.
        path: of the file, without the ending, which is .png or .csv.

    Raises:
        UserError: for chains that are no row numbers.
    """
    likelihood = module.vae.likelihood
    assert isinstance(likelihood, VectorLikelihood)
    rows = len({"train": data.train, "valid": data.valid, "test": data.test}[split])
    ends = [_rows(chain, rows, split) for chain in chains]
    sections: list[tuple[str, Tensor]] = []
    with torch.no_grad():
        prior = module.vae.prior()
        if count:
            w = prior.sample(count, generator("drawn", device=prior.mean.device))
            sections.append(("w from the prior", likelihood(w).mean))
    for chain in ends:
        means = posterior_mean(module, _examples(data, split, chain))
        for (first, last), (start, end) in zip(pairwise(chain), pairwise(means), strict=True):
            with torch.no_grad():
                sections.append((f"from {split} example {first} to {last}", likelihood(between(start, end)).mean))
    if data.image_shape is None:
        target = path.with_suffix(".csv")
        write_atomic(target, _table(sections))
    else:
        target = path.with_suffix(".png")
        write_atomic(target, png(_page(f"{display_name(module)} on {data.name}", sections, data.image_shape)))
    return target


def _rows(chain: Sequence[str], count: int, split: str) -> list[int]:
    found = [int(text) if text.isdecimal() else -1 for text in chain]
    if not all(0 <= row < count for row in found):
        raise UserError(
            f'interpolate="{"|".join(chain)}" is about examples of vectors, which go by their row in the {split} '
            f'split: whole numbers from 0 to {count - 1}, as in interpolate="3|17".'
        )
    return found


def _examples(data: DataModule, split: Part, rows: Sequence[int]) -> Float[Tensor, "R D"]:
    """The ``rows`` of ``split``, as they are evaluated."""
    examples = data.evaluation_loader(split).split
    x = examples.batch(torch.tensor(rows, device=examples.device)).x
    assert isinstance(x, Tensor)
    return x


def _table(sections: Sequence[tuple[str, Tensor]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["what", *(f"x{column}" for column in range(sections[0][1].shape[1]))])
    for title, values in sections:
        writer.writerows([title, *(f"{value:.6g}" for value in row)] for row in values.tolist())
    return text.getvalue()


def _page(title: str, sections: Sequence[tuple[str, Tensor]], image_shape: Sequence[int]) -> Figure:
    """A sheet of images for each section, below the other."""
    columns = [STEPS if number or not name.startswith("w") else COLUMNS for number, (name, _) in enumerate(sections)]
    heights = [-(-len(values) // width) for (_, values), width in zip(sections, columns, strict=True)]
    size = (SIDE * COLUMNS, SIDE * sum(heights) + 0.35 * len(sections) + 0.4)
    figure = Figure(figsize=size, dpi=DOTS, layout="constrained")
    figure.suptitle(title, fontsize=10)
    axes = figure.subplots(len(sections), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axis, (name, values), width in zip(axes, sections, columns, strict=True):
        images = values.cpu().unflatten(-1, tuple(image_shape)).numpy()
        images = np.clip(images, 0, 1)
        draw_images(axis, images if images.ndim == 3 else images.transpose(0, 2, 3, 1), width)
        axis.set_title(name, fontsize=8, loc="left")
    return figure
