"""How far the runs below a folder are: finished, running, failed, interrupted, missing."""

import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from lid_vae.errors import UserError
from lid_vae.launch.manifest import expected_seeds
from lid_vae.run.store import FAILURE
from lid_vae.seed_range import seed_text
from lid_vae.system.files import read_file
from lid_vae.system.lock import STALE, Owner, is_held, owner_of

__all__ = ["STATES", "RunState", "State", "describe_details", "describe_states", "read_states"]

State = Literal["finished", "running", "failed", "interrupted", "missing"]
STATES: tuple[State, ...] = ("finished", "running", "failed", "interrupted", "missing")
_SEED = re.compile(r"seed-(\d+)")
_LOCK = re.compile(r"\.seed-(\d+)\.lock")


@dataclass(frozen=True)
class RunState:
    """One run: the folder of its ``configuration``, its ``seed``, and how far it is.

    ``state`` is one of ``STATES``; ``detail`` is what is to be said of it, such as the error of a failed run.
    """

    configuration: Path
    seed: int
    state: State
    detail: str = ""


def read_states(folder: Path) -> list[RunState]:
    """Every run below ``folder``, and those that a sweep was to hold.

    Raises ``UserError`` where there is no such folder or nothing in it.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder. Give the folder of a sweep, such as runs/default, or of all: runs.")
    here = Owner.here()
    states = [state for place, seeds, locks in _configurations(folder) for state in _states(place, seeds, locks, here)]
    states += _missing(folder, states)
    if not states:
        raise UserError(f"{folder} holds no run. Give the folder of a sweep, such as runs/default, or of all: runs.")
    return sorted(states, key=lambda state: (state.configuration, state.seed))


def describe_states(folder: Path, states: Sequence[RunState]) -> str:
    """One line that counts the runs ``states`` below ``folder``."""
    counts = Counter(state.state for state in states)
    told = ", ".join(f"{counts[name]} {name}" for name in STATES if counts[name] or name == "finished")
    return f"{folder}: {len(states)} runs: {told}"


def describe_details(folder: Path, states: Iterable[RunState]) -> Iterator[str]:
    """Lines on the runs among ``states``, below ``folder``, that are not finished.

    Runs of one configuration that are alike share a line.
    """
    groups: dict[RunState, list[int]] = {}
    for state in states:
        if state.state != "finished":
            groups.setdefault(replace(state, seed=0), []).append(state.seed)
    for state, seeds in sorted(groups.items(), key=lambda item: STATES.index(item[0].state)):
        name = os.path.relpath(state.configuration, folder)
        detail = f": {state.detail}" if state.detail else ""
        yield f"{state.state:<12} {name}  seed{'s' if len(seeds) > 1 else ''} {seed_text(seeds)}{detail}"


def _configurations(folder: Path) -> Iterator[tuple[Path, list[int], set[int]]]:
    """Folders with runs: their seeds, and the seeds with a lock. No run is looked into: there may be ten thousand."""
    own = _SEED.fullmatch(folder.name)
    if own:
        yield folder.parent, [int(own[1])], {int(own[1])}
        return
    seeds: list[int] = []
    locks: set[int] = set()
    below: list[str] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            lock = _LOCK.fullmatch(entry.name)
            if lock:
                locks.add(int(lock[1]))
            elif entry.is_dir(follow_symlinks=True):
                seed = _SEED.fullmatch(entry.name)
                if seed:
                    seeds.append(int(seed[1]))
                elif not entry.name.startswith(".") and not entry.name.endswith(".superseded"):
                    below.append(entry.name)
    if seeds or locks:
        yield folder, sorted({*seeds, *locks}), locks
        return
    for name in sorted(below):
        yield from _configurations(folder / name)


def _states(place: Path, seeds: list[int], locks: set[int], here: Owner) -> Iterator[RunState]:
    for seed in seeds:
        folder = place / f"seed-{seed}"
        lock = place / f".seed-{seed}.lock"
        result = _read(folder / "result.json")
        if isinstance(result, dict) and "config_hash" in result:
            yield RunState(place, seed, "finished")  # its lock may be held still, for its siblings
        elif seed in locks and is_held(lock, here):
            yield RunState(place, seed, "running", _owner(lock))
        elif result is not None:
            yield RunState(place, seed, "failed", "result.json is damaged: delete it, and run the command again")
        else:
            failure = _read(folder / FAILURE)
            if failure is None:
                yield RunState(place, seed, "interrupted")
            else:
                error = failure.get("error") if isinstance(failure, dict) else None
                yield RunState(place, seed, "failed", str(error or f"{FAILURE} is damaged"))


def _missing(folder: Path, states: list[RunState]) -> Iterator[RunState]:
    """Runs that sweeps have recorded and nobody has begun."""
    known: dict[Path, dict[str, set[int]]] = {}
    for state in states:
        place = state.configuration
        known.setdefault(place.parent, {}).setdefault(place.name, set()).add(state.seed)
    inside = [folder] if not known else list(known)
    if folder.is_dir() and not _SEED.fullmatch(folder.name):
        inside += [path for path in folder.iterdir() if path.is_dir() and path not in known]
    for experiment in dict.fromkeys(inside):
        expected = expected_seeds(experiment)
        for name, seeds in expected.items():
            place = experiment / name
            if folder in (experiment, *experiment.parents) or place == folder:
                for seed in sorted(seeds - known.get(experiment, {}).get(name, set())):
                    yield RunState(place, seed, "missing")


def _read(path: Path) -> object:
    """The value in a JSON file; None where there is no file, "" where it is damaged."""
    try:
        return json.loads(read_file(path))
    except FileNotFoundError:
        return None
    except (OSError, RecursionError, ValueError):
        return ""


def _owner(lock: Path) -> str:
    found = owner_of(lock)
    owner, age = (None, 0.0) if found is None else found
    if owner is None:
        return ""
    slow = f", no heartbeat for {age:.0f} s of {STALE:.0f}" if age > STALE / 2 else ""
    return f"process {owner.pid} on {owner.host}{slow}"
