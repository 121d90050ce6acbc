"""Encoders: feature extractors that stand before a posterior's variational parameters."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from math import prod
from typing import ClassVar

import torch
from torch import nn

from lid_vae.errors import UserError
from lid_vae.shapes import Float, Observations, Tensor

__all__ = ["ConvolutionalEncoder", "Encoder", "MLPEncoder"]


class Encoder(nn.Module, ABC):
    """x of shape [B, D], or sequences [B, T], to features of shape [B, ``out_features``]."""

    out_features: int
    sequences: ClassVar[bool] = False
    """Whether x are sequences."""

    @abstractmethod
    def forward(self, x: Observations) -> Float[Tensor, "B F"]:
        """The features of each x."""


class MLPEncoder(Encoder):
    """``hidden_layers`` hidden layers of ``width`` ReLU units.

    ``shape`` is that of one example: (D,), (height, width) or (channels, height, width).
    """

    def __init__(self, shape: Sequence[int], width: int, hidden_layers: int = 2) -> None:
        super().__init__()
        if hidden_layers < 1:
            raise UserError(f"MLPEncoder needs at least one hidden layer, got hidden_layers={hidden_layers}.")
        self.out_features = width
        features = prod(shape)
        layers: list[nn.Module] = []
        for k in range(hidden_layers):
            linear = nn.Linear(features if k == 0 else width, width)
            nn.init.kaiming_normal_(linear.weight, nonlinearity="relu")
            nn.init.zeros_(linear.bias)
            layers += [linear, nn.ReLU()]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Float[Tensor, "B D"]) -> Float[Tensor, "B F"]:
        return self.layers(x)


class ConvolutionalEncoder(Encoder):
    """Three strided 3 x 3 convolutions and one hidden layer, for grey and colour images. No batch statistics.

    ``shape`` is (height, width) of an image, or (channels, height, width) where it has several; ``channels`` are those
    of the first convolution, and ``width`` the units of the hidden layer. Raises ``UserError`` for images below 8 x 8.
    """

    def __init__(self, shape: Sequence[int], width: int, channels: int = 32) -> None:
        super().__init__()
        if len(shape) not in (2, 3) or min(shape[-2:]) < 8:
            raise UserError(
                f"ConvolutionalEncoder needs images of at least 8 x 8 pixels, got {list(shape)}. Use MLPEncoder."
            )
        self.image_shape, self.out_features = (1, *shape)[-3:], width
        self.convolutions = nn.Sequential(
            nn.Conv2d(self.image_shape[0], channels, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(channels, 2 * channels, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(2 * channels, 2 * channels, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
        )
        with torch.no_grad():
            size = self.convolutions(torch.zeros(1, *self.image_shape)).shape[1]
        self.output = nn.Sequential(nn.Linear(size, width), nn.ReLU())

    def forward(self, x: Float[Tensor, "B D"]) -> Float[Tensor, "B F"]:
        return self.output(self.convolutions(x.unflatten(-1, self.image_shape)))
