"""Is this VAE collapsed? One in plain PyTorch, trained on scikit-learn's digits and diagnosed in one call.

python examples/diagnose.py
python examples/diagnose.py --beta 20      # a weight of the KL under which everything collapses
"""

import argparse

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn
from torch.distributions import Bernoulli, Normal

import lid_vae

LATENT, WIDTH = 16, 128

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--steps", type=int, default=2000)
parser.add_argument("--beta", type=float, default=1.0, help="weight of the KL in training")
options = parser.parse_args()

torch.manual_seed(0)
torch.set_num_threads(1)
x = (torch.as_tensor(load_digits().data, dtype=torch.float32) > 7).float()
train, test = x[:1400], x[1400:]

encoder = nn.Sequential(nn.Linear(64, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 2 * LATENT))
decoder = nn.Sequential(nn.Linear(LATENT, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 64))
optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], 1e-3)


def encode(x: torch.Tensor) -> Normal:
    """q(z | x)."""
    mean, log_variance = encoder(x).chunk(2, -1)
    return Normal(mean, (0.5 * log_variance).exp())


for _ in range(options.steps):
    batch = train[torch.randint(len(train), (100,))]
    q = encode(batch)
    kl = torch.distributions.kl_divergence(q, Normal(0.0, 1.0)).sum()
    error = F.binary_cross_entropy_with_logits(decoder(q.rsample()), batch, reduction="sum")
    optimizer.zero_grad()
    ((error + options.beta * kl) / len(batch)).backward()
    optimizer.step()

report = lid_vae.diagnose(
    encode=encode,
    log_likelihood=lambda x, z: Bernoulli(logits=decoder(z)).log_prob(x).sum(-1),
    prior=Normal(0.0, 1.0),
    data=test,
)
print(report)
