"""The checkpoint of one member of a training."""

from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl

from lid_vae.train.member import Member
from lid_vae.train.step.spans import Spans

__all__ = ["member_checkpoint"]


def member_checkpoint(
    trainer: pl.Trainer, member: Member, optimizer_states: Sequence[dict[str, Any]], spans: Spans
) -> dict[str, Any]:
    """What ``member`` needs to go on under ``trainer``, by itself or with others: a checkpoint of Lightning's form.

    ``optimizer_states`` are those of its own optimisers, ``spans`` what Lightning counts as batches: in a checkpoint
    steps are counted, so that a training goes on in other spans, or in none.
    """
    checkpoint: dict[str, Any] = {
        "epoch": trainer.current_epoch,
        "global_step": trainer.global_step,
        "pytorch-lightning_version": pl.__version__,
        # Copies: a view would take the parameters of all members into the file.
        "state_dict": {name: value.clone() for name, value in member.module.state_dict().items()},
        "loops": {
            "fit_loop": spans.as_steps(trainer.fit_loop.state_dict()),
            "validate_loop": trainer.validate_loop.state_dict(),
            "test_loop": trainer.test_loop.state_dict(),
            "predict_loop": trainer.predict_loop.state_dict(),
        },
        "callbacks": {**_states_of(trainer.callbacks), **member.states()},  # type: ignore[attr-defined]
        "optimizer_states": optimizer_states,
        "lr_schedulers": [],
        "lid_vae": member.module.describe(),
    }
    precision = trainer.precision_plugin
    if state := precision.state_dict():
        checkpoint[type(precision).__qualname__] = state
    return checkpoint


def _states_of(callbacks: Sequence[pl.Callback]) -> dict[str, Any]:
    states = {callback.state_key: callback.state_dict() for callback in callbacks}
    return {key: state for key, state in states.items() if state}
