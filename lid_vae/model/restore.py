"""A model from its checkpoint, in one line."""

from collections.abc import Sequence
from os import PathLike
from pathlib import Path

from lid_vae.errors import UserError
from lid_vae.model.variant import Variant
from lid_vae.run.load import load_model

__all__ = ["load"]


def load(path: str | PathLike[str], trust: Sequence[str] = ()) -> Variant:
    """The model in the checkpoint ``path``, of ``model.save``, a run or Lightning, in evaluation mode on the CPU.

    It describes itself, so that its data are not needed. Nothing in it is run but parts of this program.

    Args:
        path: the file: ``runs/.../checkpoints/best.ckpt``.
        trust: packages whose parts the checkpoint may ask for, such as those of your own.

    Raises:
        UserError: for a file that is missing, damaged or of another program, and for parts that are not trusted.

    >>> from lid_vae.model import VAE
    >>> VAE.build(torch.randn(100, 3), latent_dimension=2, width=8).save("vae.ckpt")
    >>> load("vae.ckpt").sample(4).shape
    torch.Size([4, 3])
    """
    if isinstance(trust, str):
        raise UserError(f"trust is a list of packages: trust=[{trust!r}].")
    module = load_model(Path(path), trust).module
    assert isinstance(module, Variant)
    return module.eval()
