"""The Gaussian and RealNVP families, with z left to p(z | w) or enumerated."""

from collections.abc import Sequence
from math import prod

import torch
from torch import nn

from lid_vae.distribution.approximation import Parameters
from lid_vae.distribution.flow_gaussian import Bijection, Exponential, FlowGaussian
from lid_vae.map.convex.positive import positive
from lid_vae.noise import Rng, normal
from lid_vae.posterior.base import Posterior
from lid_vae.posterior.encoder import Encoder
from lid_vae.posterior.realnvp import RealNVP
from lid_vae.shapes import Float, Observations, Tensor

__all__ = ["AmortizedPosterior", "pair_parameters"]

SCALE_FLOOR = 1e-4
UNIT = 0.5413248546129181  # softplus(UNIT) = 1: scales start at about 1


class AmortizedPosterior(Posterior):
    """w = T(u), u ~ N(mean(x), diag(scale(x)^2)), T a composition of bijections.

    ``encoder`` gives the features of x, of which a linear layer makes mean and scale; M is ``latent_dimension`` and
    ``flow`` the bijections, the first one first. No bijection: the diagonal Gaussian of Kingma and Welling (2014).
    RealNVP: the paper's family. T is the same for every x, unless it has a ``context``, as many numbers as the encoder
    has features: then it sees those. With ``categories`` K the posterior is q(z = k | x) q(w | x, z = k), a mean and
    scale for each category, at K times the decoder's cost; without, it is q(w | x), and z follows from the exact
    p(z | w).

    >>> q = AmortizedPosterior(MLPEncoder((4,), 16), latent_dimension=2)
    >>> q.distribution(q.encode(torch.randn(5, 4))).mean.shape
    torch.Size([1, 5, 2])
    """

    counts = True

    def __init__(
        self,
        encoder: Encoder,
        latent_dimension: int,
        flow: Sequence[Bijection] = (),
        categories: int | None = None,
    ) -> None:
        super().__init__()
        self.encoder, self.latent_dimension, self.categories = encoder, latent_dimension, categories
        self.flow = nn.ModuleList(flow)
        self.contextual = any(isinstance(bijection, RealNVP) and bijection.context > 0 for bijection in flow)
        self.support = "positive" if flow and isinstance(flow[-1], Exponential) else "real"
        self.head = nn.Linear(encoder.out_features, 2 * latent_dimension * (categories or 1))
        nn.init.normal_(self.head.weight, std=0.3 / encoder.out_features**0.5)
        nn.init.zeros_(self.head.bias)
        if categories is not None:
            self.category_head = nn.Linear(encoder.out_features, categories)

    def encode(self, x: Observations) -> Parameters:
        features = self.encoder(x)
        moments = self.head(features).unflatten(-1, (self.categories or 1, 2, self.latent_dimension))
        moments = moments.movedim(-3, 0)
        parameters = {"mean": moments[..., 0, :], "raw_scale": moments[..., 1, :]}
        if self.categories is not None:
            parameters["logits"] = self.category_head(features).movedim(-1, 0)
        if self.contextual:
            parameters["context"] = features.unsqueeze(0)
        return parameters

    def distribution(self, parameters: Parameters) -> FlowGaussian:
        scale = SCALE_FLOOR + positive(parameters["raw_scale"] + UNIT)
        logits = parameters.get("logits")
        log_category = None if logits is None else torch.log_softmax(logits, 0)
        return FlowGaussian(parameters["mean"], scale, log_category, self._bijections(), parameters.get("context"))

    def pair_log_prob(self, w: Float[Tensor, "R M"], parameters: Float[Tensor, "B P"]) -> Float[Tensor, "R B"]:
        """log q(w_r | x_b) of all pairs, nats; ``parameters`` are ``pair_parameters`` of the q of each x."""
        categories, dimension = self.categories or 1, self.latent_dimension
        shapes: dict[str, tuple[int, ...]] = {"mean": (categories, dimension), "scale": (categories, dimension)}
        if self.categories is not None:
            shapes["log_category"] = (categories,)
        if self.contextual:
            shapes["context"] = (1, self.encoder.out_features)
        pieces = parameters.split([prod(shapes[name]) for name in sorted(shapes)], -1)
        tensors = {
            name: piece.unflatten(-1, shapes[name]).movedim(0, 1)
            for name, piece in zip(sorted(shapes), pieces, strict=True)
        }
        q = FlowGaussian(**tensors, flow=self._bijections())
        return q.mixture_log_prob(w.unsqueeze(1).expand(-1, len(parameters), -1))

    def draw_noise(self, samples: int, batch: int, generator: Rng) -> Float[Tensor, "*keys S K B M"]:
        shape = (samples, self.categories or 1, batch, self.latent_dimension)
        return normal(shape, generator, self.head.weight.dtype)

    def _bijections(self) -> list[Bijection]:
        flow = []
        for bijection in self.flow:
            assert isinstance(bijection, Bijection)
            flow.append(bijection)
        return flow


def pair_parameters(tensors: Parameters) -> Float[Tensor, "B P"]:
    """``FlowGaussian.tensors`` as one row for each example, in the order of their names."""
    return torch.cat([tensors[name].movedim(1, 0).flatten(1) for name in sorted(tensors)], -1)
