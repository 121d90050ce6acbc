"""The results below a folder, sorted into tables; what is missing, failed or damaged keeps its place."""

import json
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lid_vae.errors import UserError
from lid_vae.run.store import FAILURE

__all__ = ["REFERENCES", "Row", "Study", "Table", "read"]

# The order of the paper's Table 2; other models stand before the last, against which all are tested.
ORDER = (
    "language_model",
    "linear_language_model",
    "svae",
    "linear_svae",
    "gmvae",
    "sa_vae",
    "lagging_vae",
    "beta_vae",
)
REFERENCES = ("lidgmvae", "lidsvae")
# What tells rows of one model apart, with its name in a label.
SETTINGS = {
    "family": "family",
    "mixture": "mixture",
    "map": "map",
    "depth": "depth",
    "hidden_layers": "layers",
    "width": "width",
    "objective": "objective",
    "inference": "inference",
    "learning_rate": "rate",
    "batch_size": "batch",
}
PASSED_OVER = {"checkpoints", "tensorboard", "wandb", "report"}
# Experiment, data, size of the training set, split, checkpoint, S.
Key = tuple[str, str, int | None, str, str, int]
_SEED = re.compile(r"seed-(\d+)")


@dataclass
class Row:
    """One configuration: ``results[seed]`` as read from the file, ``missing[seed]`` why there is none."""

    place: Path
    model: str
    label: str = ""
    results: dict[int, dict[str, Any]] = field(default_factory=dict)
    missing: dict[int, str] = field(default_factory=dict)

    @property
    def seeds(self) -> list[int]:
        return sorted(self.results)

    def setting(self, name: str) -> Any:
        """A setting that all runs of the row share; None where no run tells."""
        return next((result.get(name) for result in self.results.values()), None)

    def run_folder(self, seed: int) -> Path:
        return self.place / f"seed-{seed}"


@dataclass
class Table:
    """Rows measured alike: one experiment, data set, training-set size, split, checkpoint and S."""

    experiment: str
    data: str
    train_size: int | None
    split: str
    checkpoint: str
    samples: int
    rows: list[Row]

    @property
    def seeds(self) -> list[int]:
        """Every seed that any row has or should have."""
        return sorted({seed for row in self.rows for seed in (*row.results, *row.missing)})

    @property
    def references(self) -> list[Row]:
        """The rows that others are tested against."""
        return [row for row in self.rows if row.model in REFERENCES and row.results]

    @property
    def first(self) -> dict[str, Any]:
        return next(result for row in self.rows for result in row.results.values())

    @property
    def of_training(self) -> bool:
        """Whether runs measured this at the end of their training, so that a missing one has its place here."""
        return any("seconds" in result for row in self.rows for result in row.results.values())

    @property
    def is_search(self) -> bool:
        return self.experiment.endswith("_search")


@dataclass
class Study:
    """All tables below some folders, and notes on what could not be used."""

    tables: list[Table]
    notes: list[str]


def read(folders: Sequence[Path]) -> Study:
    """Every ``result.json`` and ``evaluation-*.json`` below ``folders``.

    A damaged file, a failed and an unfinished run are noted and counted as missing in their rows.
    Raises ``UserError`` for a folder that does not exist or holds no result.
    """
    groups: dict[Key, dict[Path, Row]] = {}
    missing: dict[Path, dict[int, str]] = {}
    notes: list[str] = []
    for folder in folders:
        if not folder.is_dir():
            raise UserError(f"{folder} is no folder. Give the folder of finished runs, such as runs/table2_pinwheel.")
        before, damaged = len(notes), sum(map(len, groups.values()))
        for path, names in _run_folders(folder):
            _read_run(path, names, groups, missing, notes)
        if sum(map(len, groups.values())) == damaged:
            raise UserError(_nothing(folder, notes[before:], missing))
    tables = [Table(*key, list(rows.values())) for key, rows in groups.items()]
    _place_missing(tables, missing, notes)
    for table in tables:
        table.rows.sort(key=_row_order)
        _label(table.rows)
    return Study(sorted(tables, key=_table_order), notes)


def _run_folders(folder: Path) -> list[tuple[Path, list[str]]]:
    found = []
    for place, below, names in os.walk(folder):
        # A forced run keeps the result that it will replace in seed-<n>.superseded.
        below[:] = sorted(d for d in below if d not in PASSED_OVER and not d.endswith(".superseded"))
        results = sorted(
            name
            for name in names
            if name in ("result.json", FAILURE) or (name.startswith("evaluation-") and name.endswith(".json"))
        )
        if results or _SEED.fullmatch(os.path.basename(place)):
            found.append((Path(place), results))
    return found


def _read_run(
    folder: Path,
    names: list[str],
    groups: dict[Key, dict[Path, Row]],
    missing: dict[Path, dict[int, str]],
    notes: list[str],
) -> None:
    match = _SEED.fullmatch(folder.name)
    reason = "unfinished"
    finished = False
    # result.json last, so that it wins over an evaluation of the same checkpoint with the same ruler
    for name in sorted(names, key=lambda name: name == "result.json"):
        path = folder / name
        try:
            result = json.loads(path.read_bytes())
            if name == FAILURE:
                reason = f"failed: {result['error']}"
                continue
            key, seed = _key(result), int(result["seed"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            why = f"has no {error}" if isinstance(error, KeyError) else "is half-written or no result"
            notes.append(f"{path} {why}: counted as missing. Delete it and run the command again.")
            reason = f"{name} damaged" if name == "result.json" else reason
            continue
        row = groups.setdefault(key, {}).setdefault(folder.parent, Row(folder.parent, str(result["model"])))
        row.results[seed] = result
        finished = finished or name == "result.json"
    if match and not finished:
        missing.setdefault(folder.parent, {})[int(match[1])] = reason


def _key(result: Mapping[str, Any]) -> Key:
    """What a table's rows have in common. Raises ``KeyError`` or ``TypeError`` for what is no result."""
    result["latent"]["z"]["kl"], result["elbo"], result["model"]
    return (
        str(result.get("experiment", "default")),
        str(result["data"]),
        result.get("train_size"),
        str(result["split"]),
        Path(result.get("checkpoint", "best.ckpt")).name,
        int(result["ll"]["samples"]),
    )


def _place_missing(tables: Sequence[Table], missing: Mapping[Path, dict[int, str]], notes: list[str]) -> None:
    """Into their rows; a configuration without any result gets a row in the tables of its experiment and data."""
    for place, seeds in missing.items():
        homes = [row for table in tables for row in table.rows if row.place == place and table.of_training]
        if not homes:
            model, data = [*place.name.split("-"), ""][:2]
            for table in tables:
                if table.of_training and (table.experiment, table.data) == (place.parent.name, data):
                    homes.append(Row(place, model))
                    table.rows.append(homes[-1])
        for row in homes:
            row.missing.update({seed: why for seed, why in seeds.items() if seed not in row.results})
        if not homes:
            listed = "; ".join(f"seed {seed} {why}" for seed, why in sorted(seeds.items()))
            notes.append(f"{place} holds no result: {listed}.")


def _label(rows: Sequence[Row]) -> None:
    """The model's name, with the settings in which it differs from other rows of that model.

    A row that has not the setting at all, such as a linear map a depth, is told apart by what it has instead.
    """
    values: dict[str, dict[str, set[str]]] = {}
    for row in rows:
        for name in SETTINGS if row.results else ():
            if row.setting(name) is not None:
                values.setdefault(row.model, {}).setdefault(name, set()).add(str(row.setting(name)))
    for row in rows:
        parts = [
            f"{SETTINGS[name]} {row.setting(name)}"
            for name, known in values.get(row.model, {}).items()
            if len(known) > 1 and row.setting(name) is not None
        ]
        row.label = ", ".join([row.model, *parts]) if row.results else row.place.name
    times = Counter(row.label for row in rows)
    for row in rows:
        if times[row.label] > 1:
            row.label = row.place.name


def _row_order(row: Row) -> tuple[Any, ...]:
    place = ORDER.index(row.model) if row.model in ORDER else len(ORDER) + (row.model in REFERENCES)
    depth, rate = row.setting("depth"), row.setting("learning_rate")
    return place, row.model, depth or 0, rate or 0.0, row.place.name


def _table_order(table: Table) -> tuple[Any, ...]:
    return (
        table.experiment,
        table.data,
        table.split != "test",
        table.split,
        table.train_size or 0,
        table.checkpoint,
        table.samples,
    )


def _nothing(folder: Path, notes: Sequence[str], missing: Mapping[Path, dict[int, str]]) -> str:
    text = f"{folder} holds no result.json. Give the folder of finished runs, such as runs/default, or wait for one."
    begun = sum(map(len, missing.values()))
    more = [f"{begun} runs there are begun and not finished."] if begun else []
    return " ".join([text, *more, *notes])
