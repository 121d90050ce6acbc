"""The Gaussian mixture prior of GMVAE and LIDGMVAE: z categorical, w | z ~ N(beta' z, gamma)."""

from typing import Literal

import torch
from torch import nn

from lid_vae.distribution.components import GaussianComponents, Support
from lid_vae.distribution.latent import Mixture
from lid_vae.errors import UserError
from lid_vae.map.convex.positive import inverse_softplus, positive
from lid_vae.prior.base import Prior
from lid_vae.prior.component_code import ComponentCode
from lid_vae.shapes import Tensor

__all__ = ["GaussianMixture"]

SCALE_FLOOR = 0.02


class GaussianMixture(Prior):
    """Uniform p(z) over K ``categories``; w | z ~ N(beta' z, diag(gamma)) in M = ``latent_dimension`` dimensions.

    The means are a ``ComponentCode`` of a kind ``code``, of a ``size`` at the start; ``scale`` is where the learned
    standard deviation of each dimension starts. ``isotropic``: all dimensions share one, so that no direction can be
    so long that components meet there. Raises ``UserError`` for a scale that is not above its floor of 0.02.

    >>> prior = GaussianMixture(categories=5, latent_dimension=2, size=1.5)
    >>> prior().log_prob(torch.zeros(10, 2)).shape
    torch.Size([10])
    """

    support: Support = "real"

    log_mixing: Tensor

    def __init__(
        self,
        categories: int,
        latent_dimension: int,
        code: Literal["regular", "learned"] = "regular",
        size: float = 0.1,
        scale: float = 1.0,
        isotropic: bool = False,
    ) -> None:
        super().__init__()
        if not scale > SCALE_FLOOR:
            raise UserError(f"GaussianMixture needs a scale above {SCALE_FLOOR}, got scale={scale}. Use scale=1.")
        self.categories, self.latent_dimension = categories, latent_dimension
        self.code = ComponentCode(categories, latent_dimension, code, size)
        free = 1 if isotropic else latent_dimension
        self.raw_scale = nn.Parameter(inverse_softplus(torch.full((free,), scale - SCALE_FLOOR)))
        self.register_buffer("log_mixing", -torch.tensor(float(categories)).log().expand(categories), persistent=False)

    def forward(self) -> Mixture:
        scale = (SCALE_FLOOR + positive(self.raw_scale)).expand(self.latent_dimension)
        return Mixture(self.log_mixing, GaussianComponents(self.code(), scale))

    def separation(self) -> float:
        return self.code.separation()
