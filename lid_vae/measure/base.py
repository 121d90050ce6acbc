"""What a further measure is: a mean over draws and examples, or anything that is found of a model and a split."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch

from lid_vae.data.split import Batch
from lid_vae.distribution.approximation import Approximation
from lid_vae.shapes import Float, Observations, Tensor
from lid_vae.vae import Autoencoder, LogTerms

__all__ = ["Choosy", "DrawMeasure", "Infer", "Measure", "SplitMeasure", "Subject"]

Infer = Callable[[Observations, Tensor], Approximation]
"""(x, noise) -> q for a batch."""


class DrawMeasure(ABC):
    """A mean over draws of q(w | x) and over examples, from the draws that all measures of a split share.

    In a result it stands under its name in ``conf/measures``, with ``mean`` and ``se``, the standard error over
    examples.
    """

    @abstractmethod
    def value(self, terms: LogTerms, q: Approximation) -> Float[Tensor, "S B"]:
        """The value of S draws of each of B examples, of tensors alone: ``vmap`` may call it for several seeds.

        ``terms`` are the log terms of the bound at the draws, which they hold, and ``q`` what they are of;
        ``terms.expectation`` averages over categories where these are enumerated.
        """


@dataclass(frozen=True)
class Subject:
    """A model, ``vae``, and the split that it is measured on.

    ``infer(x, noise)`` gives q for a batch, as in training, from ``inference_samples`` draws. ``batches()`` gives the
    split, on ``device``. ``samples`` is how many draws were asked for. ``folder`` is where a measure that takes long
    may keep what it has done (None: nowhere).
    """

    vae: Autoencoder
    infer: Infer
    inference_samples: int
    batches: Callable[[], Iterable[Batch]]
    samples: int
    device: torch.device
    folder: Path | None = None


class SplitMeasure(ABC):
    """Anything that is found of a model and a split, after the measures that share their draws."""

    @abstractmethod
    def measure(self, subject: Subject) -> dict[str, Any] | None:
        """What a result holds of ``subject`` under the measure's name: plain numbers. None where it does not apply."""


@runtime_checkable
class Choosy(Protocol):
    """A measure that does not serve every model, and is asked before anything is trained."""

    def check(self, vae: Autoencoder) -> None:
        """Raises ``UserError`` where it does not serve ``vae``."""


Measure = DrawMeasure | SplitMeasure
