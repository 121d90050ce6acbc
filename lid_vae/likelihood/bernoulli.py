"""Bernoulli likelihood of binary pixels; the link is the sigmoid."""

import torch

from lid_vae.likelihood.base import MakeMap, VectorLikelihood, VectorObservation
from lid_vae.map.base import Map
from lid_vae.map.convex.positive import softplus
from lid_vae.shapes import Float, Tensor

__all__ = ["BernoulliLikelihood", "bernoulli_likelihood"]

EDGE = 0.01


class BernoulliObservation(VectorObservation):
    """Independent pixels with the given logits."""

    def __init__(self, logits: Float[Tensor, "*batch D"]) -> None:
        self.logits = logits

    @property
    def mean(self) -> Tensor:  # type: ignore[override]
        return torch.sigmoid(self.logits)

    def log_prob(self, x: Tensor) -> Float[Tensor, "*batch"]:
        return (x * self.logits).sum(-1) - softplus(self.logits).sum(-1)

    def sample(self, generator: torch.Generator) -> Tensor:
        return torch.bernoulli(self.mean, generator=generator)


class BernoulliLikelihood(VectorLikelihood):
    """x_d | w ~ Bernoulli(sigmoid(map(w)_d)).

    >>> from lid_vae.map import MLP
    >>> likelihood = BernoulliLikelihood(MLP(2, 784, 16, 1))
    >>> likelihood(torch.zeros(5, 2)).log_prob(torch.ones(5, 784)).shape
    torch.Size([5])
    """

    binary = True

    def __init__(self, map: Map) -> None:
        super().__init__(map)

    def forward(self, w: Float[Tensor, "*batch M"]) -> BernoulliObservation:
        return BernoulliObservation(self.map(w))

    @torch.no_grad()
    def initialise(self, mean: Float[Tensor, " D"], w: Float[Tensor, "N M"]) -> None:
        self.map.initialise_bias(torch.zeros_like(mean))
        self.map.initialise_bias(torch.logit(mean, eps=EDGE) - self.map(w).mean(0))


def bernoulli_likelihood(map: MakeMap, latent_dimension: int, features: int) -> BernoulliLikelihood:
    """The likelihood of ``features`` pixels (D), its ``map`` made from M = ``latent_dimension`` to D.

    >>> from functools import partial
    >>> from lid_vae.map import composed_brenier
    >>> likelihood = bernoulli_likelihood(partial(composed_brenier, width=32, hidden_layers=1), 2, 784)
    >>> likelihood(torch.zeros(5, 2)).log_prob(torch.ones(5, 784)).shape
    torch.Size([5])
    """
    return BernoulliLikelihood(map(in_features=latent_dimension, out_features=features))
