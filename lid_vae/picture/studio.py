"""Pictures of several seeds drawn at once, by processes of their own, which know no model and no PyTorch."""

import atexit
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import cache
from multiprocessing import current_process, get_context, parent_process
from typing import ParamSpec, TypeVar

__all__ = ["PAYS", "Studio", "studio"]

PAYS = {"cuda"}
"""The kinds of devices beside which processors have time to draw."""
MOST = 8
"""Processes; each takes a fifth of a gigabyte, and a second or two to start."""
P = ParamSpec("P")
T = TypeVar("T")


class Studio:
    """Does work in ``processes``, started with the first of it; in this one, at once, where there are fewer than two.

    What is given and what comes back travels between processes. Where none can be started, or one dies, as for want of
    memory, the work is done here.
    """

    def __init__(self, processes: int) -> None:
        self.processes = processes
        self._pool: ProcessPoolExecutor | None = None

    def begin(self, work: Callable[P, T], *given: P.args, **options: P.kwargs) -> Callable[[], T]:
        """Begins ``work`` on what is ``given``, with ``options``; what is returned waits for it."""
        if self.processes < 2:
            done = work(*given, **options)
            return lambda: done
        try:
            future: Future[T] = self._started().submit(work, *given, **options)
        except (BrokenProcessPool, OSError):
            return lambda: work(*given, **options)

        def wait() -> T:
            try:
                return future.result()
            except BrokenProcessPool:
                return work(*given, **options)

        return wait

    def close(self) -> None:
        """Ends the processes; what is not begun is not done."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None

    def _started(self) -> ProcessPoolExecutor:
        if self._pool is None:
            # Not forked: a process with a GPU in use, or with threads, cannot be.
            self._pool = ProcessPoolExecutor(self.processes, get_context("spawn"), _prepare)
        return self._pool


@cache
def studio() -> Studio:
    """That of this program: a process for each processor that it may use, where it may start any."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    made = Studio(1 if current_process().daemon else min(cores, MOST))
    atexit.register(made.close)
    return made


def _prepare() -> None:
    """Ctrl-C is for the program that has asked, and so is the terminal; where it is no more, nothing is to be drawn."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    threading.Thread(target=_leave_with_parent, daemon=True).start()


def _leave_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
