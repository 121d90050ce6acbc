"""The results below a folder, sorted into tables; what is missing, failed or damaged keeps its place."""

import json
import os
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lid_vae.errors import UserError
from lid_vae.launch.manifest import expected_seeds
from lid_vae.report.study.configured import same_data
from lid_vae.report.study.naming import label
from lid_vae.report.study.study import REFERENCES, Row, Study, Table, say_missing
from lid_vae.result import check_result, read_result
from lid_vae.run.store import FAILURE
from lid_vae.system.files import read_file

__all__ = ["read"]

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
PASSED_OVER = {"checkpoints", "tensorboard", "wandb", "report"}
# Experiment, data, size of the training set, split, checkpoint, S.
Key = tuple[str, str, int | None, str, str, int]
_RESULT = re.compile(rf"result\.json|{re.escape(FAILURE)}|evaluation-.*\.json")
_SEED = re.compile(r"seed-(\d+)")


def read(folders: Sequence[Path]) -> Study:
    """Every ``result.json`` and ``evaluation-*.json`` below ``folders``.

    A damaged file, a failed and an unfinished run, and one that a sweep was to do, count as missing in their rows.
    Raises ``UserError`` for a folder that does not exist or holds no result.
    """
    found = _Found()
    for folder in folders:
        if not folder.is_dir():
            raise UserError(f"{folder} is no folder. Give the folder of finished runs, such as runs/table2_pinwheel.")
        notes, rows = len(found.notes), found.rows
        for path, names in _run_folders(folder):
            found.read_run(path, names)
        if found.rows == rows:
            raise UserError(_nothing(folder, found.notes[notes:], found.missing))
    found.expect(folders)
    tables = [Table(*key, list(rows.values())) for key, rows in found.groups.items()]
    _place_missing(tables, found.missing, found.notes)
    for table in tables:
        table.rows.sort(key=_row_order)
        label(table.rows)
    return Study(sorted(tables, key=_table_order), found.notes)


def _run_folders(folder: Path) -> list[tuple[Path, list[str]]]:
    found = []
    for place, below, names in os.walk(folder):
        # A forced run keeps the result that it will replace in seed-<n>.superseded.
        below[:] = sorted(d for d in below if d not in PASSED_OVER and not d.endswith(".superseded"))
        results = sorted(filter(_RESULT.fullmatch, names))
        if results or _SEED.fullmatch(os.path.basename(place)):
            found.append((Path(place), results))
    return found


@dataclass
class _Found:
    """What there is so far: rows by table and place, why a seed of a place is missing, and notes."""

    groups: dict[Key, dict[Path, Row]] = field(default_factory=dict)
    missing: dict[Path, dict[int, str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """How many."""
        return sum(map(len, self.groups.values()))

    def read_run(self, folder: Path, names: list[str]) -> None:
        """The results ``names`` of one run."""
        reason, finished = "unfinished", False
        # result.json last, so that it wins over an evaluation of the same checkpoint with the same ruler
        for name in sorted(names, key=lambda name: name == "result.json"):
            path = folder / name
            try:
                if name == FAILURE:
                    reason = f"failed: {check_result(json.loads(read_file(path)))['error']}"
                    continue
                result = read_result(path)
                key, seed = _key(result), int(result["seed"])
            except (OSError, ValueError, KeyError, RecursionError, TypeError) as error:
                why = f"has no {error}" if isinstance(error, KeyError) else "is half-written, edited or no result"
                self.notes.append(f"{path} {why}: counted as missing. Delete it and run the command again.")
                reason = f"{name} damaged" if name == "result.json" else reason
                continue
            rows = self.groups.setdefault(key, {})
            rows.setdefault(folder.parent, Row(folder.parent, str(result["model"]))).results[seed] = result
            finished = finished or name == "result.json"
        if not finished and (match := _SEED.fullmatch(folder.name)):
            self.missing.setdefault(folder.parent, {})[int(match[1])] = reason

    def expect(self, folders: Sequence[Path]) -> None:
        """Adds to ``missing`` the runs below ``folders`` that a sweep was to do and nobody has begun."""
        known: defaultdict[Path, set[int]] = defaultdict(set)
        for place, seeds in self.missing.items():
            known[place].update(seeds)
        for rows in self.groups.values():
            for place, row in rows.items():
                known[place].update(row.results)
        for experiment in dict.fromkeys(place.parent for place in list(known)):
            for name, expected in expected_seeds(experiment).items():
                place = experiment / name
                if any(folder == place or folder in place.parents for folder in folders):
                    for seed in sorted(expected - known[place]):
                        self.missing.setdefault(place, {})[seed] = "not run"


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
    """Into their rows; a configuration without any result gets a row in the table that its result would stand in."""
    for place, seeds in missing.items():
        homes = [row for table in tables for row in table.rows if row.place == place and row.trained]
        if not homes:
            model, data = [*place.name.split("-"), ""][:2]
            row = Row(place, model)
            row.model = str(row.setting("model") or model)
            experiment, data = row.setting("experiment") or place.parent.name, row.setting("data") or data
            tabled = [t for t in tables if (t.experiment, t.data) == (experiment, data)]
            fitting = [table for table in tabled if any(one.trained for one in table.rows) and _fits(row, table)]
            # Without a configuration nothing says in which of several.
            for table in fitting if row.config is not None or len(fitting) == 1 else []:
                if all(one.place != place for one in table.rows):
                    table.rows.append(replace(row, missing={}))
                homes += [one for one in table.rows if one.place == place]
        for row in homes:
            row.missing.update({seed: why for seed, why in seeds.items() if seed not in row.results})
        if not homes:
            notes.append(f"{place} holds no result: {'; '.join(say_missing(seeds))}.")


def _fits(row: Row, table: Table) -> bool:
    """Whether a row without results is of the same splits and S as a table's, as far as is known."""
    if row.config is None:
        return True
    if row.setting("samples") not in (None, table.samples):
        return False
    other = next((one.config for one in table.rows if one.config is not None), None)
    return other is None or same_data(row.config, other)


def _row_order(row: Row) -> tuple[Any, ...]:
    place = ORDER.index(row.model) if row.model in ORDER else len(ORDER) + (row.model in REFERENCES)
    depth, rate = row.setting("depth"), row.setting("learning_rate")
    return place, row.model, depth or 0, rate or 0.0, row.place.name


def _table_order(t: Table) -> tuple[Any, ...]:
    return t.experiment, t.data, t.split != "test", t.split, t.train_size or 0, t.checkpoint, t.samples


def _nothing(folder: Path, notes: Sequence[str], missing: Mapping[Path, dict[int, str]]) -> str:
    text = f"{folder} holds no result.json. Give the folder of finished runs, such as runs/default, or wait for one."
    begun = sum(map(len, missing.values()))
    more = [f"{begun} runs there are begun and not finished."] if begun else []
    return " ".join([text, *more, *notes])
