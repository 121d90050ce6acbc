"""A checkpoint from which training can go on: what it holds fits the run, whatever was done to the file meanwhile."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from math import isnan
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from lid_vae.errors import UserError
from lid_vae.train.member import Hook, Member, Stateful
from lid_vae.train.vae_module import VAEModule

__all__ = ["check_position", "check_resumable"]

# Versions of Lightning that have written checkpoints of this program.
MAJOR = ("2", pl.__version__.partition(".")[0])
# What comes of values that are of other kinds than a reader takes them for.
DAMAGE = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)


def check_position(path: Path, checkpoint: Mapping[str, Any]) -> None:
    """Raises ``UserError`` where the ``checkpoint`` in the file ``path`` does not say where training stood."""
    try:
        for name in ("epoch", "global_step"):
            if type(checkpoint[name]) is not int or not 0 <= checkpoint[name] < 2**53:
                raise ValueError(f"{name} is no count")
        if checkpoint.get("lr_schedulers", []) != []:
            raise ValueError("lr_schedulers are none of this program's")
        if not isinstance(checkpoint["callbacks"], dict) or not isinstance(checkpoint["optimizer_states"], list):
            raise ValueError("callbacks or optimizer_states are missing")
        version = checkpoint["pytorch-lightning_version"]
        if not isinstance(version, str) or version.partition(".")[0] not in MAJOR:
            raise ValueError("it is of a Lightning that this program has not been trained with")
        if version == pl.__version__:  # Lightning brings others up to date
            _check_alike(checkpoint["loops"], _loops(), "loops")
    except DAMAGE as error:
        raise _refused(path, error) from error


def check_resumable(path: Path, checkpoint: dict[str, Any], module: VAEModule, hooks: Iterable[Hook]) -> None:
    """Raises ``UserError`` where a run cannot go on from the ``checkpoint`` in the file ``path``.

    ``module`` and ``hooks`` are new ones of that run, and are used up: weights, moments and states of hooks are put
    into them, and new optimisers take a step, to see what they keep.
    """
    try:
        member = Member(module, hooks)
        for hook in member.hooks:
            if isinstance(hook, Stateful) and type(hook).__module__.startswith("lid_vae."):
                _check_state(checkpoint["callbacks"].get(hook.key, {}), hook.state_dict(), hook.key)
        Member(module, member.hooks, checkpoint=checkpoint).states()
        for state in checkpoint["optimizer_states"]:
            if not all(isinstance(one, dict) for one in (state, state["state"], *state["state"].values())):
                raise ValueError("the optimiser's values have no names")
            values = [value for one in state["state"].values() for value in one.values()]
            if any(isinstance(value, torch.Tensor) and value.is_complex() for value in values):
                raise ValueError("the optimiser's numbers are complex")
        fresh = [_stepped(optimizer) for optimizer in module.make_optimizers()]
        for optimizer, like in zip(module.make_optimizers(checkpoint["optimizer_states"]), fresh, strict=True):
            if like is not None:
                _check_optimizer(optimizer, like)
    except DAMAGE as error:
        raise _refused(path, error) from error


def _refused(path: Path, error: Exception) -> UserError:
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    if isinstance(error, KeyError):
        reason = f"{reason} is missing"
    return UserError(
        f"{path} is damaged, or was edited: training cannot go on from it ({reason}). It was left as it is. Put it "
        "back as it was, or begin the run again with force=true."
    )


@lru_cache(maxsize=1)
def _loops() -> dict[str, Any]:
    """The state of the loop of a Trainer that has not begun."""
    trainer = pl.Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    return {"fit_loop": trainer.fit_loop.state_dict()}


def _check_alike(found: Any, like: Any, name: str) -> None:
    """Raises where ``found`` lacks what ``like`` has, or has another kind of value there; counts are not below 0."""
    if isinstance(like, dict):
        if not isinstance(found, dict):
            raise ValueError(f"{name} is no group of values")
        for key, value in like.items():
            if key not in found:
                raise ValueError(f"{name}.{key} is missing")
            _check_alike(found[key], value, f"{name}.{key}")
    elif type(found) is not type(like) or (type(found) is int and not 0 <= found < 2**53):
        raise ValueError(f"{name} is no {type(like).__name__} that can be")


def _check_state(found: Any, like: Any, name: str) -> None:
    """Raises where the state ``found`` has other names than ``like``, or what is no number or truth value there."""
    if not isinstance(found, dict) or not isinstance(like, dict) or (like and set(found) - set(like)):
        raise ValueError(f"the state of {name} is not what {name} writes")
    for key, value in found.items():
        usual = like.get(key)
        if isinstance(value, dict) and all(isinstance(one, torch.Tensor) for one in value.values()):
            continue  # weights that are put back later
        plain = value is None or ((isinstance(value, bool | int | float) and abs(value) < 2**200) or _unbounded(value))
        if not plain and type(value) is not type(usual):
            raise ValueError(f"{key} of {name} is no number")
        if type(usual) is int and (type(value) is not int or value < 0):
            raise ValueError(f"{key} of {name} is no count")


def _unbounded(value: object) -> bool:
    return isinstance(value, float) and not isnan(value)


def _stepped(optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer | None:
    """``optimizer`` after a step of no gradient, so that it has the state that it makes; None of one that cannot."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.zeros_like(parameter)
    try:
        optimizer.step()
    except (RuntimeError, TypeError):  # as of one that asks for a closure
        return None
    return optimizer


def _check_optimizer(optimizer: torch.optim.Optimizer, like: torch.optim.Optimizer) -> None:
    """Raises where its state is not of the names, shapes and types of ``like``: a fused step would read beyond it."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            state, usual = optimizer.state.get(parameter), like.state.get(parameter, {})
            if not state:
                continue  # it has not moved yet
            if set(state) != set(usual):
                raise ValueError(f"the optimiser has {sorted(map(str, state))} of a parameter, not {sorted(usual)}")
            for name, value in state.items():
                if isinstance(usual[name], torch.Tensor):
                    right = isinstance(value, torch.Tensor)
                    right = right and (value.shape, value.dtype) == (usual[name].shape, usual[name].dtype)
                else:
                    right = value is None or isinstance(value, int | float)
                if not right:
                    raise ValueError(f"the optimiser's {name} has another shape or type")
