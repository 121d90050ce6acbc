"""The end of a run: its members measured, together where that pays, each recorded and closed by itself."""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import torch

from lid_vae.data.base import DataModule, Part
from lid_vae.data.text.text_data_module import TextDataModule
from lid_vae.log.beforehand import long_evaluation
from lid_vae.log.loggers import finish_loggers
from lid_vae.log.offline import sync_command
from lid_vae.measure import Measure
from lid_vae.run.build import build_measures
from lid_vae.run.plan import MemberPlan, RunPlan
from lid_vae.run.record import (
    apart,
    describe_run,
    evaluate_split,
    seed_summary,
    split_evaluator,
    summary,
    watched_batches,
)
from lid_vae.shown import numbers_of
from lid_vae.system.checkpoint import load_checkpoint
from lid_vae.system.files import write_atomic, write_json_atomic
from lid_vae.system.phases import phase
from lid_vae.text.measures import text_measures
from lid_vae.text.texts import Texts, take_texts
from lid_vae.train.hooks.stopwatch import Elapsed
from lid_vae.train.member import Member
from lid_vae.train.step.seed_measures import SeedMeasures, seeds_at_once
from lid_vae.train.step.stack import Stack
from lid_vae.train.vae_module import VAEModule

__all__ = ["Outcome", "evaluate_together", "finish", "measure", "superseded_by"]

Outcome = float | Exception
"""The validation bound of a run in nats per example, or why it failed."""
Measures = dict[str, Any] | Exception
"""What ``evaluate_split`` returns, or why it could not."""

PARTS: tuple[Part, ...] = ("test", "valid")
PICTURE = "latents.png"
SENTENCES = 5
"""Reconstructions in the picture of a model of text."""


def measure(plan: RunPlan, members: Sequence[Member], data: DataModule) -> Iterator[tuple[int, Measures]]:
    """Measures the best checkpoint of all ``members``, which their modules then are: the place of each, as it is ready.

    They are measured on ``data``, by as many samples as ``plan`` says.

    Those of the test split, and within them of the validation split. What is wrong with one is its own.
    """
    from lid_vae.picture.page import begin_run  # matplotlib takes a second to import

    yield from ((place, member.error) for place, member in enumerate(members) if member.error is not None)
    left = [place for place, member in enumerate(members) if member.error is None]
    further = build_measures(plan.measures)
    size = _measured_together([members[place].module for place in left], data, plan.samples) if left else 1
    for start in range(0, len(left), size):
        group = left[start : start + size]
        errors = {place: _restore(plan.members[place].best, members[place].module) for place in group}
        whole = [place for place in group if errors[place] is None]
        modules = [members[place].module for place in whole]
        rounds = -(-len(left) // size)
        said = long_evaluation(data, PARTS, plan.samples, rounds, "test_size" in plan.data) if start == 0 else None
        found: dict[Part, dict[int, Measures]] = {}
        for split in PARTS:
            measures = evaluate_together(modules, data, split, plan.samples, further, said)
            found[split], said = dict(zip(whole, measures, strict=True)), None
        results: dict[int, Measures] = {}
        for place in group:
            test, valid = (errors[place] or found[split][place] for split in PARTS)
            failed = next((part for part in (test, valid) if isinstance(part, Exception)), None)
            results[place] = failed or {**test, "validation": valid}  # type: ignore[dict-item]
        for place in group if len(group) > 1 else ():  # all at once, as they were measured
            with suppress(Exception):  # which is raised where its member is recorded
                path, result = plan.members[place].folder / PICTURE, results[place]
                members[place].picture = begin_run(members[place].module, data, path, result, plan.vector_pictures)
        yield from results.items()


def finish(
    plan: RunPlan, own: MemberPlan, member: Member, data: DataModule, measures: Measures, devices: int
) -> Outcome:
    """Records one member whose module is its best checkpoint, and closes its loggers; what came of it.

    ``own`` is the plan of this ``member`` of ``plan``; ``measures`` are those of ``data``, or why there are none;
    ``devices`` is how many trained it.
    """
    try:
        if isinstance(measures, Exception):
            raise measures
        result, picture, texts = _record(plan, own, member, data, measures, devices)
        finish_loggers(member.loggers, result, picture, texts, numbers_of(plan.measures))
    except Exception as error:
        finish_loggers(member.loggers, None)
        return error
    superseded = superseded_by(own.folder)
    if superseded.exists():
        shutil.rmtree(superseded)
    if len(plan.members) > 1:  # where all of them are was said before, and the rest comes after the last
        print(seed_summary(result), flush=True)
    else:
        send = sync_command([own.folder])
        said = f"texts       {own.texts}\n" if texts is not None else ""
        said += f"wandb       {send}\n" if send else ""
        said += f"checkpoint  {own.best}\n{summary(result)}"
        print(f"result      {own.result}\npicture     {picture}\n{said}", flush=True)
    return float(result["validation"]["elbo"])


def evaluate_together(
    modules: Sequence[VAEModule],
    data: DataModule,
    split: Part,
    samples: int,
    further: Mapping[str, Measure] | None = None,
    notice: Callable[[float], str | None] | None = None,
) -> list[Measures]:
    """``evaluate_split`` of each of ``modules``, in their order; an error of one is its own.

    The ``split`` of ``data``, S = ``samples`` and ``further`` measures are the same for all; ``notice`` is that of
    ``watched``, for the first of them.
    """
    errors: dict[int, Exception] = {}

    def attempt(place: int, job: Callable[[], dict[str, Any] | None]) -> dict[str, Any]:
        try:
            return {} if place in errors else job() or {}
        except Exception as error:
            errors[place] = error
            return {}

    if len(modules) == 1 or not _alike(modules):
        notices = [notice, *[None] * len(modules)]
        jobs = [
            partial(evaluate_split, module, data, split, samples, further, None, own)
            for module, own in zip(modules, notices, strict=False)
        ]
        measures = [attempt(place, job) for place, job in enumerate(jobs)]
    else:
        evaluators = [split_evaluator(module, data, samples, further=further) for module in modules]
        SeedMeasures(Stack(modules), dict(enumerate(evaluators)))
        for batch in watched_batches(data, split, notice=notice):
            for place, evaluator in enumerate(evaluators):
                attempt(place, partial(evaluator.update, batch.x, batch.y))
        measures = [{"split": split, **attempt(place, evaluator.compute)} for place, evaluator in enumerate(evaluators)]
        for place, module in enumerate(modules):
            measures[place] |= attempt(place, partial(apart, module, data, split, samples, further))
    return [errors.get(place, found) for place, found in enumerate(measures)]


def superseded_by(folder: Path) -> Path:
    """Where a finished run waits until the forced one in ``folder`` is finished too."""
    return folder.with_name(folder.name + ".superseded")


def _record(
    plan: RunPlan, own: MemberPlan, member: Member, data: DataModule, measures: dict[str, Any], devices: int
) -> tuple[dict[str, Any], Path, Texts | None]:
    """Draws the picture of the best checkpoint, writes ``result.json``, and of text ``texts.txt``."""
    module = member.module
    (elapsed,) = (hook for hook in member.hooks if isinstance(hook, Elapsed))
    result = describe_run(plan.labels, own.seed, plan.digest, module, data)
    result |= {"steps": module.step, "seconds": round(elapsed.seconds(), 1), "seeds_together": len(plan.members)}
    result |= {"seconds_per_step": elapsed.seconds_per_step(), "devices": devices, **measures}
    texts = None
    if isinstance(data, TextDataModule):
        with phase("decoding sentences"):
            result["text"] = text_measures(module, data, "test")
            texts = take_texts(module, data, "test")
        write_atomic(own.texts, texts.page())
    picture = _draw(plan, own, member, data, result, texts)
    write_json_atomic(own.result, result)
    return result, picture, texts


def _draw(
    plan: RunPlan,
    own: MemberPlan,
    member: Member,
    data: DataModule,
    result: Mapping[str, Any],
    texts: Texts | None,
) -> Path:
    from lid_vae.picture.page import draw_run, note_of

    with phase("drawing"):
        if member.picture is not None:
            return member.picture()
        sentences = [] if texts is None else texts.marked(SENTENCES)
        path = own.folder / PICTURE
        return draw_run(member.module, data, path, note_of(result), sentences, plan.vector_pictures)


def _restore(best: Path, module: VAEModule) -> Exception | None:
    """The weights of the best checkpoint, in single precision, whatever training computed in."""
    try:
        module.restore(load_checkpoint(best))
        module.to(module.device, torch.get_default_dtype())
    except Exception as error:
        return error
    return None


def _measured_together(modules: Sequence[VAEModule], data: DataModule, samples: int) -> int:
    """As many as measure a batch together; on a processor each alone.

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
