"""How far the components of a mixture are apart: p(w | z) in closed form, E[x | z] from draws."""

import torch
from torch import distributions

from lid_vae.distribution.components import (
    BernoulliComponents,
    Components,
    GammaComponents,
    GaussianComponents,
    LogNormalComponents,
)
from lid_vae.distribution.latent import Mixture
from lid_vae.likelihood import Likelihood, VectorObservation
from lid_vae.prior.vamp_prior import DiagonalGaussianComponents
from lid_vae.shapes import Float, Tensor

__all__ = ["component_divergences", "mean_distance"]


@torch.no_grad()
def component_divergences(components: Components) -> Float[Tensor, "K K"] | None:
    """KL(p(w | z = j) || p(w | z = k)), nats, double precision; None for components without a closed form here.

    >>> component_divergences(GaussianComponents(torch.tensor([[0.0], [3.0]]), torch.tensor([1.0])))
    tensor([[0.0000, 4.5000],
            [4.5000, 0.0000]], dtype=torch.float64)
    """
    first, second = _of(components, 1), _of(components, 0)
    if first is None or second is None:
        return None
    return distributions.kl_divergence(first, second).sum(-1)


def _of(components: Components, axis: int) -> distributions.Distribution | None:
    """As PyTorch's distributions over [K, K, M] numbers, the same along ``axis``."""

    def paired(value: Tensor) -> Tensor:
        return value.double().unsqueeze(axis).expand(len(value), len(value), -1)

    if isinstance(components, LogNormalComponents):
        components = components.normal  # a bijection leaves the divergence alone
    if isinstance(components, GaussianComponents | DiagonalGaussianComponents):
        return distributions.Normal(paired(components.mean), paired(components.scale.expand_as(components.mean)))
    if isinstance(components, GammaComponents):
        rate = components.rate.expand_as(components.log_concentration)
        return distributions.Gamma(paired(components.log_concentration).exp(), paired(rate))
    if isinstance(components, BernoulliComponents):
        return distributions.Bernoulli(logits=paired(components.logits))
    return None


@torch.no_grad()
def mean_distance(
    likelihood: Likelihood, prior: Mixture, draws: int, rng: torch.Generator
) -> tuple[float, float] | None:
    """The smallest |E[x | z = j] - E[x | z = k]|^2 over pairs of categories, with its standard error.

    Without bias for each pair: the U-statistic (|sum_n d_n|^2 - sum_n |d_n|^2) / (N (N - 1)) of N differences d_n =
    E[x | w_n] - E[x | w'_n], w_n ~ p(w | z = j), w'_n ~ p(w | z = k), which may fall below 0. The smallest over many
    pairs is too small on average.

    Args:
        likelihood: of vectors, in double precision.
        prior: whose components give the draws.
        draws: N, for each category.
        rng: on the device of the prior.

    Returns:
        The estimate and its standard error; None for sequences, or fewer than two categories.
    """
    categories = len(prior.log_mixing)
    if categories < 2 or likelihood.symbols is not None:
        return None
    category = torch.arange(categories, device=prior.log_mixing.device).repeat_interleave(draws)
    observed = likelihood(prior.components.sample(category, rng).double())
    if not isinstance(observed, VectorObservation):
        return None
    mean = observed.mean.unflatten(0, (categories, draws))
    found: list[tuple[float, float]] = []
    for j in range(categories - 1):
        difference = mean[j] - mean[j + 1 :]
        total = difference.sum(1)
        squares = (total.square().sum(-1) - difference.square().sum((1, 2))) / (draws * (draws - 1))
        influence = 2 * (difference @ (total / draws).unsqueeze(-1)).squeeze(-1)
        errors = influence.std(1) / draws**0.5
        found += zip(squares.tolist(), errors.tolist(), strict=True)
    return min(found)
