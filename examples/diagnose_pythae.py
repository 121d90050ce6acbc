"""pythae's VAE under ``lid_vae.diagnose``, in one line: ``pip install pythae``, then this program.

pythae returns a reconstruction and does not say what p(x | z) it is of, so that the likelihood has to be named.
"""

import torch
from pythae.models import VAE, VAEConfig
from sklearn.datasets import load_digits

import lid_vae

x = torch.tensor(load_digits().images / 16, dtype=torch.float32).unsqueeze(1)  # [1797, 1, 8, 8]

torch.manual_seed(0)
model = VAE(VAEConfig(input_dim=(1, 8, 8), latent_dim=8, reconstruction_loss="bce"))
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
for _ in range(20):
    for batch in x[torch.randperm(len(x))].split(128):
        optimizer.zero_grad()
        model({"data": batch}).loss.backward()
        optimizer.step()

print(lid_vae.diagnose(model, x, likelihood="bernoulli", samples=50))
