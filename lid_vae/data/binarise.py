"""Bernoulli pixels from grey values: anew for each training batch, once for all, or not at all.

A grey value is read as the probability of a white pixel (Salakhutdinov and Murray 2008). There is no threshold: it
would make another data set, on which likelihoods are several nats better.
"""

__all__ = ["Binarisation", "Dynamic", "Fixed", "Unbinarised", "bernoulli", "binarisation"]

from abc import ABC, abstractmethod

import torch

from lid_vae.data.split import Split, as_float
from lid_vae.errors import UserError
from lid_vae.noise import generator
from lid_vae.shapes import Float, Tensor


def bernoulli(x: Tensor, rng: torch.Generator) -> Tensor:
    """One draw per pixel: True with probability ``x / 255`` for bytes ``x``. Black stays black and white white."""
    return torch.rand(x.shape, generator=rng, device=x.device).mul_(255) < x


def frozen(split: Split, seed: int, part: str) -> Split:
    """The split with one draw in place of its grey values, in bytes 0 and 255.

    Drawn on the CPU whatever holds the split, so that every machine evaluates on the same pixels.
    """
    draw = bernoulli(split.x.cpu(), generator(seed, "fixed", part))
    return Split(draw.to(torch.uint8).mul_(255).to(split.device), split.y)


class Binarisation(ABC):
    """What becomes of stored values on their way to the model."""

    binary: bool

    @abstractmethod
    def training(self, split: Split, seed: int) -> Split:
        """The split from which training batches are cut."""

    @abstractmethod
    def evaluation(self, split: Split, seed: int, part: str) -> Split:
        """The split as it is evaluated, the same every time."""

    @abstractmethod
    def prepare(self, x: Tensor, rng: torch.Generator) -> Float[Tensor, "B D"]:
        """Rows of the training split as the model takes them."""


class Dynamic(Binarisation):
    """A fresh draw for every training batch; one draw from the data seed for evaluation."""

    binary = True

    def training(self, split: Split, seed: int) -> Split:
        return split

    def evaluation(self, split: Split, seed: int, part: str) -> Split:
        return frozen(split, seed, part)

    def prepare(self, x: Tensor, rng: torch.Generator) -> Float[Tensor, "B D"]:
        return bernoulli(x, rng).float()


class Fixed(Binarisation):
    """One draw from the data seed, for training and for evaluation."""

    binary = True

    def training(self, split: Split, seed: int) -> Split:
        return frozen(split, seed, "train")

    def evaluation(self, split: Split, seed: int, part: str) -> Split:
        return frozen(split, seed, part)

    def prepare(self, x: Tensor, rng: torch.Generator) -> Float[Tensor, "B D"]:
        return as_float(x)


class Unbinarised(Binarisation):
    """Grey values in [0, 1], or real values as they are."""

    binary = False

    def training(self, split: Split, seed: int) -> Split:
        return split

    def evaluation(self, split: Split, seed: int, part: str) -> Split:
        return split

    def prepare(self, x: Tensor, rng: torch.Generator) -> Float[Tensor, "B D"]:
        return as_float(x)


_BY_NAME: dict[str, type[Binarisation]] = {"dynamic": Dynamic, "fixed": Fixed, "none": Unbinarised}


def binarisation(name: str | None) -> Binarisation:
    """The binarisation of that name; None, which is what YAML's ``null`` becomes, is "none".

    Raises:
        UserError: if there is none of that name.
    """
    chosen = _BY_NAME.get("none" if name is None else name)
    if chosen is None:
        raise UserError(f"data.binarise={name} is unknown. Choose one of {', '.join(_BY_NAME)}.")
    return chosen()
