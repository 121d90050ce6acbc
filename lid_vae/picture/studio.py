"""Pictures of several seeds drawn at once, by processes of their own, which know no model and no PyTorch."""

import atexit
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from multiprocessing import current_process, get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import ParamSpec, TypeVar

__all__ = ["PAYS", "Studio", "studio"]

PAYS = {"cuda"}
"""The kinds of devices beside which processors have time to draw."""
MOST = 8
"""Processes; each takes a fifth of a gigabyte, and a second or two to start."""
P = ParamSpec("P")
T = TypeVar("T")


class Studio:
    """Does work in ``processes``, each started when it is first needed; in this one, at once, where they are below two.

    What is given and what comes back travels between processes. Where one cannot be started, or dies, as for want of
    memory, its work is done here, when it is waited for.
    """

    def __init__(self, processes: int) -> None:
        self.processes = processes
        self._threads: ThreadPoolExecutor | None = None
        self._local = threading.local()
        self._made: list[tuple[Connection, BaseProcess]] = []

    def begin(self, work: Callable[P, T], *given: P.args, **options: P.kwargs) -> Callable[[], T]:
        """Begins ``work`` on what is ``given``, with ``options``; what is returned waits for it."""
        if self.processes < 2:
            done = work(*given, **options)
            return lambda: done
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self.processes)
        future: Future[T] = self._threads.submit(self._elsewhere, work, given, options)

        def wait() -> T:
            try:
                return future.result()
            except _DiedError:
                return work(*given, **options)

        return wait

    def close(self) -> None:
        """Ends the processes; what is not begun is not done."""
        if self._threads is not None:
            self._threads.shutdown(cancel_futures=True)
            self._threads = None
        for pipe, process in self._made:
            process.kill()  # it has nothing to do; that the pipe ends it would not see where a fork of ours has it too
            process.join()
            pipe.close()
        self._made, self._local = [], threading.local()

    def _elsewhere(self, work: Callable[..., T], given: tuple[object, ...], options: dict[str, object]) -> T:
        """``work`` by the process of this thread; raises ``_DiedError`` where there is none, or no more."""
        try:
            if getattr(self._local, "pipe", None) is None:
                self._local.pipe = self._started()
            self._local.pipe.send((work, given, options))
            found, error = self._local.pipe.recv()
        except (EOFError, OSError) as gone:
            self._local.pipe = None
            raise _DiedError from gone
        if error is not None:
            raise error
        return found  # type: ignore[no-any-return]

    def _started(self) -> Connection:
        """The pipe to a new process. It is not forked: one with a GPU in use, or with threads, cannot be."""
        context = get_context("spawn")
        here, there = context.Pipe()
        process = context.Process(target=_work, args=(there,), daemon=True)
        try:
            process.start()
        except BaseException:
            here.close()
            raise
        finally:
            there.close()
        self._made.append((here, process))
        return here


@cache
def studio() -> Studio:
    """That of this program: a process for each processor that it may use, where it may start any."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    made = Studio(1 if current_process().daemon else min(cores, MOST))
    atexit.register(made.close)
    return made


class _DiedError(Exception):
    """A process is no more."""


def _work(pipe: Connection) -> None:
    """Does what comes by ``pipe`` until it is closed, as it is where who has asked is no more.

    Ctrl-C is for the program that has asked, and so is the terminal.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    while True:
        try:
            work, given, options = pipe.recv()
        except (EOFError, OSError):
            return
        found, failure = None, None
        try:
            found = work(*given, **options)
        except Exception as error:
            failure = error
        pipe.send((found, failure))
