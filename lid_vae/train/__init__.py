"""Training: members of one configuration, and the step of one or many."""

from lid_vae.train.vae_module import VAEModule

__all__ = ["VAEModule"]
