"""What a table's sweep ends with: the report on its folder."""

import sys
from dataclasses import dataclass
from pathlib import Path

from lid_vae.errors import UserError
from lid_vae.report.build import build

__all__ = ["SweepEnd"]


@dataclass(frozen=True)
class SweepEnd:
    """Called by the sweeper when all jobs have ended: the table of an experiment, printed and written below its folder.

    ``experiment_name`` takes the place of ``experiment`` where it is given, as in the folders of runs.
    """

    runs: str
    experiment: str
    experiment_name: str | None = None

    def __call__(self) -> None:
        folder = Path(self.runs) / (self.experiment_name or self.experiment)
        try:
            build([folder])
        except UserError as error:
            print(f"No table: {error}", file=sys.stderr)
