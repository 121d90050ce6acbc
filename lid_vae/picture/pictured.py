"""What the pictures show of a trained model, as NumPy arrays; to draw it takes no model, and no PyTorch."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from scipy.optimize import linear_sum_assignment

__all__ = ["PictureData", "Vectors"]

Array = np.ndarray


@dataclass(frozen=True)
class Vectors:
    """What the model says of observations that are vectors: points or images.

    ``image_shape`` is (height, width), or (3, height, width) of colours, None of points. ``reconstruction_RD`` belongs
    to the first R rows of ``x_BD``; ``decoded_KD`` is the decoder's mean at each category's prior mean. ``sample_ND``
    are draws from the prior decoded, of the categories ``sample_category_N``.
    """

    image_shape: tuple[int, ...] | None
    x_BD: Array
    reconstruction_RD: Array
    sample_ND: Array
    sample_category_N: Array | None
    decoded_KD: Array | None


@dataclass(frozen=True)
class PictureData:
    """A model seen on B examples. Latents are shown as u: w where it is real or binary, log w where it is positive.

    ``title`` says what is shown; ``support`` is that of w. ``label_B`` are the examples' labels, out of
    ``label_count``. ``u_BM`` is one posterior draw for each example (for binary w the posterior mean, as draws would
    hide one another), ``prior_NM`` draws of the prior, ``centre_KM`` the centre of each category. ``activity_M`` is the
    variance of the posterior mean over that of the prior. ``category_BK`` is q(z | x), ``mixing_K`` p(z). ``vectors``
    is None where the observations are sequences, of which ``texts`` tells.
    """

    title: str
    support: Literal["real", "positive", "binary"]
    label_B: Array | None
    label_count: int
    u_BM: Array
    prior_NM: Array
    activity_M: Array
    category_BK: Array | None
    mixing_K: Array | None
    centre_KM: Array | None
    vectors: Vectors | None
    grid: tuple[Array, Array, Array] | None
    """For two latents: the coordinates, and the log-density of u for each component (or of the prior), [K, G, G]."""

    @cached_property
    def usage_K(self) -> Array:
        """q(z), the average of q(z | x) over the examples."""
        assert self.category_BK is not None
        return self.category_BK.mean(0)

    @cached_property
    def usage_CK(self) -> Array:
        """q(z | label), a row for each label; zero where a label has no example."""
        assert self.category_BK is not None
        assert self.label_B is not None
        total = np.zeros((self.label_count, self.category_BK.shape[1]))
        np.add.at(total, self.label_B, self.category_BK)
        return total / np.maximum(np.bincount(self.label_B, minlength=self.label_count), 1)[:, None]

    @cached_property
    def class_K(self) -> Array:
        """What a category stands for: the label that fits it best (Hungarian), else a number above the labels."""
        class_K = np.full(len(self.usage_K), -1)
        if self.label_B is not None:
            labels, categories = linear_sum_assignment(self.usage_CK, maximize=True)
            class_K[categories] = labels
        others = [k for k in np.argsort(-self.usage_K, kind="stable") if class_K[k] < 0]
        class_K[others] = self.label_count + np.arange(len(others))
        return class_K

    @cached_property
    def order_K(self) -> Array:
        """Categories in the order of their classes."""
        return np.argsort(self.class_K)

    @cached_property
    def class_B(self) -> Array | None:
        """What colours an example: its label, else the class of its likeliest category."""
        if self.label_B is not None:
            return self.label_B
        return None if self.category_BK is None else self.class_K[self.category_BK.argmax(1)]
