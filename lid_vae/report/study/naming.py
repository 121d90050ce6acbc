"""Rows by name: the model, and what tells it from the other rows of that model."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from lid_vae.report.study.configured import differences
from lid_vae.report.study.study import Row

__all__ = ["label"]

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
# Options that no result tells, where they have a shorter name.
OPTIONS = {"max_epochs": "epochs"}
# Of the model that is named after it, the value alone says enough to a reader.
OWN = {"beta_vae": "beta"}
# More of them would make no name.
MOST = 3


def label(rows: Sequence[Row]) -> None:
    """Names each row of a table: the model's name, with the settings in which it differs from other rows of that model.

    A row that has not the setting at all, such as a linear map a depth, is told apart by what it has instead. Rows that
    differ in nothing that a result tells are told apart by the options that they stored, and by their folders where
    they stored none. A row without results bears the name that its results would give it.
    """
    values: dict[str, dict[str, set[str]]] = {}
    for row in rows:
        for name in SETTINGS:
            if row.setting(name) is not None:
                values.setdefault(row.model, {}).setdefault(name, set()).add(str(row.setting(name)))
    alike: dict[str, list[Row]] = {}
    for row in rows:
        row.differs = [
            f"{SETTINGS[name]} {row.setting(name)}"
            for name, known in values.get(row.model, {}).items()
            if len(known) > 1 and row.setting(name) is not None
        ]
        row.label = ", ".join([row.model, *row.differs])
        alike.setdefault(row.label, []).append(row)
    for same in alike.values():
        _tell_apart(same)
    times = Counter(row.label for row in rows)
    for row in rows:
        if times[row.label] > 1:
            _name_by_folder(row)


def _tell_apart(rows: Sequence[Row]) -> None:
    """Adds to a label that several rows bear; of which less is known than of others, it becomes the folder's name."""
    if len(rows) == 1:
        return
    known = [row for row in rows if row.results or row.config is not None]
    for row in rows:
        if row not in known:
            _name_by_folder(row)
    configured = [row for row in known if row.config is not None] if len(known) > 1 else []
    for row, options in zip(configured, _few(differences([row.config or {} for row in configured])), strict=True):
        if len(options) > MOST:
            _name_by_folder(row)
            continue
        parts = {key: f"{OPTIONS.get(key, key)} {'null' if value is None else value}" for key, value in options.items()}
        row.label = ", ".join([row.label, *parts.values()])
        own = OWN.get(row.model)
        row.differs += [str(options[key]) if key == own else part for key, part in parts.items()]


def _few(told: Sequence[dict[str, Any]]) -> Sequence[dict[str, Any]]:
    """``told``, the same options of each row; where they are too many, only those in which a row leaves most others.

    So a screen that changes one thing at a time names what each run changed, and the run that changed nothing is bare.
    """
    if not told or len(told[0]) <= MOST:
        return told
    usual = {}
    for key in told[0]:
        value, times = Counter(str(options[key]) for options in told).most_common(1)[0]
        if 2 * times > len(told):
            usual[key] = value
    return [{key: value for key, value in options.items() if str(value) != usual.get(key)} for options in told]


def _name_by_folder(row: Row) -> None:
    row.label = row.place.name
    row.differs = [row.place.name]
