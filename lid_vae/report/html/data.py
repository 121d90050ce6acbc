"""What the page's script works on: the numbers of every run, and where the runs are."""

import json
import os
from collections.abc import Sequence
from math import isfinite
from pathlib import Path
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from lid_vae.report.html.charts import Chart
from lid_vae.report.numbers.analysis import Analysed
from lid_vae.report.numbers.collapse import states
from lid_vae.report.numbers.measures import seconds
from lid_vae.report.output.wording import MARKS
from lid_vae.report.study.study import Row

__all__ = ["address", "as_script", "numbers"]


def numbers(item: Analysed, drawn: Sequence[Chart]) -> dict[str, Any]:
    """Of the table ``item`` its measures and every run's numbers, as ``result.json`` has them; the curves ``drawn``."""
    table = item.table
    return {
        "place": [table.experiment, table.data, table.split, table.samples],
        "measures": [{"key": m.key, "digits": m.digits, "least": m.least} for m in item.measures],
        "marks": MARKS,
        "rows": [_row(item, line.row) for line in item.lines],
        "charts": [chart.data for chart in drawn],
    }


def _row(item: Analysed, row: Row) -> dict[str, Any]:
    runs = {}
    for seed, result in sorted(row.results.items()):
        found = states(result) if not item.table.is_search else {}
        runs[str(seed)] = {
            "values": [_finite(measure.read(result)) for measure in item.measures],
            "states": {key: state for key, state in found.items() if state is not None},
            "seconds": _finite(seconds(result)),
        }
    missing = {str(seed): why for seed, why in sorted(row.missing.items())}
    return {"label": row.label, "expected": len(row.expected), "runs": runs, "missing": missing}


def _finite(value: float | None) -> float | None:
    """JSON has no other numbers."""
    return value if value is None or isfinite(value) else None


def as_script(value: Any) -> Markup:
    """``value`` as JSON that can stand inside a script element, whatever its texts are."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def address(path: Path, folder: Path) -> str:
    """The relative address of ``path`` for a page in ``folder``."""
    return quote(Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix(), errors="surrogateescape")
