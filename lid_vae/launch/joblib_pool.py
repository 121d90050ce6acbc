"""Chunks of a sweep over processes of this machine, by joblib: one device each by rotation, CPU threads divided."""

import os
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lid_vae.errors import UserError
from lid_vae.launch.chunk import Chunk, Outcomes, default_threads, lost, with_threads
from lid_vae.system.interruption import SIGNALS, Stopped, interruptible
from lid_vae.system.phases import phase

__all__ = ["run_joblib", "visible_devices"]

ATTEMPTS = 2
# Below /dev, of which Linux has one where there is a GPU: NVIDIA's, its small boards', AMD's, a Linux's inside Windows.
DEVICES = ("nvidia[0-9]*", "nvhost*", "kfd", "dxg")
STOP = "stop"


def run_joblib(chunks: list[Chunk], workers: int | None, threads: int | None) -> Outcomes:
    """The outcomes of ``chunks``, by ``workers`` processes at a time (None: as many as GPUs, or else as cores).

    ``threads``: of each process; None: ``OMP_NUM_THREADS``, or an equal share of the cores. A chunk whose process dies
    (no memory, ``kill -9``) is begun once more, from its last checkpoint. A signal that asks for the end goes on to the
    processes; each saves its step, and then the sweep ends.
    """
    try:
        import joblib
        from joblib.externals.loky.process_executor import BrokenProcessPool
    except ImportError as error:
        raise UserError("hydra/launcher=joblib needs joblib. Install it: pip install 'lid_vae[sweep]'.") from error

    devices = visible_devices(chunks[0].plan.accelerator)
    cores = default_threads(1) if "OMP_NUM_THREADS" not in os.environ else os.cpu_count() or 1
    count = min(workers or len(devices) or cores, len(chunks))
    chunks = with_threads(chunks, threads or default_threads(count))
    outcomes: Outcomes = {}
    attempts = dict.fromkeys(range(len(chunks)), 0)
    with tempfile.TemporaryDirectory(prefix="lid_vae-") as name, _forwarding(Path(name)) as asked:
        while attempts and not asked:
            pool = joblib.Parallel(n_jobs=count, backend="loky", return_as="generator_unordered", batch_size=1)
            work = [joblib.delayed(Errand(chunks[k], k, name, devices))() for k in attempts]
            try:
                for number, result in pool(work):
                    if result is not None:
                        outcomes |= result
                        del attempts[number]
            except BrokenProcessPool as error:
                for number in _begun(Path(name)) & attempts.keys():
                    attempts[number] += 1
                    if attempts[number] == ATTEMPTS:
                        del attempts[number]
                        outcomes |= lost(chunks[number], f"Its process died {ATTEMPTS} times: {error}")
            else:
                break
        if asked:
            raise KeyboardInterrupt if asked[0] == signal.SIGINT else Stopped(asked[0])
    for number in attempts:  # every errand answers, unless it was stopped, and nobody has asked for that here
        outcomes |= lost(chunks[number], "A signal stopped its process; the same command goes on from there.")
    return outcomes


def visible_devices(accelerator: str) -> list[str]:
    """The GPUs that this process may use, as ``CUDA_VISIBLE_DEVICES`` names them; none where ``accelerator`` is cpu."""
    if accelerator == "cpu":
        return []
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [part.strip() for part in named.split(",") if part.strip() not in ("", "-1")]
    if sys.platform == "linux" and not any(found for name in DEVICES for found in Path("/dev").glob(name)):
        return []  # for which nobody waits for torch
    with phase("looking for GPUs"):
        import torch

        return [str(number) for number in range(torch.cuda.device_count())]


@dataclass(frozen=True)
class Errand:
    """A chunk on its way to a worker."""

    chunk: Chunk
    number: int
    folder: str
    devices: list[str]

    def __call__(self) -> tuple[int, Outcomes | None]:
        """The outcomes; None where a signal has ended the work."""
        folder = Path(self.folder)
        mark = folder / f"busy-{self.number}-{os.getpid()}"
        for signum in SIGNALS:
            signal.signal(signum, signal.default_int_handler if signum == signal.SIGINT else signal.SIG_DFL)
        try:
            with interruptible():
                mark.touch()
                # After the mark, as the stop comes before the marks are read: one of the two is seen.
                if (folder / STOP).exists():
                    return self.number, None
                if self.devices:
                    slot = _slot(folder)
                    os.environ["CUDA_VISIBLE_DEVICES"] = self.devices[slot % len(self.devices)]
                outcomes = self.chunk()
                mark.unlink()
            return self.number, outcomes
        except (KeyboardInterrupt, Stopped):
            return self.number, None
        finally:
            # A worker that waits for work is not to die of a signal: that would take the others with it.
            for signum in SIGNALS:
                signal.signal(signum, signal.SIG_IGN)
            mark.unlink(missing_ok=True)


def _slot(folder: Path) -> int:
    """This process's place among the workers, which keeps to one device."""
    number = 0
    while True:
        path = folder / f"slot-{number}"
        try:
            with path.open("x") as file:
                file.write(str(os.getpid()))
            return number
        except FileExistsError:
            text = path.read_text()
            if text == str(os.getpid()):
                return number
            if text.isdigit() and not Path(f"/proc/{text}").exists() and Path("/proc/self").exists():
                path.unlink(missing_ok=True)  # of a worker that has died
            else:
                number += 1


def _begun(folder: Path) -> set[int]:
    """The chunks that were at work when the pool broke."""
    marks = list(folder.glob("busy-*"))
    for mark in marks:
        mark.unlink(missing_ok=True)
    return {int(mark.name.split("-")[1]) for mark in marks}


@contextmanager
def _forwarding(folder: Path) -> Iterator[list[int]]:
    """Signals to this process become a stop of all its workers; those that came.

    Ctrl-C reaches the workers by itself, and twice would be too much: it goes on as SIGTERM.
    """
    asked: list[int] = []

    def receive(signum: int, frame: Any) -> None:
        asked.append(signum)
        (folder / STOP).touch()
        for mark in _marks(folder):
            with suppress(ProcessLookupError):
                os.kill(int(mark.name.split("-")[2]), signal.SIGTERM if signum == signal.SIGINT else signum)

    before = {signum: signal.signal(signum, receive) for signum in SIGNALS}
    try:
        yield asked
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


def _marks(folder: Path) -> Sequence[Path]:
    return list(folder.glob("busy-*"))
