"""What a sweep is to hold: ``<runs>/<experiment>/sweep.json``, written before the first job starts."""

from collections.abc import Mapping
from pathlib import Path

from omegaconf import DictConfig

from lid_vae.errors import UserError
from lid_vae.seed_range import parse, seed_text
from lid_vae.system.files import read_json, write_json_atomic

__all__ = ["MANIFEST", "Found", "expected_seeds", "found", "join", "lost_sweep", "record"]

MANIFEST = "sweep.json"
Expected = dict[str, set[int]]
"""The seeds of each configuration, by the name of its folder."""
Found = dict[Path, Expected]
"""What experiments are to hold, by their folders."""


def found(folders: Mapping[int, Path]) -> Found:
    """What the runs of some seeds in these folders make an experiment hold."""
    known: Found = {}
    for seed, folder in folders.items():
        known.setdefault(folder.parents[1], {}).setdefault(folder.parent.name, set()).add(seed)
    return known


def join(known: Found, more: Found) -> None:
    """Adds ``more`` to ``known``."""
    for experiment, runs in more.items():
        for name, seeds in runs.items():
            known.setdefault(experiment, {}).setdefault(name, set()).update(seeds)


def record(known: Found) -> None:
    """Adds what is ``known`` to what is written down of each experiment."""
    for experiment, runs in known.items():
        _add(experiment, runs)


def lost_sweep(hydra: DictConfig) -> list[str]:
    """What the experiment of a job, whose node ``hydra`` this is, would sweep over by itself, and does not: Hydra knows
    no sweep of experiments that are swept over.
    """
    given = {override.partition("=")[0].lstrip("+") for override in hydra.overrides.task}
    return [str(name) for name in (hydra.sweeper or {}).get("params") or {} if name not in given]


def expected_seeds(experiment: Path) -> Expected:
    """What sweeps have recorded for the experiment in this folder; a damaged record counts as none."""
    if not (experiment / MANIFEST).exists():
        return {}
    try:
        stored = read_json(experiment / MANIFEST)
        return {str(name): set(parse(seeds)) for name, seeds in stored["runs"].items()}
    except (UserError, KeyError, TypeError, AttributeError):
        return {}


def _add(experiment: Path, runs: Expected) -> None:
    known = expected_seeds(experiment)
    joined = {name: known.get(name, set()) | runs.get(name, set()) for name in {**known, **runs}}
    if joined != known:
        texts = {name: seed_text(sorted(seeds)) for name, seeds in sorted(joined.items())}
        write_json_atomic(experiment / MANIFEST, {"runs": texts})
