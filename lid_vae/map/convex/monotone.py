"""What Brenier maps and gradient networks share: a strong-convexity floor, an output bias and the inverse."""

from abc import ABC, abstractmethod
from functools import partial

import torch
from torch import nn

from lid_vae.errors import UserError
from lid_vae.map.base import InjectiveMap
from lid_vae.map.convex.inversion import invert_monotone
from lid_vae.map.convex.positive import inverse_softplus, positive
from lid_vae.map.lift import Lift
from lid_vae.shapes import Float, Tensor

__all__ = ["MonotoneMap"]


class MonotoneMap(InjectiveMap, ABC):
    """g(u) = grad f(u) + mu u + b with f convex: the gradient of a strongly convex function, a bijection of R^D.

    mu = floor + softplus(learned) > 0, and <g(a) - g(b), a - b> >= mu |a - b|^2, so mu certifies injectivity.

    Args:
        features: D.
        hidden_layers: how many the network has.
        strong_convexity: where mu starts.
        strong_convexity_floor: below which it never is.
        given_strong_convexity: mu itself, which nothing learns; the two before it then have no bearing.
    """

    given_strong_convexity: Tensor

    def __init__(
        self,
        features: int,
        hidden_layers: int,
        strong_convexity: float = 1.0,
        strong_convexity_floor: float = 0.01,
        given_strong_convexity: float | None = None,
    ) -> None:
        super().__init__()
        if not strong_convexity > strong_convexity_floor > 0:
            raise UserError(
                f"{type(self).__name__} needs 0 < strong_convexity_floor < strong_convexity, got "
                f"strong_convexity_floor={strong_convexity_floor} and strong_convexity={strong_convexity}."
            )
        self.in_features = self.out_features = features
        self.hidden_layers = hidden_layers
        self.floor = strong_convexity_floor
        self.learned = given_strong_convexity is None
        if given_strong_convexity is None:
            above = torch.tensor(float(strong_convexity - strong_convexity_floor))
            self.raw_strong_convexity = nn.Parameter(inverse_softplus(above))
        else:
            self.register_buffer("given_strong_convexity", torch.tensor(float(given_strong_convexity)))
        self.output_bias = nn.Parameter(torch.zeros(features))

    @abstractmethod
    def gradient(
        self, u: Float[Tensor, "*batch M"], lift: Lift | None = None, bias: Float[Tensor, " D"] | None = None
    ) -> Float[Tensor, "*batch D"]:
        """grad f at ``u``, or at ``lift u``; plus ``bias``."""

    @abstractmethod
    def convex_potential(self, u: Float[Tensor, "*batch D"]) -> Float[Tensor, "*batch"]:
        """f(u), without the quadratic and the linear term."""

    def strong_convexity(self) -> Float[Tensor, ""]:
        """mu > 0."""
        if not self.learned:
            return self.given_strong_convexity
        return self.floor + positive(self.raw_strong_convexity)

    def forward(
        self, u: Float[Tensor, "*batch M"], lift: Lift | None = None, mu: Float[Tensor, ""] | None = None
    ) -> Float[Tensor, "*batch D"]:
        """g(u), or g(lift u); with another ``mu`` than its own, where one is given."""
        # The scale before the lift, the bias inside the product: onto a vocabulary every pass over the output counts.
        scaled = (self.strong_convexity() if mu is None else mu) * u
        gradient = self.gradient(u, lift, self.output_bias)
        return gradient + scaled if lift is None else lift.added(gradient, scaled)

    def potential(self, u: Float[Tensor, "*batch D"], mu: Float[Tensor, ""] | None = None) -> Float[Tensor, "*batch"]:
        """The strongly convex function whose gradient g is: f(u) + mu/2 |u|^2 + b'u; ``mu`` as in ``forward``."""
        quadratic = 0.5 * (self.strong_convexity() if mu is None else mu) * u.square().sum(-1)
        return self.convex_potential(u) + quadratic + (u * self.output_bias).sum(-1)

    def inverse_lipschitz(self) -> Float[Tensor, ""]:
        return self.strong_convexity()

    def inverse(
        self, x: Float[Tensor, "*batch D"], tolerance: float = 1e-9, mu: Float[Tensor, ""] | None = None
    ) -> Float[Tensor, "*batch D"]:
        """As of ``InjectiveMap``; ``mu`` as in ``forward``."""
        if mu is None:
            return invert_monotone(self.forward, self.potential, x, tolerance)
        return invert_monotone(partial(self.forward, mu=mu), partial(self.potential, mu=mu), x, tolerance)

    @torch.no_grad()
    def initialise_bias(self, bias: Float[Tensor, " D"]) -> None:
        self.output_bias.copy_(bias)
