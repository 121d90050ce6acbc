"""The picture of a trained model: all its panels on one page."""

from collections.abc import Sequence
from pathlib import Path

from lid_vae.data.base import DataModule
from lid_vae.picture.drawing import MarkedPair
from lid_vae.picture.picture_data import take_picture_data
from lid_vae.picture.sheet import write_page
from lid_vae.train.vae_module import VAEModule

__all__ = ["draw_run"]

EXAMPLES = 2000
# An encoder that reads symbol after symbol is slow, and five hundred dots show as much.
SENTENCES = 500


def draw_run(
    module: VAEModule,
    data: DataModule,
    path: Path,
    note: str = "",
    sentences: Sequence[MarkedPair] = (),
    vectors: bool = False,
) -> Path:
    """Writes the picture of ``module`` on the test split of ``data`` to ``path``, as PNG, and returns that.

    ``note`` and ``sentences`` are those of ``draw_page``. ``vectors``: as SVG and PDF beside it too.
    """
    examples = EXAMPLES if module.vae.likelihood.symbols is None else SENTENCES
    return write_page(take_picture_data(module, data, "test", examples), path, note, sentences, vectors)
