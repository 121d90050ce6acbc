"""The ELBO with a capacity: the KL is drawn to a given number of nats, from above and from below."""

from lid_vae.distribution.approximation import Approximation
from lid_vae.errors import UserError
from lid_vae.objective.base import Objective
from lid_vae.objective.schedule import Constant, Schedule
from lid_vae.shapes import Float, Observations, Tensor
from lid_vae.vae import Autoencoder

__all__ = ["Capacity"]


class Capacity(Objective):
    """E_q log p(x | w) - gamma |KL(q || p) - C|, for each example: Burgess et al. (2018, arXiv:1804.03599).

    The KL is in closed form where there is one. Elsewhere it is sampled, and as the absolute value is taken of the mean
    over the draws, few of them penalise their spread too. It is no bound on log p(x): the measures are the plain ELBO.

    Args:
        capacity: C, nats; a number, or a schedule such as ``Linear(0, 25, 0.5)``, which the paper raises slowly.
        gamma: the weight of the distance from C; the paper's is 1000.
        samples: draws of q for each example of a training step.

    Raises:
        UserError: for a negative number or no samples; in ``forward`` for a latent without a reparametrised gradient.
    """

    def __init__(self, capacity: float | Schedule = 2.0, gamma: float = 10.0, samples: int = 1) -> None:
        super().__init__()
        if samples < 1:
            raise UserError(f"An objective needs at least one sample, got objective.samples={samples}.")
        self.schedule = capacity if isinstance(capacity, Schedule) else Constant(float(capacity))
        self.gamma, self.samples = gamma, samples
        self.capacity = self.schedule(0, 1)
        for name, value in (("capacity", self.capacity), ("gamma", gamma)):
            if value < 0:
                raise UserError(f"A {name} below zero means nothing, got objective.{name}={value}. Use 0 or more.")

    def forward(
        self, vae: Autoencoder, x: Observations, q: Approximation, noise: Float[Tensor, "S K B M"]
    ) -> Float[Tensor, " B"]:
        terms = vae.terms(x, q, noise)
        if not terms.reparametrised:
            raise UserError("objective=capacity needs a reparametrised latent, got a discrete one. Use objective=elbo.")
        kl = terms.kl
        if kl is None:
            kl = terms.expectation(terms.log_posterior - terms.log_prior).mean(0)
        return terms.expectation(terms.log_likelihood).mean(0) - self.gamma * (kl - self.capacity).abs()

    def advance(self, step: int, steps: int) -> None:
        self.capacity = self.schedule(step, steps)
