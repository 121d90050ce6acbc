"""How long the runs that are left may take: an estimate from those that are finished."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from lid_vae.errors import UserError
from lid_vae.launch.status import RunState
from lid_vae.system.files import read_json
from lid_vae.system.lock import lock_path, owner_of
from lid_vae.system.phases import spoken

__all__ = ["time_left"]

LEFT = ("running", "interrupted", "missing")


@dataclass
class Worker:
    """A process that trains runs: what its runs take by the estimate, and since when it has been at them, seconds."""

    cost: float = 0.0
    elapsed: float = 0.0


def time_left(states: Sequence[RunState]) -> str | None:
    """A line on how long the runs among ``states`` that are left may take; None where nothing can be said.

    A run takes what the finished ones of its configuration took on average, each its share of a stack of seeds. Of
    configurations of which none is finished nothing is known, and nothing is said. As many processes as train now are
    taken to go on.
    """
    by_place: dict[Path, list[RunState]] = {}
    for state in states:
        by_place.setdefault(state.configuration, []).append(state)
    workers: dict[Any, Worker] = {}
    known, unknown, waiting = 0, 0, 0.0
    now = time.time()
    for group in by_place.values():
        left = [state for state in group if state.state in LEFT]
        if not left:
            continue
        taken = [seconds for state in group if state.state == "finished" and (seconds := _taken(state)) is not None]
        if not taken:
            unknown += len(left)
            continue
        known += len(taken)
        for state in left:
            if state.state == "running":
                worker = workers.setdefault(_worker(state), Worker())
                worker.cost += fmean(taken)
                worker.elapsed = max(worker.elapsed, now - _begun(state, now))
            else:
                waiting += fmean(taken)
    if not known:
        return None
    begun = [max(0.0, worker.cost - worker.elapsed) for worker in workers.values()]
    seconds = max(max(begun, default=0.0), (sum(begun) + waiting) / max(1, len(workers)))
    at_once = "" if len(workers) < 2 else f" by {len(workers)} processes"
    when = at_once if workers else " once the command goes on"
    runs = f"{known} finished run{'' if known == 1 else 's'}"
    line = f"time left    about {spoken(seconds)}{when}, an estimate from {runs}"
    return line + (f"; nothing is known of {unknown} other runs, of whose kind none is finished" if unknown else "")


def _taken(state: RunState) -> float | None:
    """What a finished run took, evaluation included, seconds; its share, where seeds trained together."""
    folder = _folder(state)
    try:
        result = read_json(folder / "result.json")
        training = float(result["seconds"])
        together = max(1, int(result.get("seeds_together") or 1))
        # The clock of training stops before the evaluation; the files tell of that, unless the run was resumed.
        whole = (folder / "result.json").stat().st_mtime - (folder / "config.yaml").stat().st_mtime
    except (UserError, OSError, KeyError, TypeError, ValueError, AttributeError):
        return None
    return max(training, whole) / together


def _begun(state: RunState, now: float) -> float:
    """When a run was begun, or gone on with: its configuration is written then."""
    try:
        return min(now, (_folder(state) / "config.yaml").stat().st_mtime)
    except OSError:
        return now  # it waits for another seed of the same process


def _worker(state: RunState) -> Any:
    found = owner_of(lock_path(_folder(state)))
    owner = None if found is None else found[0]
    return None if owner is None else (owner.host, owner.namespace, owner.pid, owner.process)


def _folder(state: RunState) -> Path:
    return state.configuration / f"seed-{state.seed}"
