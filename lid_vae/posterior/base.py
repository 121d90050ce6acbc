"""What an approximating family is."""

from abc import ABC, abstractmethod
from collections.abc import Iterable

from torch import nn

from lid_vae.distribution.approximation import Approximation, Parameters
from lid_vae.distribution.components import Support
from lid_vae.noise import Rng
from lid_vae.shapes import Float, Observations, Tensor

__all__ = ["CalibratedPosterior", "Posterior"]


class Posterior(nn.Module, ABC):
    """Amortised q. ``categories`` is K where q(z | x) is enumerated, else None. ``support`` is where w lies.

    ``counts``: whether ``draw_noise`` takes ``Counted`` numbers too, as it does where it draws by ``lid_vae.noise``.
    """

    counts: bool = False
    latent_dimension: int
    categories: int | None
    support: Support

    @abstractmethod
    def encode(self, x: Observations) -> Parameters:
        """Variational parameters of each x; what SA-VAE refines."""

    @abstractmethod
    def distribution(self, parameters: Parameters) -> Approximation:
        """q at the given variational parameters."""

    @abstractmethod
    def draw_noise(self, samples: int, batch: int, generator: Rng) -> Float[Tensor, "*keys S K B M"]:
        """The noise that ``Approximation.sample`` takes, on the device of ``generator``.

        S is ``samples``, the draws for each of a ``batch`` of B examples; K is the number of enumerated categories, or
        1. Of ``Counted`` numbers the axes of their keys lead.
        """


class CalibratedPosterior(Posterior, ABC):
    """A posterior that takes something from the training set for its evaluation, and nothing for its training."""

    @abstractmethod
    def calibrate(self, batches: Iterable[Tensor]) -> None:
        """Set it from all of the training set, at the present parameters; called before each evaluation.

        ``batches`` are the x of the training set.
        """
