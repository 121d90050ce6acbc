"""The ``metrics.csv`` of a run, as it is read."""

import csv
import io
from pathlib import Path

from lid_vae.errors import UserError
from lid_vae.system.files import explain_os_error, read_file

__all__ = ["read_metrics"]


def read_metrics(path: Path) -> dict[int, dict[str, float]]:
    """What was logged at each step, by name.

    Raises ``UserError`` for a file that cannot be read, or that is no table of numbers with a column ``step``.
    """
    try:
        rows = csv.DictReader(io.StringIO(read_file(path).decode(), newline=""), strict=True)
        return {
            int(row.pop("step")): {name: float(value) for name, value in row.items() if value}  # type: ignore[arg-type]
            for row in rows
        }
    except OSError as error:
        raise UserError(explain_os_error(error, path)) from error
    except (AttributeError, KeyError, TypeError, ValueError, csv.Error) as error:
        raise UserError(f"{path} is damaged, or was edited: it is no table of numbers with a column step.") from error
