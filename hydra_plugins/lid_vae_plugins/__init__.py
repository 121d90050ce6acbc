"""Hydra's way in to lid_vae: thin shims, without torch. Empty, because Hydra runs each module of it once more."""
