"""Reading checkpoints safely: tensors and plain values only, never code."""

import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from lid_vae.errors import UserError
from lid_vae.files import explain_os_error

__all__ = ["load_checkpoint"]


def load_checkpoint(path: str | Path) -> dict[str, Any]:
    """The contents of a checkpoint of ours, on the CPU.

    Raises ``UserError`` if it is missing, truncated, foreign, or holds anything but tensors and plain values; such
    content is refused before it could run.
    """
    path = Path(path)
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise UserError(explain_os_error(error, path)) from error
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{path} is no checkpoint of this program, or holds code: it was refused and nothing in it was run. "
            "Use a best.ckpt or last.ckpt from the checkpoints folder of a run."
        ) from error
    except (RuntimeError, EOFError, zipfile.BadZipFile, ValueError) as error:
        raise UserError(
            f"{path} is truncated or damaged ({str(error).splitlines()[0][:120]}). "
            "Copy it again, or train the run again."
        ) from error
    if not isinstance(checkpoint, dict) or "lid_vae" not in checkpoint or "state_dict" not in checkpoint:
        raise UserError(
            f"{path} is a checkpoint of another program: it does not describe an lid_vae model. "
            "Use a best.ckpt or last.ckpt from the checkpoints folder of a run."
        )
    return checkpoint
