"""Run every job of a sweep: a failed one is reported at the end and never hides the others."""

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby

from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher

from lid_vae.errors import UserError
from lid_vae.sweep import seed_range

__all__ = ["RunFailed", "SweepFailed", "distinct_but_for_seed", "launch_all", "parameters"]


class RunFailed(Exception):
    """One job of a sweep failed and has told why; carries the first line of its error across processes."""


class SweepFailed(UserError):
    """Some jobs of a sweep failed: the list of them."""


def parameters(params: Mapping[str, object] | None) -> list[str]:
    """The overrides for ``hydra.sweeper.params``, in which ``seed`` may be a range such as ``0-9``."""
    overrides = []
    for key, value in (params or {}).items():
        text = str(value)
        if key == "seed" and seed_range.is_seed_range(text):
            text = seed_range.sweep_text(seed_range.parse(text))
        overrides.append(f"{key}={text}")
    return overrides


def distinct_but_for_seed(jobs: Sequence[Sequence[str]]) -> list[list[str]]:
    """One job for each set of overrides that differ in more than their seed: composing those checks them all."""
    first: dict[tuple[str, ...], list[str]] = {}
    for job in jobs:
        first.setdefault(tuple(part for part in job if not part.startswith("seed=")), list(job))
    return list(first.values())


def launch_all(
    launcher: Launcher,
    batches: Sequence[Sequence[Sequence[str]]],
    check: Callable[[list[list[str]]], None],
    record: Callable[[Sequence[Sequence[str]]], None] = lambda jobs: None,
    finish: Callable[[], None] | None = None,
) -> list[Sequence[JobReturn]]:
    """Check every batch, ``record`` all jobs, launch every batch, call ``finish``, then raise ``SweepFailed`` if any
    failed.
    """
    for batch in batches:
        check(distinct_but_for_seed(batch))
    record([job for batch in batches for job in batch])
    results: list[Sequence[JobReturn]] = []
    done = 0
    for batch in batches:
        results.append(launcher.launch(batch, initial_job_idx=done))
        done += len(batch)
    if finish is not None:
        finish()
    failed = [result for batch_results in results for result in batch_results if result.status is JobStatus.FAILED]
    if failed:
        rest = "" if len(failed) == done else "; the others are finished"
        raise SweepFailed("\n".join([f"{len(failed)} of {done} runs failed{rest}:", *_list_failures(failed)]))
    return results


def _list_failures(failed: Sequence[JobReturn]) -> list[str]:
    """A line for each; neighbours that failed alike share what there is to say, after the last of them."""
    lines = []
    # The public `return_value` would raise at the first failure and print over the list.
    for reason, alike in groupby(failed, key=lambda result: _first_line(result._return_value)):
        jobs = [f"  {' '.join(result.overrides or ())}" for result in alike]
        lines += [*jobs[:-1], f"{jobs[-1]}: {reason}"]
    return lines


def _first_line(error: BaseException) -> str:
    text = str(error) if isinstance(error, RunFailed) else f"{type(error).__name__}: {error}"
    return text.strip().split("\n")[0]
