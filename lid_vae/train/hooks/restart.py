"""A new beginning in the middle of training: a fresh optimiser, and the decoder as it was before."""

from typing import Any

import torch

from lid_vae.errors import UserError
from lid_vae.objective.schedule import first_step
from lid_vae.shapes import Tensor
from lid_vae.train.member import Member

__all__ = ["Restart"]


class Restart:
    """After the first ``share`` of training: forgets the optimiser's moments, and what the decoder learned.

    The latter where ``reset_decoder`` is true. Between autoencoder pretraining and training with free bits, as Li et
    al. (2019) do it: their second run loads the first one's encoder, and their option resets the decoder, here to the
    weights that this run began with. A share of 0 never restarts. Until then the decoder's first weights travel in
    checkpoints, so a resumed run restarts alike. Raises ``UserError`` for a share that is not in [0, 1).
    """

    key = "Restart"

    def __init__(self, share: float = 0.2, reset_decoder: bool = True) -> None:
        if not 0 <= share < 1:
            raise UserError(f"Restart takes a share of training in [0, 1), got share={share}. Use share=0.2.")
        self.share, self.reset_decoder = share, reset_decoder
        self.decoder: dict[str, Tensor] = {}

    def state_dict(self) -> dict[str, Any]:
        return {"decoder": self.decoder}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes the decoder's first weights from ``state``."""
        self.decoder = state["decoder"]

    def before_fit(self, member: Member) -> None:
        """Keeps the first weights of the decoder of ``member``, where they are still needed."""
        if member.module.step == 0 and self.share > 0 and self.reset_decoder:
            decoder = member.module.vae.likelihood.named_parameters()
            self.decoder = {name: parameter.detach().clone() for name, parameter in decoder}

    def before_step(self, member: Member) -> None:
        """Restarts ``member`` at its step."""
        if self.share == 0 or member.module.step != first_step(self.share, member.module.steps):
            return
        member.forget()
        with torch.no_grad():
            for name, parameter in member.module.vae.likelihood.named_parameters():
                if self.reset_decoder:
                    parameter.copy_(self.decoder[name])
        self.decoder = {}
