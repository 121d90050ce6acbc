"""What configurations of earlier revisions call the parts of this one: names for checkpoints, and for hashes."""

from collections.abc import Mapping
from typing import Any

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
_KEEPER = "pytorch_lightning.callbacks.ModelCheckpoint"
# Of a part of today: the first name, and options that it had then and has no more.
_FIRST: dict[str, tuple[str, dict[str, Any]]] = {
    **{now: (first, {}) for first, now in _MOVED.items()},
    "lid_vae.train.hooks.Best": (_KEEPER, {"enable_version_counter": False}),
    "lid_vae.train.hooks.Last": (_KEEPER, {"enable_version_counter": False}),
}


def current(node: Any) -> Any:
    """A configuration, or a part of one, whose ``_target_`` names are those of today."""
    return _renamed(node, {first: (now, {}) for first, now in _MOVED.items()})


def canonical(node: Any) -> Any:
    """The same as it is hashed: a part that moves, or loses an option, leaves the hashes of its runs as they are."""
    return _renamed(node, _FIRST)


def current_checkpoint(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """A checkpoint whose states of hooks have the names of today."""
    callbacks = dict(checkpoint["callbacks"])
    for state in [state for key, state in callbacks.items() if key.startswith("ModelCheckpoint")]:
        if state.get("monitor") is not None and state.get("best_model_score") is not None:
            callbacks.setdefault("Best", {"score": float(state["best_model_score"])})
    return {**checkpoint, "callbacks": callbacks}


def _renamed(node: Any, names: Mapping[str, tuple[str, dict[str, Any]]]) -> Any:
    if isinstance(node, Mapping):
        target = node.get("_target_")
        name, options = names.get(target, (target, {})) if isinstance(target, str) else (target, {})
        renamed = {key: _renamed(value, names) for key, value in node.items()}
        return {**options, **renamed, "_target_": name} if "_target_" in node else renamed
    if isinstance(node, list | tuple):
        return [_renamed(value, names) for value in node]
    return node
