"""LightningModules: the training mechanics, and one class for each generative model of the paper."""

from lid_vae.module.evaluator import Evaluator
from lid_vae.module.vae_module import VAEModule
from lid_vae.module.variants import GMVAE, LIDGMVAE, LIDMVAE, LIDSVAE, LIDVAE, SVAE, VAE

__all__ = ["GMVAE", "LIDGMVAE", "LIDMVAE", "LIDSVAE", "LIDVAE", "SVAE", "VAE", "Evaluator", "VAEModule"]
