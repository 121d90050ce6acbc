"""Checkpoints: written whole or not at all; read safely, as tensors and plain values only, never code."""

import importlib
import io
import pickle
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pytorch_lightning.plugins.io import TorchCheckpointIO

from lid_vae.errors import UserError
from lid_vae.system.files import explain_os_error, write_atomic

__all__ = ["AtomicCheckpointIO", "check_targets", "load_checkpoint"]

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
DESCRIPTION = ("config", "config_hash", "checksum", "shape", "labels", "step")
# What the reader of PyTorch comes to when bytes are missing or wrong.
DAMAGE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
    zipfile.BadZipFile,
)
WHICH = "Use a best.ckpt or last.ckpt from the checkpoints folder of a run."
ROOMS = ("data", "prior", "map", "likelihood", "posterior", "objective", "inference", "train")


class AtomicCheckpointIO(TorchCheckpointIO):
    """How Lightning is to write and read checkpoints.

    Its own way writes to the system's temporary folder and moves the file, which is a copy where that folder is on
    another file system: a kill would cut ``last.ckpt`` short.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None) -> None:
        content = io.BytesIO()
        torch.save(checkpoint, content)
        write_atomic(path, content.getvalue())

    def load_checkpoint(self, path: str | Path, *args: Any, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        return load_checkpoint(path)


def load_checkpoint(path: str | Path) -> dict[str, Any]:
    """The contents of a checkpoint of ours, on the CPU.

    Raises ``UserError`` if it is missing, truncated, foreign, or holds anything but tensors and plain values; such
    content is refused before it could run.
    """
    path = Path(path)
    if path.is_dir():
        inside = next((name for name in ("checkpoints/best.ckpt", "best.ckpt") if (path / name).is_file()), None)
        use = f"Use {path / inside}." if inside else WHICH
        raise UserError(f"{path} is a folder, and a checkpoint is a file. {use}")
    try:
        content = io.BytesIO(path.read_bytes())  # whole, so that an OSError is the disk's and not the reader's
    except OSError as error:
        raise UserError(explain_os_error(error, path)) from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # remarks on how a foreign file is pickled
            checkpoint = torch.load(content, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{path} is no checkpoint of this program, or holds code: it was refused and nothing in it was run. {WHICH}"
        ) from error
    except DAMAGE as error:
        reason = str(error).strip().split("\n")[0][:120] or type(error).__name__
        raise UserError(
            f"{path} is no checkpoint, or is truncated or damaged ({reason}). Copy it again, or train the run again "
            f"(force=true). {WHICH}"
        ) from error
    if not isinstance(checkpoint, dict) or "state_dict" not in checkpoint or not _describes(checkpoint.get("lid_vae")):
        raise UserError(f"{path} is a checkpoint of another program: it does not describe an lid_vae model. {WHICH}")
    return checkpoint


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


def _describes(description: object) -> bool:
    return isinstance(description, dict) and set(DESCRIPTION) <= set(description)


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
