"""How sentences are decoded, by name."""

from collections.abc import Callable
from typing import Literal

import torch

from lid_vae.errors import UserError
from lid_vae.likelihood.autoregressive import AutoregressiveLikelihood
from lid_vae.likelihood.decode import ancestral, beam, greedy, nucleus
from lid_vae.noise import generator
from lid_vae.shapes import Float, Int, Tensor

__all__ = ["DRAWN", "Decode", "Strategy", "decoder"]

Strategy = Literal["greedy", "beam", "nucleus", "ancestral"]
DRAWN = ("nucleus", "ancestral")
"""Those that draw; the others give the same sentence each time."""

Decode = Callable[[AutoregressiveLikelihood, Float[Tensor, "R M"], int], Int[Tensor, "R T"]]
"""(likelihood, w, greatest length) -> a sequence for each w."""


def decoder(
    strategy: str,
    width: int = 5,
    length_penalty: float = 0.0,
    p: float = 0.9,
    temperature: float = 1.0,
    key: str = "texts",
) -> Decode:
    """``width`` and ``length_penalty`` are those of a beam, ``p`` and ``temperature`` of a nucleus.

    Draws are functions of ``key``. Raises ``UserError`` for an unknown strategy.
    """

    def rng(w: Tensor) -> torch.Generator:
        return generator("decode", key, device=w.device)

    known: dict[str, Decode] = {
        "greedy": greedy,
        "beam": lambda likelihood, w, length: beam(likelihood, w, width, length_penalty, length),
        "nucleus": lambda likelihood, w, length: nucleus(likelihood, w, rng(w), p, temperature, length),
        "ancestral": lambda likelihood, w, length: ancestral(likelihood, w, rng(w), length),
    }
    if strategy not in known:
        raise UserError(f"decode={strategy} is not known. Use one of {', '.join(known)}.")
    return known[strategy]
