"""What pictures and texts call a model: what its user asked for, as the literature writes it."""

from lid_vae.train.vae_module import VAEModule

__all__ = ["NAMES", "display_name"]

# Of every file in conf/model.
NAMES = {
    "beta_vae": "beta-VAE",
    "bn_vae": "BN-VAE",
    "gmvae": "GMVAE",
    "il_lidvae": "IL-LIDVAE",
    "lagging_vae": "Lagging VAE",
    "language_model": "language model",
    "lidgmvae": "LIDGMVAE",
    "lidmvae": "LIDMVAE",
    "lidsvae": "LIDSVAE",
    "lidvae": "LIDVAE",
    "linear_language_model": "linear language model",
    "linear_svae": "linear SVAE",
    "polar_lidgmvae": "polar LIDGMVAE",
    "pretrained_vae": "pretrained VAE",
    "sa_vae": "SA-VAE",
    "svae": "SVAE",
    "vae": "VAE",
}


def display_name(module: VAEModule) -> str:
    """That of the choice ``model=`` in the module's description; one that is not known here is shown as it was typed.

    A beta-VAE is a GMVAE, or on sequences an SVAE, by its class, whose name stands where no choice is known.
    """
    choices = module.description.get("config", {}).get("choices") or {}
    choice = choices.get("model")
    return module.promise.variant if choice in (None, "counterpart", "classical") else NAMES.get(choice, str(choice))
