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
from lid_vae.system.files import explain_os_error, write_atomic

__all__ = ["AtomicCheckpointIO", "load_checkpoint"]

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


def _describes(description: object) -> bool:
    return isinstance(description, dict) and set(DESCRIPTION) <= set(description)
