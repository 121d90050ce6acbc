"""A VAE of a tutorial collapses, is found out, and is mended: ``python examples/collapse_found_and_cured.py``.

Plain PyTorch on scikit-learn's digits. Its loss is half the squared error plus the KL, as many write it, which says
that a pixel's noise has variance 1. That is above the largest eigenvalue of the data's covariance, 0.70, where no
direction pays for itself (exact for linear decoders: Lucas et al. 2019). Then the variance is learned, and nothing else
is changed.
"""

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.distributions import Normal, kl_divergence

import lid_vae

x = torch.tensor(load_digits().images / 16, dtype=torch.float32).flatten(1)
LATENT = 8


class VAE(nn.Module):
    """q(z | x) diagonal Gaussian, p(x | z) Gaussian around an MLP, with one standard deviation for all pixels."""

    def __init__(self, learn_scale: bool) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 2 * LATENT))
        self.decoder = nn.Sequential(nn.Linear(LATENT, 128), nn.ReLU(), nn.Linear(128, 64))
        self.log_scale = nn.Parameter(torch.zeros(()), requires_grad=learn_scale)

    def encode(self, x: torch.Tensor) -> Normal:
        mean, log_scale = self.encoder(x).chunk(2, -1)
        return Normal(mean, log_scale.exp())

    def log_likelihood(self, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        return Normal(self.decoder(z), self.log_scale.exp()).log_prob(x).sum(-1)


def train(learn_scale: bool, epochs: int = 40) -> VAE:
    torch.manual_seed(0)
    vae = VAE(learn_scale)
    optimizer = torch.optim.Adam(vae.parameters(), lr=2e-3)
    for _ in range(epochs):
        for batch in x[torch.randperm(len(x))].split(128):
            q = vae.encode(batch)
            kl = kl_divergence(q, Normal(0.0, 1.0)).sum(-1)
            loss = (kl - vae.log_likelihood(batch, q.rsample())).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return vae


for learn_scale in (False, True):
    vae = train(learn_scale)
    report = lid_vae.diagnose(encode=vae.encode, log_likelihood=vae.log_likelihood, prior=Normal(0.0, 1.0), data=x)
    print(f"noise {'learned' if learn_scale else 'fixed at 1'}: {vae.log_scale.exp().item():.2f}")
    print(report.verdict(), end="\n\n")
