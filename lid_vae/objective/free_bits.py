"""Free bits: the bound stops paying for a KL below a floor, so that nothing is gained by giving up its last nats."""

from typing import Literal

import torch

from lid_vae.distribution.approximation import Approximation
from lid_vae.distribution.kl import grouped_kl
from lid_vae.errors import UserError
from lid_vae.objective.annealed import Annealed
from lid_vae.objective.elbo import weighted_bound
from lid_vae.objective.schedule import Schedule
from lid_vae.shapes import Float, Observations, Tensor
from lid_vae.vae import Autoencoder, LogTerms

__all__ = ["FreeBits"]


class FreeBits(Annealed):
    """E_q log p(x | w) - beta sum_j max(free_bits, KL_j), KL_j averaged over the batch: Kingma et al. (2016), eq. 15.

    ``free_bits`` is in nats (the name is the paper's); 0 is the ELBO exactly. ``per`` says what a KL_j is:

    ``total``: one KL, of the whole latent, in closed form where there is one and sampled elsewhere. For a mixture that
    is the joint KL of (z, w): KL(q(z, w | x) || p(z, w)) where categories are enumerated, and KL(q(w | x) || p(w)),
    which equals it, where z follows from the exact p(z | w). So it does not keep z alone from collapsing.

    ``dimension``: one for each dimension of w, which needs a diagonal Gaussian q without a flow, and p(w) = N(0, I).
    With enumerated categories and Gaussian components: KL(q(z) || p(z)), then KL(w_m given z) for each dimension.

    A closed gate passes no gradient of its KL, as max does; the value of an example has the floor in its place. Li et
    al. (2019) take the maximum for each example, before the average; the mean over the batch is Kingma's. ``beta`` is a
    number or a schedule, ``samples`` the draws of q for each example. Raises ``UserError`` for options out of range,
    and where KL_j is not there.

    >>> from lid_vae.likelihood import GaussianLikelihood
    >>> from lid_vae.map import MLP
    >>> from lid_vae.posterior import AmortizedPosterior, MLPEncoder
    >>> from lid_vae.prior import StandardNormalPrior
    >>> from lid_vae.vae import Autoencoder
    >>> posterior = AmortizedPosterior(MLPEncoder((4,), 16), latent_dimension=2)
    >>> vae = Autoencoder(StandardNormalPrior(2), GaussianLikelihood(MLP(2, 4, 16, 1)), posterior)
    >>> objective = FreeBits(free_bits=2.0)
    >>> x, noise = torch.randn(10, 4), posterior.draw_noise(objective.samples, 10, torch.Generator().manual_seed(0))
    >>> objective(vae, x, posterior.distribution(posterior.encode(x)), noise).shape
    torch.Size([10])
    """

    def __init__(
        self,
        free_bits: float = 2.0,
        per: Literal["total", "dimension"] = "total",
        beta: float | Schedule = 1.0,
        samples: int = 1,
    ) -> None:
        super().__init__(beta)
        if samples < 1:
            raise UserError(f"FreeBits needs at least one sample, got samples={samples}. Use samples=1.")
        if free_bits < 0:
            raise UserError(
                f"A KL is never negative and needs no floor below zero, got free_bits={free_bits}. "
                "Use free_bits=0 for the plain bound."
            )
        if per not in ("total", "dimension"):
            raise UserError(f"per={per} is not known. Use total or dimension.")
        self.free_bits, self.per, self.samples = float(free_bits), per, samples
        self.by_example = self.free_bits == 0

    def forward(
        self, vae: Autoencoder, x: Observations, q: Approximation, noise: Float[Tensor, "S K B M"]
    ) -> Float[Tensor, " B"]:
        terms = vae.terms(x, q, noise)
        if self.per == "dimension":
            return self._by_dimension(terms, _groups(q, terms))
        if self.free_bits == 0:
            return weighted_bound(terms, self.beta)
        paid = (_joint_kl(terms).mean() > self.free_bits).to(x.dtype)
        return weighted_bound(terms, self.beta * paid) - self.beta * self.free_bits * (1 - paid)

    def _by_dimension(self, terms: LogTerms, groups: Float[Tensor, "B J"]) -> Float[Tensor, " B"]:
        if self.free_bits == 0:
            return weighted_bound(terms, self.beta)
        paid = groups.mean(0) > self.free_bits
        divergence = torch.where(paid, groups, self.free_bits).sum(-1)
        return terms.expectation(terms.log_likelihood).mean(0) - self.beta * divergence


def _joint_kl(terms: LogTerms) -> Float[Tensor, " B"]:
    """The KL as ``weighted_bound`` takes it."""
    if terms.kl is not None and terms.reparametrised:
        return terms.kl
    return terms.expectation(terms.log_posterior - terms.log_prior).mean(0)


def _groups(q: Approximation, terms: LogTerms) -> Float[Tensor, "B J"]:
    groups = grouped_kl(q, terms.prior)
    if groups is None:
        raise UserError(
            "Free bits for each dimension (per='dimension') need a KL in closed form for each, which takes a "
            "diagonal Gaussian q and a prior N(0, I), or a Gaussian mixture with enumerated categories; a flow, a "
            "mixture summed over its categories and other components have none. Use per='total', or "
            "gaussian_family (with mixture='enumerate' where z is categorical and its components Gaussian)."
        )
    return groups
