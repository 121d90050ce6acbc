"""An identifiable decoder in a VAE of one's own: ``python examples/brenier_decoder.py``.

The MLP of a plain VAE is exchanged for a map that is injective by construction, in one line; all else stays.
"""

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.distributions import Normal, kl_divergence

import lid_vae
from lid_vae.map import composed_brenier

x = torch.tensor(load_digits().images / 16, dtype=torch.float32).flatten(1)
LATENT = 8

torch.manual_seed(0)
encoder = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 2 * LATENT))
decoder = composed_brenier(LATENT, 64, width=128, hidden_layers=1)  # in place of nn.Sequential(...)
decoder.initialise_bias(x.mean(0))
log_scale = nn.Parameter(torch.zeros(()))
optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters(), log_scale], lr=2e-3)


def encode(x: torch.Tensor) -> Normal:
    """q(z | x)."""
    mean, log_std = encoder(x).chunk(2, -1)
    return Normal(mean, log_std.exp())


def log_likelihood(x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
    """log p(x | z)."""
    return Normal(decoder(z), log_scale.exp()).log_prob(x).sum(-1)


for _ in range(40):
    for batch in x[torch.randperm(len(x))].split(128):
        q = encode(batch)
        loss = (kl_divergence(q, Normal(0.0, 1.0)).sum(-1) - log_likelihood(batch, q.rsample())).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

report = lid_vae.diagnose(encode=encode, log_likelihood=log_likelihood, prior=Normal(0.0, 1.0), data=x)
print(report.verdict())
with torch.no_grad():
    z = torch.randn(5, LATENT)
    print(f"|g(z) - g(z')| >= {decoder.certificate():.3f} |z - z'|, for any two z")
    print(f"the inverse is off by {float((decoder.inverse(decoder(z)) - z).abs().max()):.1e}")
