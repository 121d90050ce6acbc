"""Pictures of a trained model: its latents, coloured by label."""

from pathlib import Path

import matplotlib.pyplot as plt
import torch

from lid_vae.data.base import ArrayDataModule
from lid_vae.module.vae_module import VAEModule
from lid_vae.noise import generator

__all__ = ["draw_run"]


def draw_run(module: VAEModule, data: ArrayDataModule, path: Path) -> Path:
    """The first two latent dimensions of a test batch."""
    figure, axes = plt.subplots(figsize=(5, 5))
    batch = next(iter(data.batches("test", 2000)))
    rng = generator("picture", device=batch.x.device)
    noise = module.vae.posterior.draw_noise(1, len(batch.x), rng)
    with torch.no_grad():
        w = module.infer(batch.x, noise).sample(noise).w[0, 0].cpu()
    axes.scatter(w[:, 0], w[:, 1], s=2, c=None if batch.y is None else batch.y.cpu(), cmap="tab10")
    figure.savefig(path)
    plt.close(figure)
    return path
