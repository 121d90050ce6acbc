"""Where a training that goes on stands, as Lightning asks for it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from lid_vae.system.checkpoint import AtomicCheckpointIO
from lid_vae.train.ensemble import Ensemble

__all__ = ["Position"]


class Position(AtomicCheckpointIO):
    """Gives Lightning the position in training from the checkpoint of a member; the members hold the rest.

    Args:
        checkpoint: that of the member; None: the training begins, and nothing is asked for.
        training: that which goes on.
        callbacks: those of Lightning's that are there, which have states of their own.
    """

    def __init__(self, checkpoint: dict[str, Any] | None, training: Ensemble, callbacks: Sequence[pl.Callback]) -> None:
        super().__init__()
        self.checkpoint, self.training = checkpoint, training
        self.keys = {callback.state_key for callback in callbacks}

    def load_checkpoint(self, path: str | Path, *args: Any, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        assert self.checkpoint is not None
        states = {key: state for key, state in self.checkpoint["callbacks"].items() if key in self.keys}
        loops = self.checkpoint["loops"]
        return {
            **self.checkpoint,
            "state_dict": self.training.state_dict(),  # the members have loaded theirs
            "optimizer_states": [],
            "callbacks": states,
            "loops": {**loops, "fit_loop": self.training.spans_now().as_spans(loops["fit_loop"])},
        }
