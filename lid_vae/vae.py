"""A variational autoencoder: prior, likelihood and posterior, the log terms of its bound, two parameter groups."""

from typing import NamedTuple

import torch
from torch import nn

from lid_vae.distribution.approximation import Approximation, LatentSample
from lid_vae.distribution.kl import closed_form_kl
from lid_vae.distribution.latent import LatentDistribution, Mixture
from lid_vae.errors import UserError
from lid_vae.likelihood.base import CalibratedLikelihood, Likelihood
from lid_vae.posterior.base import CalibratedPosterior, Posterior
from lid_vae.prior.base import AggregatePrior, Prior
from lid_vae.shapes import Float, Observations, Tensor

__all__ = ["Autoencoder", "LogTerms"]


class LogTerms(NamedTuple):
    """The terms of log p(x, w) - log q(w | x) over samples, enumerated categories and examples, in nats.

    ``log_likelihood`` is log p(x | w), ``log_prior`` log p(w) and ``log_posterior`` log q(w | x) of each draw, which
    are those of ``sample``; ``prior`` is p(w) itself. ``reparametrised``: whether the draws carry the gradient of q.
    """

    log_likelihood: Float[Tensor, "S K B"]
    log_prior: Float[Tensor, "S K B"]
    log_posterior: Float[Tensor, "S K B"]
    log_category: Float[Tensor, "K B"] | None
    """log q(z = k | x) where categories are enumerated; ``log_prior`` and ``log_posterior`` then include z."""
    reparametrised: bool
    kl: Float[Tensor, " B"] | None
    """KL(q || prior) where it has a closed form."""
    sample: LatentSample
    prior: LatentDistribution
    log_joint: Float[Tensor, "S 1 B K"] | None
    """log p(z = k, w) of each draw, where there are categories and q leaves them to p(z | w)."""

    def log_weight(self) -> Float[Tensor, "S K B"]:
        """log p(x, w) - log q(w | x)."""
        return self.log_likelihood + self.log_prior - self.log_posterior

    def expectation(self, value: Float[Tensor, "S K B"]) -> Float[Tensor, "S B"]:
        """The expectation over the categories of ``value``, for each sample."""
        if self.log_category is None:
            return value.squeeze(1)
        return (self.log_category.exp() * value).sum(1)

    def log_evidence_weight(self) -> Float[Tensor, "S B"]:
        """log of an unbiased estimate of p(x), for each sample; categories are summed exactly.

        With enumerated categories: log sum_k p(k) p(w_k | k) p(x | w_k) / q(w_k | x, k), Jensen's step above the
        expectation of ``log_weight`` on the same draws.
        """
        if self.log_category is None:
            return self.log_weight().squeeze(1)
        return torch.logsumexp(self.log_weight() + self.log_category, 1)


class Autoencoder(nn.Module):
    """p(w) p(x | w) with q(w | x): a ``prior``, a ``likelihood`` and a ``posterior`` of the same latent.

    Raises ``UserError`` where dimensions, categories or supports do not agree.

    >>> from lid_vae.likelihood import GaussianLikelihood
    >>> from lid_vae.map import composed_brenier
    >>> from lid_vae.objective import ELBO
    >>> from lid_vae.posterior import AmortizedPosterior, MLPEncoder
    >>> from lid_vae.prior import StandardNormalPrior
    >>> decoder = composed_brenier(2, 50, width=32, hidden_layers=1)
    >>> posterior = AmortizedPosterior(MLPEncoder((50,), width=32), latent_dimension=2)
    >>> vae = Autoencoder(StandardNormalPrior(2), GaussianLikelihood(decoder), posterior)
    >>> x, noise = torch.randn(10, 50), posterior.draw_noise(1, 10, torch.Generator().manual_seed(0))
    >>> q = posterior.distribution(posterior.encode(x))
    >>> ELBO()(vae, x, q, noise).shape
    torch.Size([10])
    """

    def __init__(self, prior: Prior, likelihood: Likelihood, posterior: Posterior) -> None:
        super().__init__()
        if not prior.latent_dimension == likelihood.latent_dimension == posterior.latent_dimension:
            raise UserError(
                f"The latent has {prior.latent_dimension} dimensions in the prior, {likelihood.latent_dimension} in "
                f"the likelihood and {posterior.latent_dimension} in the posterior; they must agree."
            )
        if posterior.categories is not None and posterior.categories != prior.categories:
            raise UserError(
                f"The posterior enumerates {posterior.categories} categories and the prior has {prior.categories}. "
                "Use mixture='conditional' in the family, or a mixture prior of as many categories."
            )
        if posterior.support != prior.support:
            raise UserError(
                f"The prior's latent is {prior.support} and the posterior's {posterior.support}; they must agree. Use "
                "a posterior of gaussian_family or realnvp_family, which follows the prior."
            )
        if posterior.categories is not None and isinstance(likelihood, CalibratedLikelihood):
            raise UserError(
                f"{type(likelihood).__name__} takes a mean over all draws of w, and a family with mixture='enumerate' "
                "draws of "
                "every category, most of which q leaves out. Use mixture='conditional', or gaussian_likelihood."
            )
        self.prior, self.likelihood, self.posterior = prior, likelihood, posterior
        if isinstance(prior, AggregatePrior):
            _check_aggregate(prior, likelihood, posterior)
            prior.attach(posterior, posterior.categories)

    def terms(self, x: Observations, q: Approximation, noise: Float[Tensor, "S K B M"]) -> LogTerms:
        """The log terms of a batch ``x`` at the draws of ``q`` that ``noise`` gives."""
        return self.terms_at(x, q, q.sample(noise))

    def terms_at(self, x: Observations, q: Approximation, sample: LatentSample) -> LogTerms:
        """The log terms of a batch ``x`` at draws of ``q``, whose gradient is that which ``sample`` carries."""
        prior = self.prior()
        log_likelihood = self.likelihood(sample.w).log_prob(x)
        log_posterior = sample.log_prob
        log_joint = None
        if q.log_category is not None:
            assert isinstance(prior, Mixture)
            log_prior = prior.aligned_joint_log_prob(sample.w)
            log_posterior = log_posterior + q.log_category
        elif isinstance(prior, Mixture):
            log_joint = prior.joint_log_prob(sample.w)
            log_prior = torch.logsumexp(log_joint, -1)
        else:
            log_prior = prior.log_prob(sample.w)
        return LogTerms(
            log_likelihood,
            log_prior,
            log_posterior,
            q.log_category,
            q.reparametrised,
            closed_form_kl(q, prior),
            sample,
            prior,
            log_joint,
        )

    def category_probability(
        self, q: Approximation, sample: LatentSample, prior: LatentDistribution | None = None
    ) -> Float[Tensor, "S B K"] | None:
        """q(z | x): exact where enumerated (then S = 1), else p(z | w) for each draw, ``sample``, of q(w | x).

        ``prior`` is p(w), where it is made already. None without categories.
        """
        if q.log_category is not None:
            return q.log_category.exp().mT.unsqueeze(0)
        prior = self.prior() if prior is None else prior
        if not isinstance(prior, Mixture):
            return None
        return prior.category_log_prob(sample.w.squeeze(1)).exp()

    def model_parameters(self) -> list[nn.Parameter]:
        """theta: prior and likelihood."""
        return [*self.prior.parameters(), *self.likelihood.parameters()]

    def posterior_parameters(self) -> list[nn.Parameter]:
        """phi: encoder and flow."""
        return list(self.posterior.parameters())


def _check_aggregate(prior: AggregatePrior, likelihood: Likelihood, posterior: Posterior) -> None:
    """Refuses by ``UserError`` a prior made of q(w | u) where no u can be learned, or q is not one of u alone."""
    name = type(prior).__name__
    if likelihood.symbols is not None:
        raise UserError(
            f"{name} learns pseudo-inputs, which are vectors of real numbers, and these data are sequences of "
            f"{likelihood.symbols} symbols. Use StandardNormalPrior."
        )
    if isinstance(posterior, CalibratedPosterior):
        raise UserError(
            f"{name} averages q(w | u) of single pseudo-inputs u, and {type(posterior).__name__} takes its q from a "
            "whole batch. Use the posterior that it normalises, or StandardNormalPrior."
        )
