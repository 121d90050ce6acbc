"""diffusers' AutoencoderKL under ``lid_vae.diagnose``: ``pip install diffusers``, then this program.

A small one with random weights, so that nothing is downloaded; ``AutoencoderKL.from_pretrained(...)`` goes in its
place.
Its decoder gives means, and ``scale`` is the standard deviation of the noise around them.
"""

import torch
from diffusers import AutoencoderKL

import lid_vae

torch.manual_seed(0)
model = AutoencoderKL(block_out_channels=(8,), norm_num_groups=4, latent_channels=2, sample_size=16)
x = torch.rand(64, 3, 16, 16) * 2 - 1

report = lid_vae.diagnose(model, x, likelihood="gaussian", scale=0.1, samples=10, batch_size=32)
print(report)
