"""Signals that ask a run to stop: noticed at once, obeyed where nothing is lost."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

__all__ = ["SIGNALS", "Interruption", "Stopped", "interruptible"]

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1", "SIGUSR2") if hasattr(signal, name))
"""Ctrl-C; the end that a cluster or a shutdown announces; what Slurm sends before its time limit, as one asks it to."""


class Stopped(BaseException):
    """The signal ``signum`` has ended the program; no ``Exception``, so that a sweep ends with it, as after Ctrl-C."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum

    def __str__(self) -> str:
        return f"stopped by {signal.Signals(self.signum).name}"

    @property
    def status(self) -> int:
        """The exit status that shells and clusters know it by: 143 for SIGTERM."""
        return 128 + self.signum


class Interruption:
    """What signals ask of a run. Where steps are taken they wait for the end of one; elsewhere they end it at once.

    A signal whose handler belongs to an engine (submitit's, which puts a job back into its queue) is handed to it:
    after the run has been left, or, if it is SIGTERM, where the run stands, since engines may wish it to go on.
    """

    def __init__(self) -> None:
        self.pending: int | None = None
        self.stepping = False
        self.previous: dict[int, Any] = {}

    def install(self) -> None:
        """Handlers of our own, also over those of Lightning, which would write a checkpoint somewhere else."""
        for signum in self.previous:
            signal.signal(signum, self._receive)

    def obey(self) -> None:
        """Ends the run if a signal has asked for it: by ``KeyboardInterrupt`` or ``Stopped``."""
        signum = self.pending
        if signum is None:
            return
        self.pending = None
        if signum == signal.SIGINT:
            raise KeyboardInterrupt
        engine = self.engine(signum)
        if signum != signal.SIGTERM or engine is None:
            raise Stopped(signum)
        engine(signum, None)

    def engine(self, signum: int) -> Callable[[int, FrameType | None], Any] | None:
        """The handler of ``signum`` that stood before ours, if it is an engine's."""
        handler = self.previous.get(signum)
        return handler if callable(handler) and handler is not signal.default_int_handler else None

    def _receive(self, signum: int, frame: FrameType | None) -> None:
        again = self.pending == signum == signal.SIGINT
        # An engine's request to start again later outweighs SIGTERM, which some clusters send with it.
        if self.pending is None or self.pending == signal.SIGTERM:
            self.pending = signum
        if again or not self.stepping:
            self.obey()


@contextmanager
def interruptible() -> Iterator[Interruption]:
    """Handlers for ``SIGNALS`` while a run is on; those that the program ignores (``nohup``) stay ignored.

    Only the main thread of a process can have any: in another one the signals mean what they meant.
    """
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return
    known = {signum: signal.getsignal(signum) for signum in SIGNALS}
    interruption.previous = {
        signum: handler for signum, handler in known.items() if handler not in (signal.SIG_IGN, None)
    }
    interruption.install()
    owner = os.getpid()
    try:
        yield interruption
        interruption.obey()
    except Stopped as stopped:
        _restore(interruption, owner)
        engine = interruption.engine(stopped.signum)
        if engine is None:
            raise
        engine(stopped.signum, None)
        raise
    finally:
        _restore(interruption, owner)


def _restore(interruption: Interruption, owner: int) -> None:
    if os.getpid() == owner:
        for signum, handler in interruption.previous.items():
            signal.signal(signum, handler)
