"""Chunks of a sweep as jobs of a Slurm cluster, or of this machine in the same way, by submitit."""

import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from lid_vae.errors import UserError
from lid_vae.launch.chunk import Chunk, Outcomes, lost, with_threads
from lid_vae.system.invocation import command

__all__ = ["run_submitit"]


def run_submitit(
    chunks: list[Chunk],
    cluster: Literal["slurm", "local"],
    folder: str | None,
    threads: int | None,
    requeues: int,
    options: Mapping[str, Any],
) -> Outcomes:
    """The outcomes of ``chunks``, each a job of ``cluster``, started by submitit's executor with these ``options``.

    ``requeues``: how often a job that ran out of time is put back. ``threads``: of each job's arithmetic.

    ``folder`` is for submitit's files (None: below ``paths.runs``); on a cluster it and the runs must be on a share.
    Leaving this process does not end the jobs.
    """
    try:
        import submitit
    except ImportError as error:
        raise UserError(
            f"hydra/launcher=submitit_{cluster} needs submitit. Install it: pip install 'lid_vae[sweep]'."
        ) from error

    # It remarks, at every look, on clusters without accounting.
    logging.getLogger("submitit").setLevel(logging.ERROR)
    place = Path(folder or chunks[0].plan.root / ".submitit").absolute()
    try:
        executor = submitit.AutoExecutor(folder=place / "%j", cluster=cluster, **_limits(cluster, requeues))
        executor.update_parameters(**{name: value for name, value in options.items() if value is not None})
    except (RuntimeError, ValueError, TypeError, NameError) as error:
        raise UserError(f"submitit refuses: {error} Correct the options under hydra.launcher.") from error
    with executor.batch():
        jobs = [executor.submit(chunk) for chunk in with_threads(chunks, threads)]
    names = ", ".join(dict.fromkeys(str(job.job_id).partition("_")[0] for job in jobs))
    print(f"{len(jobs)} jobs submitted ({names}); their output is in {place}/.", flush=True)
    outcomes: Outcomes = {}
    try:
        for job, chunk in zip(jobs, chunks, strict=True):
            try:
                outcomes |= job.result()
            except (submitit.core.utils.FailedJobError, submitit.core.utils.UncompletedJobError) as error:
                outcomes |= lost(chunk, f"Job {job.job_id} was lost: {_reason(error)}; its output is in {place}/.")
    except KeyboardInterrupt:
        print(
            f"The jobs go on ({names}). {command('status')} {chunks[0].plan.root} tells how far they are.",
            file=sys.stderr,
        )
        raise
    return outcomes


def _limits(cluster: str, requeues: int) -> dict[str, Any]:
    return {"slurm_max_num_timeout": requeues} if cluster == "slurm" else {}


def _reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return next((line for line in reversed(lines) if not line.startswith(("|", "-", "You", "Note"))), "no reason given")
