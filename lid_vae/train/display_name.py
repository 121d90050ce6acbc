"""What pictures and texts call a model: what its user asked for, as the literature writes it."""

from lid_vae.appearance import appearance
from lid_vae.train.vae_module import VAEModule

__all__ = ["display_name"]


def display_name(module: VAEModule) -> str:
    """That of the choice ``model=`` in the module's description; one that is not known here is shown as it was typed.

    A beta-VAE is a GMVAE, or on sequences an SVAE, by its class, whose name stands where no choice is known.
    """
    choices = module.description.get("config", {}).get("choices") or {}
    choice = choices.get("model")
    if choice in (None, "counterpart", "classical"):
        return module.promise.variant
    return appearance(str(choice)).name
