"""A training in one call, with the best weights kept in memory."""

from collections.abc import Sequence
from math import inf
from typing import Any

import pytorch_lightning as pl

from lid_vae.data.array.array_data_module import ArrayDataModule
from lid_vae.data.base import DataModule
from lid_vae.errors import UserError
from lid_vae.log.progress import progress as progress_bar
from lid_vae.model.compose import built_of, own_hooks
from lid_vae.model.data import data_of
from lid_vae.model.form import Form, are_sentences
from lid_vae.run.plan import check_whole, validation_interval
from lid_vae.system.denormals import denormals_flushed
from lid_vae.system.lightning_defaults import prepare_lightning
from lid_vae.train.member import Member
from lid_vae.train.training import Training
from lid_vae.train.vae_module import VAEModule

__all__ = ["fit"]

EPOCHS, VALIDATIONS = 20, 10


class Keep:
    """Keeps the weights of the best validation bound so far."""

    def __init__(self) -> None:
        self.bound = -inf
        self.best: dict[str, Any] | None = None

    def validated(self, member: Member) -> None:
        """Copies the weights of ``member`` where its bound is the best so far."""
        bound = float(member.metrics["valid/bound"])
        if bound > self.bound:
            self.bound = bound
            weights = {name: value.detach().clone() for name, value in member.module.state_dict().items()}
            self.best = {"state_dict": weights, "lid_vae": member.module.describe()}


@denormals_flushed()
def fit(
    model: VAEModule,
    x: Any = None,
    y: Any = None,
    *,
    valid: Any = None,
    max_epochs: int | None = None,
    batch_size: int | None = None,
    callbacks: Sequence[pl.Callback] = (),
    logger: Any = False,
    progress: bool = True,
    **trainer_options: Any,
) -> None:
    """Trains ``model``; see ``Variant.fit``, whose arguments these are.

    ``x``, ``y``, ``valid``, ``max_epochs``, ``batch_size``, ``callbacks``, ``logger``, ``progress`` and
    ``trainer_options`` are documented there. Raises ``UserError`` where they do not fit.
    """
    assert isinstance(model, Training)
    prepare_lightning()
    settings = model.description.get("config", {}).get("trainer", {})
    epochs = settings.get("max_epochs", EPOCHS) if max_epochs is None else max_epochs
    check_whole("max_epochs", epochs, 1)
    interval = settings.get("check_val_every_n_epoch", 1) if max_epochs is None else max(1, epochs // VALIDATIONS)
    data = _data(model, x, y, valid, batch_size)
    keep = Keep()
    model.__dict__["_members"] = [Member(model, [*own_hooks(model), keep])]
    options = {
        "enable_checkpointing": False,
        "enable_model_summary": False,
        "enable_progress_bar": progress,
        "num_sanity_val_steps": 0,
        "inference_mode": False,
        "log_every_n_steps": settings.get("log_every_n_steps", 50),
        "check_val_every_n_epoch": validation_interval(epochs, interval),
        "accelerator": settings.get("accelerator", "auto"),
        "devices": 1,
        **trainer_options,
    }
    try:
        trainer = pl.Trainer(
            max_epochs=epochs, callbacks=[progress_bar(progress), *callbacks], logger=logger, **options
        )
    except (TypeError, ValueError) as error:
        raise UserError(f"Lightning's Trainer refuses these options: {error}") from error
    model.train()
    # Nobody else counts batches.
    model.in_spans = not callbacks and not logger and not options["enable_checkpointing"]
    try:
        trainer.fit(model, data)
    except SystemExit as end:  # how Lightning ends after Ctrl-C
        if not trainer.interrupted:
            raise
        raise KeyboardInterrupt from end
    finally:
        model.in_spans = False
    if keep.best is not None:
        model.restore(keep.best)
        model.step = keep.best["lid_vae"]["step"]
        model.calibrate(data)
    model.trainer = None
    model.eval()


def _data(model: VAEModule, x: Any, y: Any, valid: Any, batch_size: int | None) -> DataModule:
    """What to train on, as the model takes it."""
    if x is None:
        data = built_of(model)
        if data is None:
            raise UserError("This model was not built here, so that there are no data to train it on: fit(x).")
    elif isinstance(x, DataModule):
        data = data_of(x, y, valid)
    else:
        form = Form(model)
        size = model.description.get("config", {}).get("data", {}).get("batch_size", 128)
        options = {"batch_size": size if batch_size is None else batch_size, "train_seed": model.seed}
        if are_sentences(x):
            data = data_of(x, y, valid, symbols=form.words, **options)
        else:
            rows = form.shaped(form.rows(x)).cpu()
            held = None if valid is None else form.shaped(form.rows(valid)).cpu()
            data = data_of(rows, y, held, standardise=False, **options, **_binarisation(built_of(model)))
    if batch_size is not None:
        data.batch_size = batch_size
    return data


def _binarisation(data: DataModule | None) -> dict[str, str]:
    """As that of the ``data`` that the model was built of."""
    found = data.binarisation if isinstance(data, ArrayDataModule) else None
    if found is None or not found.binary:
        return {}
    return {"binarise": "dynamic" if found.anew else "fixed"}
