"""Checkpoints: written whole or not at all; read safely, as tensors and plain values only, never code."""

import io
import pickle
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO

from lid_vae.errors import UserError
from lid_vae.system.files import explain_os_error, read_file, write_atomic

__all__ = ["AtomicCheckpointIO", "load_checkpoint"]

DESCRIPTION = ("config", "config_hash", "checksum", "shape", "labels", "step")
WHICH = "Use a best.ckpt or last.ckpt from the checkpoints folder of a run."


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
    """The contents of ``path``, a checkpoint of this program, on the CPU.

    Raises ``UserError`` if it is missing, truncated, foreign, or holds anything but tensors and plain values; such
    content is refused before it could run.
    """
    path = Path(path)
    if path.is_dir():
        inside = next((name for name in ("checkpoints/best.ckpt", "best.ckpt") if (path / name).is_file()), None)
        use = f"Use {path / inside}." if inside else WHICH
        raise UserError(f"{path} is a folder, and a checkpoint is a file. {use}")
    try:
        content = io.BytesIO(read_file(path))  # whole, so that an OSError is the disk's and not the reader's
    except OSError as error:
        raise UserError(explain_os_error(error, path)) from error
    unpacked = _unpacked(content)
    if unpacked > content.getbuffer().nbytes:  # PyTorch packs nothing
        raise UserError(f"{path} unpacks to {unpacked:,} bytes, more than it has, and was refused. {WHICH}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # remarks on how a foreign file is pickled
            checkpoint = torch.load(content, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{path} is no checkpoint of this program, or holds code: it was refused and nothing in it was run. {WHICH}"
        ) from error
    except MemoryError:
        raise
    except Exception as error:  # whatever the reader comes to where bytes are missing or wrong
        reason = str(error).strip().split("\n")[0][:120] or type(error).__name__
        raise UserError(
            f"{path} is no checkpoint, or is truncated or damaged ({reason}). Copy it again, or train the run again "
            f"(force=true). {WHICH}"
        ) from error
    described = isinstance(checkpoint, dict) and isinstance(checkpoint.get("state_dict"), dict)
    if not described or not _describes(checkpoint.get("lid_vae")):
        raise UserError(f"{path} is a checkpoint of another program: it does not describe an lid_vae model. {WHICH}")
    fault = _fault(checkpoint)
    if fault is not None:
        raise UserError(f"{path} is damaged, or was edited: {fault}. Copy it again, or train the run again. {WHICH}")
    return checkpoint  # type: ignore[no-any-return]


def _unpacked(content: io.BytesIO) -> int:
    """The bytes that it says it unpacks to; 0 where it is no archive."""
    try:
        with zipfile.ZipFile(content) as archive:
            return sum(member.file_size for member in archive.infolist())
    except (zipfile.BadZipFile, NotImplementedError, ValueError):
        return 0  # which the reader refuses, or which is of an old form
    finally:
        content.seek(0)


def _describes(description: object) -> bool:
    return isinstance(description, dict) and set(DESCRIPTION) <= set(description)


def _fault(checkpoint: dict[str, Any]) -> str | None:
    """What in it is of no kind that this program writes."""
    for name, value in checkpoint["state_dict"].items():
        if not isinstance(name, str) or not isinstance(value, torch.Tensor) or value.layout != torch.strided:
            return f"{name} is no weight"
    said = checkpoint["lid_vae"]
    if not isinstance(said["config"], dict) or not _plain(said["config"]):
        return "its configuration holds what is no option"
    for name in ("config_hash", "version", "checksum"):
        if name in said and not isinstance(said[name], str):
            return f"{name} is no text"
    for name in ("step", "steps", "labels", "longest"):
        if said.get(name) is not None and not (type(said[name]) is int and 0 <= said[name] < 2**53):
            return f"{name} is no count"
    shape = said["shape"]
    if not isinstance(shape, list | tuple) or not all(type(size) is int and 0 < size < 2**31 for size in shape):
        return "shape is none"
    words = said.get("vocabulary")
    if words is not None and not (isinstance(words, list | tuple) and all(isinstance(word, str) for word in words)):
        return "vocabulary is no list of words"
    return None


def _plain(node: object) -> bool:
    """Whether it is made of what a configuration can hold."""
    if isinstance(node, dict):
        return all(isinstance(key, str | int) and _plain(value) for key, value in node.items())
    if isinstance(node, list | tuple):
        return all(map(_plain, node))
    return node is None or isinstance(node, bool | int | float | str)
