"""What a user gives to build a model of, or to train it on, as a data module."""

from typing import Any

from torch.utils.data import Dataset

from lid_vae.data import Array, TextList
from lid_vae.data.base import DataModule
from lid_vae.data.text.text_data_module import TextDataModule
from lid_vae.errors import UserError
from lid_vae.model.form import are_sentences

__all__ = ["data_of", "preset_of"]


def data_of(x: Any, y: Any = None, valid: Any = None, **options: Any) -> DataModule:
    """The examples ``x``, with class numbers ``y`` or None, set up; a data module stays what it is.

    ``valid`` are examples for validation, or None: a tenth of the others. ``options`` are those of ``DataModule``.
    Raises ``UserError`` for what is no data.
    """
    if isinstance(x, DataModule):
        if y is not None or valid is not None:
            raise UserError(f"{type(x).__name__} has its labels and validation part itself; leave y= and valid= out.")
        x.prepare_data()
        x.setup()
        return x
    if are_sentences(x):
        if y is not None:
            raise UserError("Sentences are taken without labels; leave y= out.")
        text = TextList(x, valid, **options)
        text.setup()
        return text
    if x is None or isinstance(x, str):
        raise UserError(
            f"x={x!r} is no data. Give vectors [N, D] or pictures [N, H, W], a list of sentences, a Dataset, or a data "
            'module of lid_vae.data. Data by name: lid_vae.build(["data=digits"]).'
        )
    held = 0.1 if valid is None else valid
    if isinstance(x, Dataset) or hasattr(x, "column_names"):
        return Array.from_dataset(x, valid=held, test=None, **options)
    return Array(x, y, valid=held, test=None, **options)


def preset_of(data: DataModule) -> str:
    """The choice of ``data=`` whose presets are for data of this kind."""
    if isinstance(data, TextDataModule):
        return "text"
    return "array" if data.image_shape is None else "images"
