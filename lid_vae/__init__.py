"""Latent-identifiable variational autoencoders (Wang, Blei and Cunningham, NeurIPS 2021)."""

__all__ = ["__version__"]

__version__ = "0.1.0"
