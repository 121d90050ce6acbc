"""VAEs of other makes, in their shapes: what pythae's, diffusers' and tutorials' models return."""

from types import SimpleNamespace

import torch
from torch import nn

__all__ = ["Diffusers", "Pythae", "Tutorial"]


class Tutorial(nn.Module):
    """(reconstruction, mean, log_variance), as in PyTorch's own example; with dropout, to be evaluated without."""

    def __init__(self, features: int = 6, latent: int = 3, end: nn.Module | None = None) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.encoder = nn.Sequential(nn.Dropout(0.5), nn.Linear(features, 2 * latent))
            self.decoder = nn.Sequential(nn.Linear(latent, features), end or nn.Sigmoid())
        self.double()

    def encode(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return self.encoder(x.flatten(1)).chunk(2, -1)

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        return self.decoder(z)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        mean, log_variance = self.encode(x)
        z = mean + (0.5 * log_variance).exp() * torch.randn_like(mean)
        return self.decode(z), mean, log_variance


class Pythae(nn.Module):
    """An encoder with embedding and log_covariance, a decoder with reconstruction, and a configuration."""

    model_name = "VAE"

    def __init__(self, tutorial: Tutorial, loss: str = "bce") -> None:
        super().__init__()
        self.model_config = SimpleNamespace(reconstruction_loss=loss)
        self.encoder, self.decoder = _Encoder(tutorial), _Decoder(tutorial)


class _Encoder(nn.Module):
    def __init__(self, tutorial: Tutorial) -> None:
        super().__init__()
        self.tutorial = tutorial

    def forward(self, x: torch.Tensor) -> SimpleNamespace:
        mean, log_variance = self.tutorial.encode(x)
        return SimpleNamespace(embedding=mean, log_covariance=log_variance)


class _Decoder(nn.Module):
    def __init__(self, tutorial: Tutorial) -> None:
        super().__init__()
        self.tutorial = tutorial

    def forward(self, z: torch.Tensor) -> SimpleNamespace:
        return SimpleNamespace(reconstruction=self.tutorial.decode(z))


class Diffusers(nn.Module):
    """encode(x).latent_dist with mean and std [B, C, H, W], decode(z).sample."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.down = nn.Conv2d(1, 4, 2, stride=2).double()
            self.up = nn.ConvTranspose2d(2, 1, 2, stride=2).double()

    def encode(self, x: torch.Tensor) -> SimpleNamespace:
        mean, log_variance = self.down(x).chunk(2, 1)
        return SimpleNamespace(latent_dist=SimpleNamespace(mean=mean, std=(0.5 * log_variance).exp()))

    def decode(self, z: torch.Tensor) -> SimpleNamespace:
        return SimpleNamespace(sample=self.up(z))
