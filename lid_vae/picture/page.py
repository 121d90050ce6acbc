"""The picture of a trained model: all its panels on one page."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lid_vae.data.base import DataModule
from lid_vae.picture.drawing import MarkedPair
from lid_vae.picture.picture_data import take_picture_data
from lid_vae.picture.sheet import write_page
from lid_vae.picture.studio import PAYS, studio
from lid_vae.shown import CORE
from lid_vae.train.vae_module import VAEModule

__all__ = ["begin_run", "draw_run", "note_of"]

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


def begin_run(
    module: VAEModule, data: DataModule, path: Path, result: Mapping[str, Any] | Exception, vectors: bool
) -> Callable[[], Path] | None:
    """``draw_run`` for several runs at once: looks at ``module``, and begins to draw what it has seen elsewhere.

    ``data``, ``path`` and ``vectors`` are those of ``draw_run``, and ``result`` has what the note says. What is
    returned waits for the picture; None where there is no result, the processors are not idle, or the page has
    sentences.
    """
    if isinstance(result, Exception) or module.device.type not in PAYS or module.vae.likelihood.symbols is not None:
        return None
    pictured = take_picture_data(module, data, "test", EXAMPLES)
    return studio().begin(write_page, pictured, path, note_of(result), (), vectors)


def note_of(result: Mapping[str, Any]) -> str:
    """What stands behind the title of a picture: the KL of z that ``result`` holds."""
    kl = next(number for number in CORE if number.key == "kl")
    value = kl.read(result)
    return "" if value is None else f"{kl.title} {max(value, 0.0):.{kl.digits}f} {kl.unit}"
