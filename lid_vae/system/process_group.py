"""One run over several devices: its processes started or joined, told what to do, and ended together."""

import os
import pickle
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from pytorch_lightning.plugins.environments import (
    ClusterEnvironment,
    LightningEnvironment,
    SLURMEnvironment,
    TorchElasticEnvironment,
)

from lid_vae.errors import UserError
from lid_vae.system.devices import DeviceOptions
from lid_vae.system.invocation import command, import_environment
from lid_vae.system.processes import process_place

__all__ = ["ProcessGroup", "find_group"]

STRATEGIES = ("auto", "ddp", "ddp_find_unused_parameters_false", "ddp_find_unused_parameters_true")
# Seconds that a process waits for the others (the first may have data to download), and for those that ought to end by
# themselves.
JOIN, END = 1800.0, 30.0
GOES_ON = "The same command goes on from the last checkpoint."


@dataclass
class ProcessGroup:
    """The processes that train one run, as seen by one of them.

    ``devices`` on each of ``nodes`` machines have a process each, on GPUs if ``cuda``. ``environment`` is who started
    them: Slurm or torchrun, all at once with one command; or, on one machine, this program, which starts the others
    once a run is to be trained, with the run and not with the command: so a sweep is run by the first process alone.
    The first one (rank 0) decides, holds the lock, and writes; the others follow. ``led``: whether it has begun to
    lead.
    """

    devices: int
    nodes: int
    cuda: bool
    environment: ClusterEnvironment
    led: bool = field(default=False, init=False)

    @property
    def size(self) -> int:
        return self.devices * self.nodes

    @property
    def external(self) -> bool:
        """Whether the processes were started at once, by Slurm or torchrun."""
        return self.size > 1 and not isinstance(self.environment, LightningEnvironment)

    @property
    def follows(self) -> bool:
        """Whether another process decides, of a group that was started at once."""
        return self.external and self.environment.global_rank() > 0

    def trainer_options(self, strategy: object) -> dict[str, Any]:
        """What Lightning's trainer is to know of it: ``strategy`` and ``plugins``."""
        if self.size == 1:
            return {"strategy": "auto"}
        return {"strategy": "ddp" if strategy == "auto" else strategy, "plugins": [self.environment]}

    @contextmanager
    def lead(self, program: str, plan: Any, last: Path | None) -> Iterator[None]:
        """The group, for the first process: the others train too. Ends it, and with it those that it has started.

        A started process runs the module ``program``, which finds ``plan`` pickled in a file, from the checkpoint
        ``last``. Raises ``UserError`` where another process has died.
        """
        if self.size == 1:
            yield
            return
        with tempfile.TemporaryDirectory(prefix="lid_vae-") as folder:
            others: list[subprocess.Popen[bytes]] = []
            ended = False
            try:
                if not self.external:
                    others = self._start(program, plan, Path(folder))
                with _watched(others):
                    self.led = True
                    self._join(rank=0)
                    dist.broadcast_object_list([{"last": None if last is None else str(last)}])
                    yield
                    ended = True
            except Exception as error:
                dead = _dead(others)
                if dead and not isinstance(error, UserError):
                    raise UserError(f"{dead} {GOES_ON}") from error
                raise
            finally:
                _leave()
                _end(others, END if ended else 0.0)
                if not self.external:
                    _set_place(None)

    @contextmanager
    def declined_unless_led(self) -> Iterator[None]:
        """Tells processes that were started at once and are not led that there is nothing to train."""
        try:
            yield
        finally:
            if self.external and not self.led:
                try:
                    self._join(rank=0)
                    dist.broadcast_object_list([None])
                finally:
                    _leave()

    @contextmanager
    def follow(self) -> Iterator[dict[str, Any] | None]:
        """The group, for the others: what the first process says of the run; None where nothing is to be trained."""
        try:
            self._join(self.environment.global_rank() if self.external else int(os.environ["LOCAL_RANK"]))
            said: list[Any] = [None]
            dist.broadcast_object_list(said)
            yield said[0]
        finally:
            _leave()

    def agree(self, signum: int | None) -> int | None:
        """The signal that any process has received, the same in all of them; ``signum`` is this one's, or None."""
        if process_place().size == 1:
            return signum
        seen = torch.tensor(signum or 0)
        dist.all_reduce(seen, dist.ReduceOp.MAX)
        return int(seen) or None

    def _start(self, program: str, plan: Any, folder: Path) -> list["subprocess.Popen[bytes]"]:
        """The other processes of this machine."""
        path = folder / "plan.pickle"
        path.write_bytes(pickle.dumps(plan))
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            port = found.getsockname()[1]
        _set_place({"LOCAL_RANK": "0", "NODE_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)})
        environment = {**os.environ, **import_environment()}
        return [
            subprocess.Popen(
                [sys.executable, "-m", program, str(path), str(os.getpid())],
                env={**environment, "LOCAL_RANK": str(rank)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for the first process, which tells them
            )
            for rank in range(1, self.size)
        ]

    def _join(self, rank: int) -> None:
        place = f"tcp://{self.environment.main_address}:{self.environment.main_port}"
        try:
            dist.init_process_group(
                # Two backends: what processes say to each other besides gradients never waits for a GPU.
                "cpu:gloo,cuda:nccl" if self.cuda else "gloo",
                init_method=place,
                world_size=self.size,
                rank=rank,
                timeout=timedelta(seconds=JOIN),
            )
        except dist.DistError as error:
            raise UserError(
                f"Of {self.size} processes not all have come to {place} within {JOIN:.0f} seconds. On Slurm start the "
                "command with srun, one task for each device."
            ) from error


def find_group(options: DeviceOptions) -> ProcessGroup:
    """The group that these options ask for.

    Raises ``UserError`` for several devices by another way than DDP, where the processes that are there are not as many
    as devices, and for a sweep in processes that were started at once, each of which would run it.
    """
    cuda = options.accelerator in ("gpu", "cuda", "auto") and torch.cuda.is_available()
    devices, nodes = _count(options.devices, cuda), options.nodes
    size = devices * nodes
    strategy = options.strategy
    if size > 1 and strategy not in STRATEGIES:
        raise UserError(
            f"trainer.strategy={strategy} is not known here: models of this kind fit on one device, and several share "
            "the examples of a batch. Use trainer=ddp."
        )
    if size == 1:
        return ProcessGroup(devices, nodes, cuda, LightningEnvironment())
    environment = _environment(devices)
    if isinstance(environment, LightningEnvironment):
        if nodes > 1:
            raise UserError(
                f"trainer.num_nodes={nodes} needs processes on {nodes} machines, and this one is alone. Start the "
                "command on all of them at once: "
                f"srun --nodes={nodes} --ntasks-per-node={devices} {command('train')} ..."
            )
    elif environment.world_size() != size:
        raise UserError(
            f"trainer.devices={options.devices} and trainer.num_nodes={nodes} make {size} processes, and "
            f"{environment.world_size()} were started. Let the two agree."
        )
    elif options.sweep:
        raise UserError(
            f"Each of the {size} processes that were started would run the whole sweep. Start one process, which "
            "starts the others of its machine for each run; or run the seeds one command after the other."
        )
    return ProcessGroup(devices, nodes, cuda, environment)


def _environment(devices: int) -> ClusterEnvironment:
    """Who has started this process, if it is one of several."""
    try:
        for kind in (TorchElasticEnvironment, SLURMEnvironment):
            if kind.detect() and kind().world_size() > 1:
                return kind()
    except RuntimeError as error:  # Lightning's, on how Slurm was asked for tasks
        raise UserError(
            f"Slurm was asked for tasks in a way that does not say how many each machine has ({error}). Use "
            f"srun --ntasks-per-node={devices}."
        ) from error
    return LightningEnvironment()


def _count(devices: Any, cuda: bool) -> int:
    """How many devices of this machine an option means."""
    if devices in ("auto", -1, "-1"):
        return torch.cuda.device_count() if cuda else 1
    if isinstance(devices, str) and devices.strip().isdigit():
        return int(devices)
    if isinstance(devices, int) and devices > 0:
        return devices
    listed = devices.split(",") if isinstance(devices, str) else devices
    try:
        return len([int(number) for number in listed])
    except (TypeError, ValueError) as error:
        raise UserError(f"trainer.devices={devices} is not known. Use a number, a list of GPUs or auto.") from error


def _set_place(place: dict[str, str] | None) -> None:
    """What Lightning reads of a process's place in its group; None: nothing, as in a process that is alone."""
    for name in ("LOCAL_RANK", "NODE_RANK", "MASTER_ADDR", "MASTER_PORT", "WORLD_SIZE"):
        os.environ.pop(name, None)
    os.environ.update(place or {})


def _leave() -> None:
    if dist.is_initialized():
        with suppress(Exception):  # of a group that has lost a process
            dist.destroy_process_group()


def _end(others: list["subprocess.Popen[bytes]"], seconds: float) -> None:
    """Waits for processes to end by themselves, and ends those that do not."""
    deadline = time.monotonic() + seconds
    for process in others:
        with suppress(subprocess.TimeoutExpired):
            process.wait(max(deadline - time.monotonic(), 0.1))
        if process.poll() is None:
            process.kill()
            process.wait()


def _dead(others: list["subprocess.Popen[bytes]"]) -> str:
    """A sentence on a process that has ended by an error of its own; "" where there is none."""
    deadline = time.monotonic() + 2.0
    while others and all(process.poll() is None for process in others) and time.monotonic() < deadline:
        time.sleep(0.05)
    for rank, process in enumerate(others, 1):
        status = process.poll()
        if status not in (None, 0):
            cause = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
            return f"Process {rank} of {len(others)} beside the first {cause}."
    return ""


@contextmanager
def _watched(others: list["subprocess.Popen[bytes]"]) -> Iterator[None]:
    """Ends this process where another has died and this one waits for it still, as NCCL may for ever."""
    done = threading.Event()

    def watch() -> None:
        while not done.wait(1.0):
            if any(process.poll() not in (None, 0) for process in others) and not done.wait(END):
                print(_dead(others), GOES_ON, file=sys.stderr, flush=True)
                os._exit(1)

    if others:
        threading.Thread(target=watch, name="watch", daemon=True).start()
    try:
        yield
    finally:
        done.set()
