"""``torch.compile`` for the bound of a training step, with the plain function where it fails or takes too long."""

import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import torch

from lid_vae.shapes import Bool, Tensor
from lid_vae.train.step.take_step import Bound

__all__ = ["LONGEST", "compiled"]

LONGEST = 600.0
"""Seconds that a first step of one size may take to compile."""


_IMPORTING = "<frozen importlib._bootstrap>"


class _TooLong(BaseException):
    """No ``Exception``, which the compiler would take for its own failure."""


def compiled(bound: Bound, mode: str = "default", longest: float = LONGEST) -> Bound:
    """``bound``, fused into few kernels at its first call; takes a C++ compiler, and minutes, before the first step.

    Equal up to the last digits. A part of several seeds is run as it is; what cannot be compiled too, or not within
    ``longest`` seconds, after a warning. ``mode`` is ``torch.compile``'s.
    """
    fast: Bound | None = torch.compile(bound, mode=mode)
    sizes: set[tuple[object, ...]] = set()

    def call(x: Tensor, noise: Tensor, chosen: Bool[Tensor, "*seeds"] | None = None) -> Tensor:
        nonlocal fast
        if chosen is not None:
            return bound(x, noise, chosen)
        if fast is not None:
            size = (x.shape, x.dtype, noise.shape, noise.dtype)
            try:
                with _at_most(0.0 if size in sizes else longest):
                    found = fast(x, noise).clone()  # a CUDA graph writes its next value over this one
                sizes.add(size)
                return found
            except torch._dynamo.exc.TorchDynamoException as error:
                reason = "torch.compile says: " + str(error).strip().split("\n")[0]
            except _TooLong:
                reason = f"torch.compile was not done after {longest:g} seconds"
            warnings.warn(f"trainer.compile has no effect here, {reason}", stacklevel=2)
            fast = None
        return bound(x, noise)

    return call


@contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """Raises ``_TooLong`` within it after so many ``seconds``, unless they are 0.

    Only where signals arrive, in the main thread of a system that has this one, and where nobody else has asked for it.
    An import is waited for, as a module of which half was run fails whoever imports it next.
    """
    free = hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()
    if not seconds or not free or signal.getitimer(signal.ITIMER_REAL)[0]:
        yield
        return

    def late(_: int, frame: FrameType | None) -> None:
        while frame is not None and frame.f_code.co_filename not in (_IMPORTING, __file__):
            frame = frame.f_back
        if frame is None or frame.f_code.co_filename == __file__:
            raise _TooLong
        signal.setitimer(signal.ITIMER_REAL, 0.1)

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
