"""What the configuration in a checkpoint may ask to be called: parts of a model of this program, and optimisers."""

import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lid_vae.errors import UserError

__all__ = ["check_targets"]

# The nodes of a configuration that evaluation instantiates, and the packages whose public names they may call.
BUILT = (
    "data",
    "prior",
    "map",
    "likelihood",
    "family",
    "normalization",
    "encoder",
    "objective",
    "inference",
    "optimizer",
    "schedule",
)
ROOMS = ("data", "prior", "map", "likelihood", "posterior", "objective", "inference", "train")


def check_targets(config: dict[str, Any], path: str | Path) -> dict[str, Any]:
    """``config``, as a checkpoint describes its model, resolved: the part that evaluation reads and builds.

    A configuration names what is called (``_target_``), so it is code as well. Raises ``UserError``, before anything is
    called, if it names anything but what this program builds models of, or an optimiser of PyTorch.
    """
    try:
        resolved = OmegaConf.to_container(OmegaConf.create(config), resolve=True)
    except OmegaConfBaseException as error:
        raise UserError(f"{path} holds a configuration that cannot be read ({error}). Copy it again.") from error
    assert isinstance(resolved, dict)
    for node in (*BUILT, "model"):
        for target in _targets(resolved.get(node)):
            if not _permitted(target):
                raise UserError(
                    f"{path} asks for {target} to be called, which is no part of a model of this program: it was "
                    "refused and nothing in it was run. Use a checkpoint from a source that you trust."
                )
    return {str(key): value for key, value in resolved.items()}


def _targets(node: object) -> Iterator[object]:
    """Every ``_target_`` in ``node``, at any depth."""
    if isinstance(node, Mapping):
        if "_target_" in node:
            yield node["_target_"]
        for value in node.values():
            yield from _targets(value)
    elif isinstance(node, list | tuple):
        for value in node:
            yield from _targets(value)


def _permitted(target: object) -> bool:
    """A public name of a room, by its full name; a prefix would let ``lid_vae.system.files.os.system`` pass."""
    if not isinstance(target, str):
        return False
    room, _, name = target.rpartition(".")
    if room == "torch.optim":
        kind = getattr(torch.optim, name, None)
        return isinstance(kind, type) and issubclass(kind, torch.optim.Optimizer)
    if room not in {f"lid_vae.{known}" for known in ROOMS}:
        return False
    return name in importlib.import_module(room).__all__
