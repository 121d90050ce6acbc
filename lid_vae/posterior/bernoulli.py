"""The factorised Bernoulli family, for binary latents."""

import torch
from torch import nn

from lid_vae.distribution.approximation import Parameters
from lid_vae.distribution.bernoulli import BernoulliApproximation
from lid_vae.distribution.components import Support
from lid_vae.noise import Rng, uniform
from lid_vae.posterior.base import Posterior
from lid_vae.posterior.encoder import Encoder
from lid_vae.shapes import Float, Observations, Tensor

__all__ = ["BernoulliPosterior"]


class BernoulliPosterior(Posterior):
    """q(w | x) = prod_m Bernoulli(w_m | logits_m(x)), or one such law for each of K enumerated ``categories``.

    ``encoder`` gives the features of x, of which a linear layer makes the logits of M = ``latent_dimension`` numbers.
    Draws carry no gradient: the objectives use a leave-one-out score-function estimator, which needs two samples.
    """

    support: Support = "binary"

    counts = True

    def __init__(self, encoder: Encoder, latent_dimension: int, categories: int | None = None) -> None:
        super().__init__()
        self.encoder, self.latent_dimension, self.categories = encoder, latent_dimension, categories
        self.head = nn.Linear(encoder.out_features, latent_dimension * (categories or 1))
        if categories is not None:
            self.category_head = nn.Linear(encoder.out_features, categories)

    def encode(self, x: Observations) -> Parameters:
        features = self.encoder(x)
        units = self.head(features).unflatten(-1, (self.categories or 1, self.latent_dimension)).movedim(-2, 0)
        parameters = {"unit_logits": units}
        if self.categories is not None:
            parameters["logits"] = self.category_head(features).movedim(-1, 0)
        return parameters

    def distribution(self, parameters: Parameters) -> BernoulliApproximation:
        logits = parameters.get("logits")
        return BernoulliApproximation(
            parameters["unit_logits"], None if logits is None else torch.log_softmax(logits, 0)
        )

    def draw_noise(self, samples: int, batch: int, generator: Rng) -> Float[Tensor, "*keys S K B M"]:
        shape = (samples, self.categories or 1, batch, self.latent_dimension)
        return uniform(shape, generator, self.head.weight.dtype)
