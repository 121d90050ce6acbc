"""What configurations of earlier revisions call the parts of this one: names for checkpoints, and for hashes."""

from collections.abc import Mapping
from typing import Any, NamedTuple

__all__ = ["canonical", "current", "current_checkpoint"]

_CLASSES = ("GMVAE", "LIDGMVAE", "LIDMVAE", "LIDSVAE", "LIDVAE", "SVAE", "VAE")
# The name that a part had when the hashes of its runs were first written, and the one that it has now.
_MOVED = {
    **{f"lid_vae.module.{name}": f"lid_vae.train.{name}" for name in _CLASSES},
    **{
        f"lid_vae.module.{name}": f"lid_vae.train.{name}"
        for name in ("lipschitz_annealing.LipschitzAnnealing", "restart.Restart", "progress.progress")
    },
}


class Former(NamedTuple):
    """What a part of today was when the hashes of its runs were first written."""

    name: str
    lost: Mapping[str, Any] = {}
    """Options that it had then, and has no more."""
    new: Mapping[str, Any] = {}
    """Options that it has now: their defaults, at which it does what it did then."""


_KEEPER = Former("pytorch_lightning.callbacks.ModelCheckpoint", {"enable_version_counter": False})
_SHEARS = {"shears": 0, "shear_first": True, "shear_bound": 1.0, "shear_width": None}
_FIRST = {
    **{now: Former(first) for first, now in _MOVED.items()},
    "lid_vae.train.hooks.Best": _KEEPER,
    "lid_vae.train.hooks.Last": _KEEPER,
    "lid_vae.map.composed_brenier": Former("lid_vae.map.composed_brenier", new=_SHEARS),
    "lid_vae.map.composed_gradient_network": Former("lid_vae.map.composed_gradient_network", new=_SHEARS),
}


def current(node: Any) -> Any:
    """A configuration, or a part of one, whose ``_target_`` names are those of today."""
    return _renamed(node, {first: Former(now) for first, now in _MOVED.items()})


def canonical(node: Any) -> Any:
    """The same as it is hashed: a part that moves, loses an option or gains one leaves the hashes of its runs alone."""
    return _renamed(node, _FIRST)


def current_checkpoint(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """A checkpoint whose states of hooks have the names of today."""
    callbacks = dict(checkpoint["callbacks"])
    for state in [state for key, state in callbacks.items() if key.startswith("ModelCheckpoint")]:
        if state.get("monitor") is not None and state.get("best_model_score") is not None:
            callbacks.setdefault("Best", {"score": float(state["best_model_score"])})
    return {**checkpoint, "callbacks": callbacks}


def _renamed(node: Any, names: Mapping[str, Former]) -> Any:
    if isinstance(node, Mapping):
        renamed = {key: _renamed(value, names) for key, value in node.items()}
        target = node.get("_target_")
        former = names.get(target) if isinstance(target, str) else None
        if former is None:
            return renamed
        kept = {key: value for key, value in renamed.items() if key not in former.new or value != former.new[key]}
        return {**former.lost, **kept, "_target_": former.name}
    if isinstance(node, list | tuple):
        return [_renamed(value, names) for value in node]
    return node
