"""A metrics.csv that survives resuming: whole or absent, rows past the resumed step dropped."""

import csv
import io
import os
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities import rank_zero_only

from lid_vae.errors import UserError
from lid_vae.log.metrics_file import read_metrics
from lid_vae.system.files import write_atomic

__all__ = ["CSVLogger"]


class CSVLogger(Logger):
    """One row for each step that logged something, one column for each metric, in ``<folder>/metrics.csv``."""

    name, version = "csv", ""

    def __init__(self, folder: str) -> None:
        super().__init__()
        self.path = Path(folder) / "metrics.csv"
        self.rows: dict[int, dict[str, float]] = {}
        self.resumed = not self.path.exists()
        self.changed = False

    def log_hyperparams(self, *_: Any, **__: Any) -> None:
        """The run's config.yaml holds them."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        step = step or 0
        if not self.resumed:
            self.rows = {old: row for old, row in self._read().items() if 0 <= old < step}
            self.resumed = True
        self.rows.setdefault(step, {}).update(metrics)
        self.changed = True

    @rank_zero_only
    def save(self) -> None:
        """Write the file anew, if there is anything new."""
        if not self.changed:
            return
        columns = ["step", *sorted({name for row in self.rows.values() for name in row} - {"epoch"})]
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows({"step": step, **row} for step, row in sorted(self.rows.items()))
        write_atomic(self.path, text.getvalue())
        self.changed = False

    @rank_zero_only
    def finalize(self, status: str) -> None:
        self.save()

    def _read(self) -> dict[int, dict[str, float]]:
        """What was logged before; of a damaged file nothing, and that is set aside."""
        try:
            return read_metrics(self.path)
        except UserError as error:
            aside = self.path.with_name("metrics.damaged.csv")
            os.replace(self.path, aside)
            print(f"{error} It was set aside as {aside.name}: the curves of this run begin here.", flush=True)
            return {}
