"""What configurations of earlier revisions call the parts of this one: names for checkpoints, and for hashes."""

from collections.abc import Mapping
from typing import Any

__all__ = ["canonical", "current"]

_CLASSES = ("GMVAE", "LIDGMVAE", "LIDMVAE", "LIDSVAE", "LIDVAE", "SVAE", "VAE")
# The name that a part had when the hashes of its runs were first written, and the one that it has now.
_MOVED = {
    **{f"lid_vae.module.{name}": f"lid_vae.train.{name}" for name in _CLASSES},
    "lid_vae.module.lipschitz_annealing.LipschitzAnnealing": "lid_vae.train.lipschitz_annealing.LipschitzAnnealing",
    "lid_vae.module.restart.Restart": "lid_vae.train.restart.Restart",
    "lid_vae.module.progress.progress": "lid_vae.train.progress.progress",
}
_FIRST = {now: first for first, now in _MOVED.items()}


def current(node: Any) -> Any:
    """A configuration, or a part of one, whose ``_target_`` names are those of today."""
    return _renamed(node, _MOVED)


def canonical(node: Any) -> Any:
    """The same with the names by which it is hashed: a part that moves leaves the hashes of its runs as they are."""
    return _renamed(node, _FIRST)


def _renamed(node: Any, names: Mapping[str, str]) -> Any:
    if isinstance(node, Mapping):
        return {
            key: names.get(value, value) if key == "_target_" and isinstance(value, str) else _renamed(value, names)
            for key, value in node.items()
        }
    if isinstance(node, list | tuple):
        return [_renamed(value, names) for value in node]
    return node
