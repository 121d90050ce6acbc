"""Maps that end in a linear layer, h(u) = W r(u) + c."""

from abc import ABC, abstractmethod

import torch
from torch import nn

from lid_vae.map.base import Map
from lid_vae.shapes import Float, Tensor

__all__ = ["ReadOutMap"]


class ReadOutMap(Map, ABC):
    """h(u) = W r(u) + c. Whoever projects h can project W instead, of fewer rows than a batch has where D is large."""

    @abstractmethod
    def last_hidden(self, u: Float[Tensor, "*batch M"]) -> Float[Tensor, "*batch width"]:
        """r(u)."""

    @abstractmethod
    def read_out(self) -> nn.Linear:
        """W and c."""

    def forward(self, u: Float[Tensor, "*batch M"]) -> Float[Tensor, "*batch D"]:
        return self.read_out()(self.last_hidden(u))  # type: ignore[no-any-return]

    @torch.no_grad()
    def initialise_bias(self, bias: Float[Tensor, " D"]) -> None:
        self.read_out().bias.copy_(bias)
