"""One class for each generative model of the paper; each declares what it promises, and overrides nothing."""

from lid_vae.model.variant import Variant
from lid_vae.train.promise import Promise

__all__ = ["GMVAE", "LIDGMVAE", "LIDMVAE", "LIDSVAE", "LIDVAE", "SVAE", "VAE"]


class VAE(Variant):
    """z ~ N(0, I), x | z through any map (Kingma and Welling 2014)."""

    promise = Promise("VAE", injective=False, prior="standard_normal")


class GMVAE(Variant):
    """z categorical, w | z Gaussian, x | w through any map: LIDGMVAE's classical counterpart."""

    promise = Promise("GMVAE", injective=False, prior="mixture")


class SVAE(Variant):
    """z ~ N(0, I), a sequence given z and its history through any map: LIDSVAE's classical counterpart."""

    promise = Promise("SVAE", injective=False, prior="standard_normal", sequence=True)


class LIDVAE(Variant):
    """z ~ N(0, I), x | z through Brenier maps and lifts (Wang et al. 2021, Definition 4 with w = z)."""

    promise = Promise("LIDVAE", injective=True, prior="standard_normal", counterpart="VAE")


class LIDMVAE(Variant):
    """z categorical, w | z any exponential family, x | w through Brenier maps and lifts (Definition 4)."""

    promise = Promise("LIDMVAE", injective=True, prior="mixture", counterpart="GMVAE")


class LIDGMVAE(Variant):
    """LIDMVAE with Gaussian w | z; with a Bernoulli likelihood, the "Bernoulli mixture" variant for images."""

    promise = Promise("LIDGMVAE", injective=True, prior="gaussian_mixture", counterpart="GMVAE")


class LIDSVAE(Variant):
    """z ~ N(0, I), a sequence given [z, history] through Brenier maps and lifts (Definition 4 with an LSTM history)."""

    promise = Promise("LIDSVAE", injective=True, prior="standard_normal", sequence=True, counterpart="SVAE")
