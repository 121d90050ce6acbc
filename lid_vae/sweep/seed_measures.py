"""The end of several seeds: measured together where that pays, each closed by itself."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from lid_vae.data.base import DataModule, Part
from lid_vae.module.loggers import finish_loggers, finished_on_error
from lid_vae.run.fit import Run
from lid_vae.run.record import evaluate_split, split_evaluator
from lid_vae.sweep.seed_trainer import Member
from lid_vae.train.seed_looks import SeedLooks, seeds_at_once
from lid_vae.train.stack import Stack
from lid_vae.train.stopwatch import Stopwatch
from lid_vae.train.vae_module import VAEModule

__all__ = ["Outcome", "evaluate_seeds", "finish_seeds"]

Outcome = float | Exception
"""The validation bound of a run in nats per example, or why it failed."""
Measures = dict[str, Any] | Exception
"""What ``evaluate_split`` returns, or why it could not."""

PARTS: tuple[Part, ...] = ("test", "valid")


def evaluate_seeds(modules: Sequence[VAEModule], data: DataModule, split: Part, samples: int) -> list[Measures]:
    """``evaluate_split`` of each module, in their order; an error of one is its own."""
    errors: dict[int, Exception] = {}

    def attempt(place: int, job: Callable[[], dict[str, Any] | None]) -> dict[str, Any]:
        try:
            return {} if place in errors else job() or {}
        except Exception as error:
            errors[place] = error
            return {}

    if len(modules) == 1 or not _alike(modules):
        jobs = [partial(evaluate_split, module, data, split, samples) for module in modules]
        measures = [attempt(place, job) for place, job in enumerate(jobs)]
    else:
        evaluators = [split_evaluator(module, data, samples) for module in modules]
        SeedLooks(Stack(modules), dict(enumerate(evaluators)))
        for batch in data.batches(split):
            for place, evaluator in enumerate(evaluators):
                attempt(place, partial(evaluator.update, batch.x, batch.y))
        measures = [{"split": split, **attempt(place, evaluator.compute)} for place, evaluator in enumerate(evaluators)]
    return [errors.get(place, found) for place, found in enumerate(measures)]


def finish_seeds(runs: Sequence[Run], members: Sequence[Member], data: DataModule) -> Iterator[tuple[int, Outcome]]:
    """Measures the best checkpoint of every seed and closes its run: the place of each, as it ends, with its outcome.

    Seeds share the computation where that pays. What is wrong with one is its own.
    """
    yield from ((place, member.error) for place, member in enumerate(members) if member.error is not None)
    left = [place for place, member in enumerate(members) if member.error is None]
    size = _measured_together([members[place].module for place in left], data, runs[0].cfg.samples) if left else 1
    for start in range(0, len(left), size):
        group = left[start : start + size]
        errors = {place: _restore(runs[place], members[place].module) for place in group}
        whole = [place for place in group if errors[place] is None]
        modules = [members[place].module for place in whole]
        measures: dict[Part, dict[int, Measures]] = {
            split: dict(zip(whole, evaluate_seeds(modules, data, split, runs[0].cfg.samples), strict=True))
            for split in PARTS
        }
        for place in group:
            own = [errors[place] or measures[split][place] for split in PARTS]
            yield place, _finish(runs[place], members[place], data, own, len(runs))


def _finish(run: Run, member: Member, data: DataModule, measures: Sequence[Measures], together: int) -> Outcome:
    """``measures``: of each of ``PARTS``."""
    loggers = member.trainer.loggers
    (stopwatch,) = (callback for callback in member.trainer.callbacks if isinstance(callback, Stopwatch))
    try:
        with finished_on_error(loggers):
            test, valid = (_raised(found) for found in measures)
            done = run.record(member.module, data, test | {"validation": valid}, stopwatch, together)
        finish_loggers(loggers, *done)
        return run.close(done)
    except Exception as error:
        return error


def _raised(measures: Measures) -> dict[str, Any]:
    if isinstance(measures, Exception):
        raise measures
    return measures


def _restore(run: Run, module: VAEModule) -> Exception | None:
    try:
        run.restore_best(module, module.device)
    except Exception as error:
        return error
    return None


def _measured_together(modules: Sequence[VAEModule], data: DataModule, samples: int) -> int:
    """As many as look at a batch together; on a processor each alone.

    There one seed's draws keep all units busy (several together took 1.0 to 1.25 times as long), and alone they are,
    bit for bit, what ``evaluate.py`` will find.
    """
    if modules[0].device.type == "cpu":
        return 1
    batch = next(iter(data.batches("test")))
    return seeds_at_once(split_evaluator(modules[0], data, samples).ruler, modules[0].vae, batch.x)


def _alike(modules: Sequence[VAEModule]) -> bool:
    """Whether one rule finds q for all: where it follows the objective, an annealed one may not stand alike."""
    states = [
        {name: value for name, value in vars(module.objective).items() if isinstance(value, int | float)}
        for module in modules
    ]
    return not modules[0].inference.needs_gradient or all(state == states[0] for state in states)
