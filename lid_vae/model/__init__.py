"""The models that a user holds: a class for each generative model of the paper, built, trained, asked and saved."""

from lid_vae.model.compose import build
from lid_vae.model.restore import load
from lid_vae.model.variants import GMVAE, LIDGMVAE, LIDMVAE, LIDSVAE, LIDVAE, SVAE, VAE

__all__ = ["GMVAE", "LIDGMVAE", "LIDMVAE", "LIDSVAE", "LIDVAE", "SVAE", "VAE", "build", "load"]
