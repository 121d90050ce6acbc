"""Random numbers as functions of a key: runs repeat, resume and stack over seeds, as nothing hidden advances.

On a processor a ``torch.Generator`` is made for each key. On a GPU, to make one for each seed and step takes longer
than the step: there the numbers of many keys are ``Counted`` at once.
"""

from collections.abc import Sequence
from functools import cache
from hashlib import blake2b
from math import pi, prod

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

__all__ = ["Counted", "Rng", "counted_on", "derive_seed", "generator", "normal", "uniform"]

COUNTED = {"cuda"}
"""The kinds of devices on which numbers are counted."""
# Of SplitMix64: the increment from which those of the keys are made, and the factors that mix bits.
_GOLDEN, _FIRST, _SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
_ALTERNATING, _TRANSITIONS = 0xAAAAAAAAAAAAAAAA, 24


def derive_seed(*key: int | str) -> int:
    """A 63-bit seed from a key such as ``(seed, "noise", step)``; equal keys give equal seeds on every machine."""
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in key)
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def generator(*key: int | str, device: torch.device | str = "cpu") -> torch.Generator:
    """A ``torch.Generator`` on ``device``, seeded by ``derive_seed(*key)``."""
    return torch.Generator(device=device).manual_seed(derive_seed(*key))


def counted_on(device: torch.device) -> bool:
    """Whether a training on ``device`` counts its numbers."""
    return device.type in COUNTED


class Counted:
    """The numbers of many keys at once: the i-th of a key is a hash of the key and i, whatever else is drawn.

    They are those of SplittableRandom (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators"):
    SplitMix64 from a start and by an odd increment of the key's own. ``keys`` holds both for each key, [*keys, 2].

    >>> keys = Counted.of([0, 1], "noise", [(7, 0)])
    >>> keys.normal((3,)).shape
    torch.Size([1, 2, 3])
    """

    def __init__(self, keys: Int[Tensor, "*keys 2"]) -> None:
        self.keys = keys

    @classmethod
    def of(
        cls,
        seeds: Sequence[int],
        purpose: str,
        places: Sequence[tuple[int, int]],
        device: torch.device | str = "cpu",
    ) -> "Counted":
        """A key for each of T ``places``, which are (step, draw), and N ``seeds``, [T, N]: for one ``purpose``.

        The numbers are made on ``device``, and are the same on each but for rounding.
        """
        starts = np.array([_start(seed, purpose) for seed in seeds], np.uint64)
        numbers = np.array(places, np.uint64)
        for number in (numbers[:, :1], numbers[:, 1:]):
            starts = _mixed(starts + (number + np.uint64(1)) * np.uint64(_GOLDEN))
        steps = _mixed(starts ^ np.uint64(_GOLDEN)) | np.uint64(1)
        changes = np.ascontiguousarray(steps ^ (steps >> np.uint64(1)))
        weak = np.unpackbits(changes[..., None].view(np.uint8), axis=-1).sum(-1) < _TRANSITIONS
        steps = np.where(weak, steps ^ np.uint64(_ALTERNATING), steps)
        return cls(torch.from_numpy(np.stack([starts, steps], -1).view(np.int64)).to(device))

    def __getitem__(self, place: int) -> "Counted":
        """Of the leading axis of the keys those at a ``place``."""
        return Counted(self.keys[place])

    @property
    def device(self) -> torch.device:
        return self.keys.device

    def uniform(self, shape: Sequence[int], dtype: torch.dtype = torch.float32) -> Float[Tensor, "*keys_and_shape"]:
        """Of each key a tensor of this ``shape`` and ``dtype``, uniform on [0, 1), in steps of 2^-24."""
        words = self.words(-(-prod(shape) // 2))
        halves = torch.cat([words >> 40, words >> 8], -1).bitwise_and_((1 << 24) - 1)
        return self._shaped(halves.to(dtype).mul_(2**-24), shape)

    def normal(self, shape: Sequence[int], dtype: torch.dtype = torch.float32) -> Float[Tensor, "*keys_and_shape"]:
        """Of each key a tensor of this ``shape`` and ``dtype``, standard normal (Box and Muller 1958)."""
        words = self.words(-(-prod(shape) // 2))
        low = (1 << 32) - 1
        radius = ((words >> 32) & low).to(dtype).add_(0.5).mul_(2**-32).log_().mul_(-2).sqrt_()
        angle = (words & low).to(dtype).mul_(2 * pi * 2**-32)
        return self._shaped(torch.cat([radius * angle.cos(), radius * angle.sin()], -1), shape)

    def words(self, count: int) -> Int[Tensor, "*keys count"]:
        """Of each key the first ``count`` numbers, of 64 bits."""
        place = torch.arange(1, count + 1, device=self.device)
        word = self.keys[..., 1:] * place + self.keys[..., :1]
        for shift, factor in ((30, _FIRST), (27, _SECOND)):
            word ^= (word >> shift).bitwise_and_((1 << (64 - shift)) - 1)
            word *= factor - (1 << 64)  # as a signed number
        return word.bitwise_xor_((word >> 31).bitwise_and_((1 << 33) - 1))

    def _shaped(self, numbers: Tensor, shape: Sequence[int]) -> Tensor:
        return numbers[..., : prod(shape)].reshape(*self.keys.shape[:-1], *shape)


Rng = torch.Generator | Counted
"""Where random numbers come from: of one key, or of many, whose axes then lead."""


def normal(shape: Sequence[int], rng: Rng, dtype: torch.dtype) -> Float[Tensor, "*keys_and_shape"]:
    """Standard normal numbers of ``shape`` and ``dtype`` by ``rng``, on its device."""
    if isinstance(rng, Counted):
        return rng.normal(shape, dtype)
    return torch.randn(tuple(shape), generator=rng, device=rng.device, dtype=dtype)


def uniform(shape: Sequence[int], rng: Rng, dtype: torch.dtype) -> Float[Tensor, "*keys_and_shape"]:
    """Numbers of ``shape`` and ``dtype``, uniform on [0, 1), by ``rng``, on its device."""
    if isinstance(rng, Counted):
        return rng.uniform(shape, dtype)
    return torch.rand(tuple(shape), generator=rng, device=rng.device, dtype=dtype)


@cache
def _start(seed: int, purpose: str) -> int:
    return derive_seed(seed, purpose)


def _mixed(word: np.ndarray) -> np.ndarray:
    for shift, factor in ((30, _FIRST), (27, _SECOND)):
        word = (word ^ (word >> np.uint64(shift))) * np.uint64(factor)
    return word ^ (word >> np.uint64(31))
