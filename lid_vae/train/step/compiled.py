"""``torch.compile`` for the bound of a training step, with the plain function where it fails."""

import warnings

import torch

from lid_vae.shapes import Bool, Tensor
from lid_vae.train.step.take_step import Bound

__all__ = ["compiled"]


def compiled(bound: Bound, mode: str = "default") -> Bound:
    """``bound``, fused into few kernels at its first call; takes a C++ compiler, and minutes, before the first step.

    Equal up to the last digits. A part of several seeds is run as it is; what cannot be compiled too, after a warning.
    ``mode`` is ``torch.compile``'s.
    """
    fast: Bound | None = torch.compile(bound, mode=mode)

    def call(x: Tensor, noise: Tensor, chosen: Bool[Tensor, "*seeds"] | None = None) -> Tensor:
        nonlocal fast
        if chosen is not None:
            return bound(x, noise, chosen)
        if fast is not None:
            try:
                return fast(x, noise).clone()  # a CUDA graph writes its next value over this one
            except torch._dynamo.exc.TorchDynamoException as error:
                reason = str(error).strip().split("\n")[0]
                warnings.warn(f"trainer.compile has no effect here, torch.compile says: {reason}", stacklevel=2)
                fast = None
        return bound(x, noise)

    return call
