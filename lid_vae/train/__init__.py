"""Training: members of one configuration, the step of one or many, and a class for each generative model."""

from lid_vae.train.vae_module import VAEModule
from lid_vae.train.variants import GMVAE, LIDGMVAE, LIDMVAE, LIDSVAE, LIDVAE, SVAE, VAE

__all__ = ["GMVAE", "LIDGMVAE", "LIDMVAE", "LIDSVAE", "LIDVAE", "SVAE", "VAE", "VAEModule"]
