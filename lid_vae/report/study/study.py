"""Tables of results and their rows, before any statistics."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from lid_vae.appearance import appearance
from lid_vae.report.study.configured import Config, read_config, settings
from lid_vae.seed_range import seed_text

__all__ = ["REFERENCES", "Row", "Study", "Table", "say_missing", "say_seeds"]

REFERENCES = ("lidgmvae", "lidsvae")


@dataclass
class Row:
    """One configuration: ``results[seed]`` as read from the file, ``missing[seed]`` why there is none.

    Missing are seeds that were begun or that a sweep was to do; those of other rows are none of its own. ``place`` is
    the folder of the configuration's runs, ``model`` its name, ``label`` that with what tells it from other rows of
    that model, which alone are ``differs``.
    """

    place: Path
    model: str
    label: str = ""
    differs: list[str] = field(default_factory=list)
    results: dict[int, dict[str, Any]] = field(default_factory=dict)
    missing: dict[int, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The row's name for a reader: ``beta-VAE (0.2)``."""
        name = appearance(self.model).name
        return f"{name} ({', '.join(self.differs)})" if self.differs else name

    @property
    def seeds(self) -> list[int]:
        return sorted(self.results)

    @property
    def in_order(self) -> list[dict[str, Any]]:
        """The results by seed."""
        return [self.results[seed] for seed in self.seeds]

    @property
    def trained(self) -> bool:
        """Whether a run measured this at the end of its training, so that missing runs have their place here."""
        return any("seconds" in result for result in self.results.values())

    @property
    def expected(self) -> list[int]:
        """Every seed that the row has or should have."""
        return sorted({*self.results, *self.missing})

    @cached_property
    def config(self) -> Config | None:
        """The configuration that one of the runs has stored."""
        return read_config(self.place)

    @cached_property
    def _settings(self) -> dict[str, Any]:
        return {} if self.config is None else settings(self.config)

    def setting(self, name: str) -> Any:
        """The setting ``name`` that all runs of the row share, finished or not; None where no run tells."""
        if self.results:
            return next(result.get(name) for result in self.results.values())
        return self._settings.get(name)

    def run_folder(self, seed: int) -> Path:
        """Where the run of that ``seed`` is or would be."""
        return self.place / f"seed-{seed}"


@dataclass
class Table:
    """``rows`` measured alike: one ``experiment``, ``data`` set, ``train_size``, ``split``, ``checkpoint`` and S.

    ``train_size`` is None where a result does not tell; ``samples`` is S, the importance samples of the log-likelihood.
    """

    experiment: str
    data: str
    train_size: int | None
    split: str
    checkpoint: str
    samples: int
    rows: list[Row]

    @property
    def references(self) -> list[Row]:
        """The rows that others are tested against."""
        return [row for row in self.rows if row.model in REFERENCES and row.results]

    @property
    def first(self) -> dict[str, Any]:
        return next(result for row in self.rows for result in row.results.values())

    @property
    def scale(self) -> Any:
        """What the real coordinates of its data were divided by; None of data that have no scale."""
        return self.first.get("scale", 5.0)

    @property
    def is_search(self) -> bool:
        return self.experiment.endswith("_search")


@dataclass
class Study:
    """All tables below some folders, and notes on what could not be used."""

    tables: list[Table]
    notes: list[str]


def say_missing(missing: Mapping[int, str]) -> list[str]:
    """``seeds 0-3, 7 unfinished``, for each reason in ``missing``, which has it by the seed."""
    reasons: dict[str, list[int]] = {}
    for seed, why in sorted(missing.items()):
        reasons.setdefault(why.rstrip("."), []).append(seed)
    return [f"{say_seeds(seeds)} {why}" for why, seeds in reasons.items()]


def say_seeds(seeds: list[int]) -> str:
    """``seeds 0-3, 7``."""
    return f"seed{'s' if len(seeds) > 1 else ''} {seed_text(seeds).replace(',', ', ')}"
