"""The exponential-family mixture prior of LIDMVAE: z categorical, w | z ~ EF(beta' z)."""

from typing import Literal

import torch
from torch import nn

from lid_vae.distribution.components import (
    BernoulliComponents,
    Components,
    GammaComponents,
    GaussianComponents,
    LogNormalComponents,
    Support,
)
from lid_vae.distribution.latent import Mixture
from lid_vae.errors import UserError
from lid_vae.map.convex.positive import inverse_softplus, positive
from lid_vae.prior.base import Prior
from lid_vae.prior.component_code import ComponentCode
from lid_vae.shapes import Tensor

__all__ = ["ExponentialFamilyMixture"]

SUPPORTS: dict[str, Support] = {
    "gaussian": "real",
    "log_normal": "positive",
    "gamma": "positive",
    "bernoulli": "binary",
}
SPREAD_FLOOR = 0.02


class ExponentialFamilyMixture(Prior):
    """Uniform p(z) over K ``categories``; w | z of M = ``latent_dimension`` independent numbers by a code for z.

    ``component`` is ``gaussian``, ``log_normal``, ``gamma`` or ``bernoulli``; the second parameter is shared by all
    categories. The ``ComponentCode``, of a kind ``code`` and of a ``size`` at the start, shifts the mean (Gaussian),
    the mean of the logarithm (log-normal), the log concentration (Gamma) or the logits (Bernoulli). Each family is
    minimal, so different codes are different distributions. Raises ``UserError`` for a component or a code that is not
    known.

    >>> prior = ExponentialFamilyMixture(categories=5, latent_dimension=2, component="gamma")
    >>> w = prior().sample(1000, torch.Generator().manual_seed(0))
    >>> w.shape, bool((w > 0).all())
    (torch.Size([1000, 2]), True)
    """

    log_mixing: Tensor

    def __init__(
        self,
        categories: int,
        latent_dimension: int,
        component: Literal["gaussian", "log_normal", "gamma", "bernoulli"] = "gamma",
        code: Literal["regular", "learned"] = "regular",
        size: float = 0.1,
    ) -> None:
        super().__init__()
        if component not in SUPPORTS:
            raise UserError(f"component={component} is not known. Use one of {', '.join(SUPPORTS)}.")
        self.categories, self.latent_dimension = categories, latent_dimension
        self.component, self.support = component, SUPPORTS[component]
        self.code = ComponentCode(categories, latent_dimension, code, size)
        # Positive families start with a coefficient of variation of 1/2, where a log-normal and a Gamma look alike.
        start = {"gaussian": 1.0, "log_normal": 0.5, "gamma": 4.0, "bernoulli": 1.0}[component]
        self.raw_spread = nn.Parameter(inverse_softplus(torch.full((latent_dimension,), start - SPREAD_FLOOR)))
        self.register_buffer("log_mixing", -torch.tensor(float(categories)).log().expand(categories), persistent=False)
        if component == "bernoulli":
            self.raw_spread.requires_grad_(False)

    def forward(self) -> Mixture:
        return Mixture(self.log_mixing, self._components(self.code(), SPREAD_FLOOR + positive(self.raw_spread)))

    def _components(self, code: torch.Tensor, spread: torch.Tensor) -> Components:
        if self.component == "gaussian":
            return GaussianComponents(code, spread)
        if self.component == "log_normal":
            return LogNormalComponents(code, spread)
        if self.component == "gamma":
            return GammaComponents(code + torch.log(torch.tensor(4.0)), spread)
        return BernoulliComponents(code)

    def separation(self) -> float:
        return self.code.separation()
