"""The standard normal prior."""

import torch

from lid_vae.distribution.components import Support
from lid_vae.distribution.latent import StandardNormal
from lid_vae.prior.base import Prior
from lid_vae.shapes import Tensor

__all__ = ["StandardNormalPrior"]


class StandardNormalPrior(Prior):
    """z ~ N(0, I_M) with M = ``latent_dimension``, and w = z.

    >>> StandardNormalPrior(2)().log_prob(torch.zeros(1, 2))
    tensor([-1.8379])
    """

    support: Support = "real"
    origin: Tensor

    def __init__(self, latent_dimension: int) -> None:
        super().__init__()
        self.latent_dimension, self.categories = latent_dimension, None
        self.register_buffer("origin", torch.zeros(latent_dimension), persistent=False)

    def forward(self) -> StandardNormal:
        return StandardNormal(self.origin)

    def separation(self) -> None:
        return None
