"""Tables from the result files of runs alone: mean (sd) over seeds, a row for each configuration, split and ruler."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from lid_vae.errors import UserError
from lid_vae.files import read_json

__all__ = ["Row", "collect", "markdown"]

COLUMNS: dict[str, Callable[[dict[str, Any]], float | None]] = {
    "AU": lambda result: result["latent"]["z"]["au"],
    "KL": lambda result: result["latent"]["z"]["kl"],
    "MI": lambda result: result["latent"]["z"].get("mi"),
    "LL": lambda result: result["ll"]["mean"],
    "ELBO": lambda result: result["elbo"],
    "accuracy": lambda result: result.get("accuracy"),
    "majority": lambda result: result.get("accuracy_majority"),
    "s": lambda result: result.get("seconds"),
}
DIGITS = {"LL": 3, "ELBO": 3, "KL": 3, "MI": 3, "s": 0}


@dataclass(frozen=True)
class Row:
    """One configuration measured in one way; ``values[column]`` has a number for each seed (None: not measured)."""

    name: str
    split: str
    samples: int
    seeds: tuple[int, ...]
    unfinished: tuple[str, ...]
    values: dict[str, tuple[float | None, ...]]


def collect(folders: Sequence[Path]) -> list[Row]:
    """Rows for all ``result.json`` and ``evaluation-*.json`` below the folders; seeds in order.

    Seed folders without a result are listed as unfinished in their configuration's rows.
    Raises ``UserError`` where a folder holds no result, or a result is damaged.
    """
    rows = []
    for folder in folders:
        groups: dict[tuple[Path, str, int], list[dict[str, Any]]] = {}
        for path in sorted([*folder.rglob("result.json"), *folder.rglob("evaluation-*.json")]):
            result = read_json(path)
            try:
                key = (path.parent.parent, str(result["split"]), int(result["ll"]["samples"]))
            except (KeyError, TypeError) as error:
                raise UserError(f"{path} is no result of a run: {error} is missing. Move it away.") from error
            groups.setdefault(key, []).append(result)
        if not groups:
            raise UserError(
                f"{folder} holds no result.json. Give the folder of finished runs, such as runs/default, "
                "or wait for one."
            )
        rows += [_row(place, split, samples, results) for (place, split, samples), results in groups.items()]
    return sorted(rows, key=lambda row: (row.name, row.split, row.samples))


def markdown(rows: Iterable[Row]) -> str:
    """A Markdown table: mean (sd) over seeds; nats, S importance samples."""
    rows = list(rows)
    lines = [
        "| run | split | S | seeds | " + " | ".join(COLUMNS) + " |",
        "|---|---|---:|---|" + "---:|" * len(COLUMNS),
    ]
    for row in rows:
        seeds = f"{len(row.seeds)}" + (f", unfinished: {', '.join(row.unfinished)}" if row.unfinished else "")
        cells = [_cell(values, DIGITS.get(column, 3)) for column, values in row.values.items()]
        lines.append(f"| {row.name} | {row.split} | {row.samples} | {seeds} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _row(place: Path, split: str, samples: int, results: list[dict[str, Any]]) -> Row:
    results = sorted(results, key=lambda result: result["seed"])
    unfinished = tuple(
        sorted(child.name for child in place.glob("seed-*") if child.is_dir() and not (child / "result.json").exists())
    )
    seeds = tuple(int(result["seed"]) for result in results)
    values = {column: tuple(read(result) for result in results) for column, read in COLUMNS.items()}
    return Row(place.name, split, samples, seeds, unfinished, values)


def _cell(values: tuple[float | None, ...], digits: int) -> str:
    known = [value for value in values if value is not None]
    if len(known) < len(values) or not known:
        return "-"
    if len(known) == 1:
        return f"{known[0]:.{digits}f}"
    return f"{mean(known):.{digits}f} ({stdev(known):.{digits}f})"
