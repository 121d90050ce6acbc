"""Bernoulli pixels from grey values: anew for each training batch, once for all, or not at all.

A grey value is read as the probability of a white pixel (Salakhutdinov and Murray 2008). There is no threshold: it
would make another data set, on which likelihoods are several nats better.
"""

__all__ = ["DYNAMIC", "FIXED", "UNBINARISED", "Binarisation", "bernoulli", "binarisation"]

from dataclasses import dataclass

import torch

from lid_vae.data.split import Split, as_float
from lid_vae.errors import UserError
from lid_vae.noise import Counted, Rng, generator
from lid_vae.shapes import Float, Tensor


def bernoulli(x: Tensor, *rngs: Rng) -> Tensor:
    """One draw for each pixel: True with probability ``x / 255`` for bytes ``x``.

    One of ``rngs``, on the device of ``x``, is for all of x; of several, each is for one x[i]. ``Counted`` numbers are
    one, whose keys are the leading axes of x. Black stays black and white white.
    """
    if isinstance(rngs[0], Counted):
        drawn = rngs[0].uniform(x.shape[rngs[0].keys.ndim - 1 :])
        return drawn.mul_(255) < x
    uniform = torch.empty(x.shape, device=x.device)
    parts = uniform.unbind() if len(rngs) > 1 else [uniform]
    for part, rng in zip(parts, rngs, strict=True):
        assert isinstance(rng, torch.Generator)
        part.uniform_(generator=rng)
    return uniform.mul_(255) < x


@dataclass(frozen=True)
class Binarisation:
    """What becomes of stored values on their way to the model.

    Attributes:
        binary: whether values are drawn; else they are grey levels in [0, 1], or real values as they are.
        anew: whether they are drawn for every training batch; else once, from the data seed, as for evaluation.
    """

    binary: bool
    anew: bool

    def frozen(self, split: Split, seed: int, part: str) -> Split:
        """The split with one draw in place of its grey values, in bytes 0 and 255, where values are drawn.

        The draw is a function of the data ``seed`` and the name ``part`` of the split, and made on the CPU whatever
        holds it, so that every machine evaluates on the same pixels.
        """
        if not self.binary:
            return split
        draw = bernoulli(split.x.cpu(), generator(seed, "fixed", part))
        return Split(draw.to(torch.uint8).mul_(255).to(split.device), split.y)

    def prepare(self, x: Tensor, *rngs: Rng) -> Float[Tensor, "*seeds B D"]:
        """Rows ``x`` of the training split as the model takes them, drawn by ``rngs`` where they are drawn anew.

        Of one seed there is one of ``rngs``, of several one for each x[i], or one of many keys.
        """
        return bernoulli(x, *rngs).float() if self.anew else as_float(x)


DYNAMIC = Binarisation(binary=True, anew=True)
FIXED = Binarisation(binary=True, anew=False)
UNBINARISED = Binarisation(binary=False, anew=False)
_BY_NAME = {"dynamic": DYNAMIC, "fixed": FIXED, "none": UNBINARISED}


def binarisation(name: str | None) -> Binarisation:
    """The binarisation of that name; None, which is what YAML's ``null`` becomes, is "none".

    Raises:
        UserError: if there is none of that name.
    """
    chosen = _BY_NAME.get("none" if name is None else name)
    if chosen is None:
        raise UserError(f"binarise={name} is unknown. Choose one of {', '.join(_BY_NAME)}.")
    return chosen
