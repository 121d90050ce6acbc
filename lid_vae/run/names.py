"""What configurations of earlier revisions call the parts of this one: names for checkpoints, and for hashes."""

from collections.abc import Mapping
from typing import Any, NamedTuple

__all__ = ["GAINED", "OPTIONS", "PRESETS", "canonical", "current", "current_checkpoint"]

OPTIONS = {"posterior": "normalization", "classical": "counterpart"}
"""What an option or a group of options was called, and what it is called now."""
PRESETS = {("model", "classical"): "counterpart"}
"""(group, what a choice of it was called) -> what it is called now."""

_CLASSES = ("GMVAE", "LIDGMVAE", "LIDMVAE", "LIDSVAE", "LIDVAE", "SVAE", "VAE")
# What parts of today were called: first the name under which the hashes of their runs were first written.
_MOVED = {
    **{f"lid_vae.model.{name}": (f"lid_vae.module.{name}", f"lid_vae.train.{name}") for name in _CLASSES},
    "lid_vae.log.csv_logger.CSVLogger": ("lid_vae.module.csv_logger.CSVLogger",),
    "lid_vae.log.progress.progress": ("lid_vae.module.progress.progress", "lid_vae.train.progress.progress"),
    "lid_vae.log.tensorboard_logger.TensorBoardLogger": ("lid_vae.module.tensorboard_logger.TensorBoardLogger",),
    "lid_vae.log.wandb_logger.wandb_logger": ("lid_vae.module.wandb_logger.wandb_logger",),
    "lid_vae.map.counterpart_mlp": ("lid_vae.map.classical_mlp",),
    "lid_vae.run.panels.Panels": ("lid_vae.module.callbacks.Panels",),
    "lid_vae.train.hooks.LipschitzAnnealing": (
        "lid_vae.module.lipschitz_annealing.LipschitzAnnealing",
        "lid_vae.train.lipschitz_annealing.LipschitzAnnealing",
    ),
    "lid_vae.train.hooks.Restart": ("lid_vae.module.restart.Restart", "lid_vae.train.restart.Restart"),
}


class Former(NamedTuple):
    """What a part of today was when the hashes of its runs were first written, with the options that it has ``lost``.

    ``new`` are the options that it has gained: their defaults, at which it does what it did then.
    """

    name: str
    lost: Mapping[str, Any] = {}
    new: Mapping[str, Any] = {}


_NOW = {former: Former(now) for now, formers in _MOVED.items() for former in formers}
_KEEPER = Former("pytorch_lightning.callbacks.ModelCheckpoint", {"enable_version_counter": False})
_SHEARS = {"shears": 0, "shear_first": True, "shear_bound": 1.0, "shear_width": None}
GAINED: Mapping[object, Mapping[str, Any]] = {
    "lid_vae.data.Images": {"colour": False},
    "lid_vae.inference.SemiAmortized": {"guard": False, "first_order": False},
    "lid_vae.likelihood.gaussian_likelihood": {"learn_scale": True},
    "lid_vae.map.composed_brenier": _SHEARS,
    "lid_vae.map.composed_gradient_network": _SHEARS,
    "lid_vae.posterior.realnvp_family": {"context": False},
    "lid_vae.prior.GaussianMixture": {"isotropic": False},
}
"""By the names of parts: options that they have gained, at whose defaults they do what they did before."""
_FIRST = {
    **{name: Former(formers[0]) for now, formers in _MOVED.items() for name in (now, *formers)},
    **{str(name): Former(str(name), new=gained) for name, gained in GAINED.items()},
    "lid_vae.train.hooks.Best": _KEEPER,
    "lid_vae.train.hooks.Last": _KEEPER,
}


def current(node: Any) -> Any:
    """``node``, a configuration or a part of one, with options, choices and ``_target_`` names of today."""
    return _renamed(_with_options(node, OPTIONS, PRESETS), _NOW)


def canonical(node: Any) -> Any:
    """``node`` as it is hashed: a part that moves, loses an option or gains one leaves the hashes of its runs alone."""
    presets = {(group, now): first for (group, first), now in PRESETS.items()}
    return _renamed(_with_options(node, {now: first for first, now in OPTIONS.items()}, presets), _FIRST)


def current_checkpoint(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """A checkpoint whose states of hooks have the names of today."""
    callbacks = dict(checkpoint["callbacks"])
    for state in [state for key, state in callbacks.items() if key.startswith("ModelCheckpoint")]:
        if state.get("monitor") is not None and state.get("best_model_score") is not None:
            callbacks.setdefault("Best", {"score": float(state["best_model_score"])})
    return {**checkpoint, "callbacks": callbacks}


def _with_options(node: Any, options: Mapping[str, str], presets: Mapping[tuple[str, str], str]) -> Any:
    """A whole configuration, which holds its choices, with options renamed; anything else as it is."""
    if not isinstance(node, Mapping) or not isinstance(node.get("choices"), Mapping):
        return node
    renamed = {options.get(key, key): value for key, value in node.items()}
    choices = {group: presets.get((group, choice), choice) for group, choice in node["choices"].items()}
    return {**renamed, "choices": {options.get(group, group): choice for group, choice in choices.items()}}


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
