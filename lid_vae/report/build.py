"""The report on folders of runs: a terminal's tables and files with the same in other forms."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from lid_vae.picture.drawing import pdf, png, styled, svg
from lid_vae.report.html.page import PICTURED, Drawn, page
from lid_vae.report.numbers.analysis import Analysed, analyse
from lid_vae.report.numbers.curves import read_curves
from lid_vae.report.output.latex import latex
from lid_vae.report.output.pictures import figures
from lid_vae.report.output.table import markdown, rows_csv, runs_csv
from lid_vae.report.output.terminal import Terminal, print_tables
from lid_vae.report.study.results import read
from lid_vae.report.study.study import Study
from lid_vae.system.files import write_atomic
from lid_vae.system.machine_habits import unswept

__all__ = ["build"]


def build(
    folders: Sequence[Path],
    output: Path | None = None,
    console: Console | None = None,
    margin: float | None = None,
    detail: bool = False,
) -> list[Path]:
    """Print the tables of all results below ``folders``, write ``report.md``, ``.tex``, ``.html`` and two CSV files.

    Args:
        folders: of finished runs.
        output: where the files go; None for ``<folder>/report`` where there is one folder, else ``report``.
        console: where the tables are printed; None for standard output.
        margin: within which two LL count as equivalent, nats; None: nothing is said of that.
        detail: whether the terminal, Markdown and LaTeX show all measures with intervals, tests, times and the paper's
            values, or the means and deviations of a few; the page and the CSV files have all in either case.

    Returns:
        The files' names.

    Raises:
        UserError: where a folder holds no result, or the files cannot be written (the tables are printed before).
    """
    with unswept():
        study = read(folders)
        items = analyse(study, margin)
        return _written(folders, study, items, output, Terminal() if console is None else console, detail)


def _written(
    folders: Sequence[Path], study: Study, items: list[Analysed], output: Path | None, console: Console, detail: bool
) -> list[Path]:
    print_tables(items, console, detail)
    for note in study.notes:
        console.print(note, markup=False, highlight=False)
    if output is None:
        output = folders[0] / "report" if len(folders) == 1 else Path("report")
    title = "Report on " + ", ".join(folder.name for folder in folders)
    notes = "".join(f"- {note}\n" for note in study.notes)
    drawn: list[Drawn] = []
    pictured: dict[str, bytes] = {}
    for item in items[:PICTURED]:
        curves = read_curves(item)
        with styled():
            shown = figures(item, curves)
        drawn.append(Drawn({name: png(figure) for name, figure in shown.items()}, curves))
        for name, figure in shown.items():
            figure.set_layout_engine("none")  # found once
            stem = f"{name}-{item.table.experiment}-{item.table.data}-{item.table.samples}"
            pictured |= {f"{stem}.png": drawn[-1].figures[name], f"{stem}.svg": svg(figure), f"{stem}.pdf": pdf(figure)}
    files: dict[str, str | bytes] = {
        "report.md": f"# {title}\n\n" + (f"{notes}\n" if notes else "") + markdown(items, detail),
        "report.tex": latex(items, detail),
        "rows.csv": rows_csv(items),
        "runs.csv": runs_csv(items),
        "report.html": page(title, items, study.notes, drawn, output),
        **pictured,
    }
    for name, content in files.items():
        write_atomic(output / name, content)
    paths = [output / name for name in files]
    console.print("\n".join(map(str, paths)), markup=False, highlight=False, soft_wrap=True)
    return paths
