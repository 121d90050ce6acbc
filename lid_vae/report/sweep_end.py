"""What a sweep ends with: the runs that it was of, or of a table the report on its folder."""

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from lid_vae.errors import UserError
from lid_vae.launch.manifest import Found
from lid_vae.log.offline import sync_command
from lid_vae.system.invocation import command

__all__ = ["SweepEnd", "print_runs"]


@dataclass(frozen=True)
class SweepEnd:
    """Called by the sweeper when all jobs have ended: the table of an experiment, printed and written below its folder.

    ``experiment_name`` takes the place of ``experiment`` where it is given, as in the folders of runs.
    """

    runs: str
    experiment: str
    experiment_name: str | None = None

    def __call__(self) -> None:
        from lid_vae.report.build import build  # a sweep does not wait for it to begin

        folder = Path(self.runs) / (self.experiment_name or self.experiment)
        try:
            build([folder])
        except UserError as error:
            print(f"No table: {error}", file=sys.stderr)
        send = sync_command(folder.glob("*/seed-*"))
        if send:
            print(f"wandb       {send}")


def print_runs(found: Found) -> None:
    """Prints the runs of a sweep, ``found`` by their folders: a row a seed, their mean, the folder, and what to type.

    Of a single run it says nothing, which has said all itself.
    """
    if sum(len(seeds) for runs in found.values() for seeds in runs.values()) < 2:
        return
    from lid_vae.report.numbers.analysis import analyse
    from lid_vae.report.output.seeds import render_seeds
    from lid_vae.report.output.terminal import Terminal
    from lid_vae.report.study.results import read

    wanted = {folder / name: seeds for folder, runs in found.items() for name, seeds in runs.items()}
    try:
        study = read([place for place in wanted if any(place.glob("seed-*/result.json"))])
    except UserError as error:
        print(f"No table: {error}", file=sys.stderr)
        return
    for table in study.tables:
        table.rows = [row for row in table.rows if row.trained]
        for row in table.rows:
            row.results = {seed: one for seed, one in row.results.items() if seed in wanted[row.place]}
            row.missing = {seed: why for seed, why in row.missing.items() if seed in wanted[row.place]}
        table.rows = [row for row in table.rows if row.results]
    study.tables = [table for table in study.tables if table.rows]
    if not study.tables:
        return  # all have failed, which is told
    console = Terminal()
    console.print(render_seeds(analyse(study), console.width))
    folders = " ".join(shlex.quote(str(folder)) for folder in found)
    lines = [*(f"runs        {folder}" for folder in found), f"report      {command('report')} {folders}"]
    send = sync_command(
        folder / name / f"seed-{seed}"
        for folder, runs in found.items()
        for name, seeds in runs.items()
        for seed in seeds
    )
    lines += [f"wandb       {send}"] if send else []
    console.print("\n" + "\n".join(lines), markup=False, highlight=False, soft_wrap=True)
