"""What a step writes, as it stands at one moment: to take the same step again, or to undo it."""

from collections.abc import Sequence

import torch

from lid_vae.shapes import Tensor

__all__ = ["Written"]


class Written:
    """Copies of ``tensors``, and where the generator of their ``device`` stands, from which dropout draws."""

    def __init__(self, tensors: Sequence[Tensor], device: torch.device) -> None:
        self.tensors, self.device = tensors, device
        self.values = [tensor.detach().clone() for tensor in tensors]
        self.drawn = torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()

    @torch.no_grad()
    def put_back(self) -> None:
        """All of it, as it stood."""
        for tensor, value in zip(self.tensors, self.values, strict=True):
            tensor.copy_(value)
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(self.drawn, self.device)
        else:
            torch.set_rng_state(self.drawn)
