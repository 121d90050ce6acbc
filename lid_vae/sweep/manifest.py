"""What a sweep is to hold: ``<runs>/<experiment>/sweep.json``, written before the first job starts."""

from collections.abc import Callable, Sequence
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import setup_globals
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lid_vae.errors import UserError
from lid_vae.files import read_json, write_json_atomic
from lid_vae.run.store import place
from lid_vae.sweep.seed_range import parse, seed_text

__all__ = ["MANIFEST", "expected_seeds", "lost_sweep", "record"]

MANIFEST = "sweep.json"
Expected = dict[str, set[int]]
"""The seeds of each configuration, by the name of its folder."""


def record(compose: Callable[[list[str]], DictConfig], jobs: Sequence[Sequence[str]]) -> None:
    """Adds ``jobs`` to what their experiments are to hold. One of them is composed for all that differ in their seed.

    A configuration that cannot be resolved, or is to be refused, is left out: its jobs fail, and say why.
    """
    groups: dict[tuple[str, ...], list[int | None]] = {}
    for job in jobs:
        given = [part.removeprefix("seed=") for part in job if part.startswith("seed=")]
        key = tuple(part for part in job if not part.startswith("seed="))
        groups.setdefault(key, []).append(int(given[-1]) if given and given[-1].isdigit() else None)
    found: dict[Path, Expected] = {}
    setup_globals()
    before = HydraConfig.instance().cfg
    try:
        for others, seeds in groups.items():
            first = [] if seeds[0] is None else [f"seed={seeds[0]}"]
            cfg = compose([*others, *first])
            HydraConfig.instance().set_config(cfg)
            if OmegaConf.select(cfg, "paths.runs") is None or OmegaConf.select(cfg, "seed") is None:
                return  # the configuration of another program
            if lost_sweep():
                continue
            try:
                folder, _ = place(cfg)
            except (OmegaConfBaseException, HydraException, AttributeError):
                continue
            chosen = {int(cfg.seed) if seed is None else seed for seed in seeds}
            found.setdefault(folder.parents[1], {}).setdefault(folder.parent.name, set()).update(chosen)
    finally:
        HydraConfig.instance().cfg = before
    for experiment, runs in found.items():
        _add(experiment, runs)


def lost_sweep() -> list[str]:
    """What the present job's experiment would sweep over by itself, and does not: Hydra knows no sweep of experiments
    that are swept over.
    """
    hydra_config = HydraConfig.get()
    given = {override.partition("=")[0].lstrip("+") for override in hydra_config.overrides.task}
    return [str(name) for name in (hydra_config.sweeper or {}).get("params") or {} if name not in given]


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
