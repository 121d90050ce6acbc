"""The evidence lower bound, with a weight on its KL term."""

from lid_vae.distribution.approximation import Approximation
from lid_vae.errors import UserError
from lid_vae.objective.annealed import Annealed
from lid_vae.objective.schedule import Schedule
from lid_vae.objective.score_function import with_score_gradient
from lid_vae.shapes import Float, Observations, Tensor
from lid_vae.vae import Autoencoder, LogTerms

__all__ = ["ELBO", "weighted_bound"]


class ELBO(Annealed):
    """E_q log p(x | w) - beta KL(q || p).

    beta = 1: Kingma and Welling (2014), eq. 3; else beta-VAE, Higgins et al. (2017).

    ``beta`` is a number or a schedule (annealing). KL is in closed form where there is one, unless ``closed_form`` is
    False; else it is sampled. Raises ``UserError`` for a negative beta or no samples.

    >>> from lid_vae.likelihood import GaussianLikelihood
    >>> from lid_vae.map import MLP
    >>> from lid_vae.posterior import AmortizedPosterior, MLPEncoder
    >>> from lid_vae.prior import StandardNormalPrior
    >>> from lid_vae.vae import Autoencoder
    >>> posterior = AmortizedPosterior(MLPEncoder((4,), 16), latent_dimension=2)
    >>> vae = Autoencoder(StandardNormalPrior(2), GaussianLikelihood(MLP(2, 4, 16, 1)), posterior)
    >>> objective = ELBO(beta=0.5)
    >>> x, noise = torch.randn(10, 4), posterior.draw_noise(objective.samples, 10, torch.Generator().manual_seed(0))
    >>> objective(vae, x, posterior.distribution(posterior.encode(x)), noise).shape
    torch.Size([10])
    """

    def __init__(self, beta: float | Schedule = 1.0, samples: int = 1, closed_form: bool = True) -> None:
        super().__init__(beta)
        if samples < 1:
            raise UserError(f"ELBO needs at least one sample, got samples={samples}. Use samples=1.")
        self.samples, self.closed_form = samples, closed_form

    def forward(
        self, vae: Autoencoder, x: Observations, q: Approximation, noise: Float[Tensor, "S K B M"]
    ) -> Float[Tensor, " B"]:
        return weighted_bound(vae.terms(x, q, noise), self.beta, self.closed_form)


def weighted_bound(terms: LogTerms, beta: float | Float[Tensor, ""], closed_form: bool = True) -> Float[Tensor, " B"]:
    """E_q log p(x | w) - beta KL(q || p) of ``terms``, nats per example.

    The KL is in closed form where there is one and ``closed_form`` is true, else the mean over the draws. Draws without
    a gradient get the score function's.
    """
    if closed_form and terms.kl is not None and terms.reparametrised:
        return terms.expectation(terms.log_likelihood).mean(0) - beta * terms.kl
    reward = terms.log_likelihood - beta * (terms.log_posterior - terms.log_prior)
    value = terms.expectation(reward)
    if not terms.reparametrised:
        value = with_score_gradient(value, reward, terms)
    return value.mean(0)
