"""What the configuration in a checkpoint may ask to be called: parts of a model of this program, and optimisers."""

import importlib
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lid_vae.check.recipes import BUILT
from lid_vae.data.base import DataModule
from lid_vae.errors import UserError
from lid_vae.inference.base import Inference
from lid_vae.likelihood.base import Likelihood
from lid_vae.map.base import Map
from lid_vae.objective.base import Objective
from lid_vae.objective.schedule import Schedule
from lid_vae.posterior.base import Posterior
from lid_vae.posterior.encoder import Encoder
from lid_vae.prior.base import Prior
from lid_vae.train.vae_module import VAEModule

__all__ = ["check_targets", "own_packages"]

# The packages whose public names a checkpoint may call.
ROOMS = ("data", "prior", "map", "likelihood", "posterior", "objective", "inference", "train", "model")
# What a class of one of their modules has to be, so that a part which its room does not name can be evaluated too.
PARTS = (DataModule, Encoder, Inference, Likelihood, Map, Objective, Posterior, Prior, Schedule, VAEModule)
# Packages that no user is told to trust: what is asked of them is no part of a model.
NEVER = frozenset({*sys.stdlib_module_names, "lid_vae", "torch", "numpy", "omegaconf", "hydra"})
MODULE = re.compile(rf"lid_vae\.({'|'.join(ROOMS)})(\.[a-z][a-z0-9_]*)+", re.ASCII)


def check_targets(config: dict[str, Any], path: str | Path, trust: Sequence[str] = ()) -> dict[str, Any]:
    """``config``, as the checkpoint ``path`` describes its model, resolved: what evaluation reads and builds.

    A configuration names what is called (``_target_``), so it is code as well. ``trust`` names packages or modules all
    of whose parts are permitted. Raises ``UserError``, before anything is called, if it names anything but what this
    program builds models of, an optimiser of PyTorch, or what is trusted.
    """
    try:
        resolved = OmegaConf.to_container(OmegaConf.create(config), resolve=True)
    except OmegaConfBaseException as error:
        reason = str(error).split("\n")[0]
        raise UserError(f"{path} holds a configuration that cannot be read ({reason}). Copy it again.") from error
    assert isinstance(resolved, dict)
    for target in _asked(resolved):
        if not _permitted(target) and not _trusted(target, trust):
            package = str(target).partition(".")[0]
            own = re.fullmatch(r"[A-Za-z]\w*", package) is not None and package not in NEVER
            mend = (
                f" If it is your own part, or of somebody you trust, name its package: trust={package}." if own else ""
            )
            raise UserError(
                f"{path} asks for {target} to be called, which is no part of a model of this program: it was "
                f"refused and nothing in it was run. Use a checkpoint from a source that you trust.{mend}"
            )
    return {str(key): value for key, value in resolved.items()}


def own_packages(config: Mapping[Any, Any]) -> dict[str, str]:
    """The parts that a resolved ``config`` asks for and this program does not have: target -> its package."""
    found = [target for target in _asked(config) if isinstance(target, str) and not _permitted(target)]
    return {target: target.partition(".")[0] for target in found}


def _asked(config: Mapping[Any, Any]) -> Iterator[object]:
    """Every ``_target_`` of the nodes that evaluation instantiates."""
    for node in (*BUILT, "model"):
        yield from _targets(config.get(node))


def _trusted(target: object, trust: Sequence[str]) -> bool:
    return isinstance(target, str) and any(target.startswith(f"{package}.") for package in trust)


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
    """A public name of a room or a part that one of its modules defines, by its full name.

    A prefix would let ``lid_vae.system.files.os.system`` pass, and the public names of modules their readers of files.
    """
    if not isinstance(target, str):
        return False
    room, _, name = target.rpartition(".")
    if room == "torch.optim":
        kind = getattr(torch.optim, name, None)
        return isinstance(kind, type) and issubclass(kind, torch.optim.Optimizer)
    if room in {f"lid_vae.{known}" for known in ROOMS}:
        return name in importlib.import_module(room).__all__
    return MODULE.fullmatch(room) is not None and _defines_part(room, name)


def _defines_part(module: str, name: str) -> bool:
    """Whether ``name`` is public in ``module``, and a class that is written there and is a part of models."""
    try:
        there = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if module.startswith(str(error.name)):
            return False
        raise
    kind = getattr(there, name, None) if name in getattr(there, "__all__", ()) else None
    return isinstance(kind, type) and kind.__module__ == module and issubclass(kind, PARTS)
