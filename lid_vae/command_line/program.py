"""The main function of train.py and evaluate.py, which the console program calls too."""

import importlib
import os
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import nan
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import ConfigCompositionException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from lid_vae import __version__
from lid_vae.command_line.arguments import check_flags, in_todays_words, is_multirun, rewrite, split
from lid_vae.command_line.explain import explain
from lid_vae.command_line.help import laid_out, register_resolvers
from lid_vae.command_line.mistake import find_mistake, find_odd_value
from lid_vae.errors import UserError
from lid_vae.launch.manifest import lost_sweep
from lid_vae.launch.sweeper import RunFailed
from lid_vae.run.plan import plan_run
from lid_vae.run.store import CONF, FAILURE, Presets, finished_bound
from lid_vae.system.files import write_json_atomic
from lid_vae.system.interruption import Stopped
from lid_vae.system.invocation import prefix, typed_command
from lid_vae.system.lock import LeftAlone
from lid_vae.system.machine_habits import spin_briefly, unswept
from lid_vae.system.phases import opening, phase

__all__ = ["Job", "main"]

WORK = {"train": "lid_vae.run.fit", "evaluate": "lid_vae.run.evaluation"}
_FULL_ERROR = "HYDRA_FULL_ERROR"


def main(kind: Literal["train", "evaluate"], argv: Sequence[str] | None = None, conf: Path = CONF) -> None:
    """Compose ``conf/<kind>.yaml`` with the command line and call ``<kind>(cfg)`` of the experiment for each job.

    ``argv`` begins with the program's name; None: the command line. Exit status: 0; 1 after an error, told in a
    paragraph, or after a sweep in which a run failed; 130 after Ctrl-C, 143 after SIGTERM, and 128 more than their
    number after other signals.
    """
    register_resolvers()
    typed = tuple(sys.argv if argv is None else argv)
    job = Job(kind, typed, os.environ.get(_FULL_ERROR))
    arguments: list[str] = []
    try:
        words, remarks = in_todays_words(typed[1:])
        for remark in remarks:
            opening.close()
            print(f"{prefix(kind)}: {remark}", file=sys.stderr)
        arguments = rewrite(words)
        check_flags(arguments)
        # Hydra prints errors in its own way and exits, unless asked for the full error; then it raises.
        with opening, _process_state((typed[0], *arguments), "1"), laid_out(arguments):
            hydra.main(version_base="1.3", config_path=str(conf), config_name=kind)(job)()
            sys.stdout.flush()  # where a reader has gone, this is the place to notice it
    except KeyboardInterrupt:
        print(f"{prefix(kind)}: interrupted{_how_to_go_on(kind, arguments)}.", file=sys.stderr, flush=True)
        raise SystemExit(130) from None
    except Stopped as stopped:
        print(f"{prefix(kind)}: {stopped}{_how_to_go_on(kind, arguments)}.", file=sys.stderr, flush=True)
        raise SystemExit(stopped.status) from None
    except BrokenPipeError:
        # The reader of --help | head has gone. Python would complain once more when it closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
    except Exception as error:
        if job.full_error == "1":
            raise
        text = None
        no_choice = type(error) is ValueError and str(error).startswith("Config group override")  # Hydra's own
        if no_choice or isinstance(error, ConfigCompositionException | OverrideParseException):
            text = find_mistake(kind, conf, arguments)
        text = text or explain(error, kind)
        if text is None:
            raise
        _print_paragraph(kind, text)
        raise SystemExit(1) from None


@dataclass(frozen=True)
class Job:
    """One run, called by Hydra in this process or, planned here and pickled, in another one.

    ``kind`` is the program, train or evaluate. While it runs, ``sys.argv`` and the environment are what the user gave,
    in every process: ``argv``, and ``full_error`` in HYDRA_FULL_ERROR (None: not set).
    """

    kind: str
    argv: tuple[str, ...]
    full_error: str | None

    def __call__(self, cfg: DictConfig) -> float | None:
        node = HydraConfig.get()
        sweep = node.mode is RunMode.MULTIRUN
        if not sweep:
            self._mention_unused_sweep(node)
        try:
            return self.carry_out(self._plan(cfg, node), sweep)
        except RunFailed:
            if sweep:
                raise
            # Past Hydra, which would add lines of its own.
            raise SystemExit(1) from None

    def plan(self, cfg: DictConfig) -> Any:
        """The plan of ``cfg``, the composed configuration of a job of a sweep; raises ``RunFailed`` having told why."""
        return self._plan(cfg, cfg.hydra)

    def finished(self, plan: Any) -> float | None:
        """The value of the job of a ``plan`` of which nothing is left to do, having said so; None of any other."""
        if self.kind != "train" or plan.force:
            return None
        try:
            bounds = [finished_bound(member.folder, plan.digest) for member in plan.members]
        except UserError:
            return None  # which the job says
        found = [bound for bound in bounds if bound is not None]
        if len(found) < len(bounds):
            return None
        for member in plan.members:
            print(f"Finished before: {member.folder} (force=true does it again)", flush=True)
        return fmean(found)

    def carry_out(self, plan: Any, sweep: bool) -> float | None:
        """The value of the job of a ``plan``: of seeds the mean of their values. Raises ``RunFailed`` having told why.

        ``sweep``: whether it is one of several; then a failure is recorded beside the run, and another's run left
        alone.
        """
        opening.close()
        if self.kind == "train":
            print(plan.headline(), flush=True)
        work = self._work()
        with self._telling(plan.overrides, plan.options):
            if self.kind == "evaluate":
                value: float | None = work.evaluate(plan)
                return value
            try:
                outcomes = work.train(plan)
            except Exception as error:
                outcomes = {member.seed: error for member in plan.members}
            return self._conclude(plan, outcomes, sweep)

    def _work(self) -> Any:
        """What this program does. Imported here, so that --help, --cfg and the first line do not wait for torch."""
        spin_briefly()
        for module, words in (("torch", "PyTorch"), ("pytorch_lightning", "Lightning"), (WORK[self.kind], "lid_vae")):
            if module not in sys.modules:
                with phase(f"loading {words}"), unswept():
                    importlib.import_module(module)
        return sys.modules[WORK[self.kind]]

    def _conclude(self, plan: Any, outcomes: Mapping[int, float | Exception], sweep: bool) -> float:
        """Tells each error once, and leaves it beside the runs of a sweep that have failed."""
        failed: dict[int, str] = {}
        told: dict[int, str] = {}
        for member in plan.members:
            outcome = outcomes.get(member.seed)
            if isinstance(outcome, LeftAlone) and sweep:
                print(outcome, flush=True)
            elif isinstance(outcome, Exception):
                if id(outcome) not in told:
                    told[id(outcome)] = self._tell(outcome, plan.overrides, plan.options)
                failed[member.seed] = told[id(outcome)]
                if sweep:
                    _record_failure(member.folder, failed[member.seed])
        if failed:
            raise RunFailed(next(iter(failed.values())), failed)
        bounds = [bound for bound in outcomes.values() if isinstance(bound, float)]
        return fmean(bounds) if bounds else nan

    def _plan(self, cfg: DictConfig, node: Any) -> Any:
        overrides = _as_typed(node.overrides.task)
        sweep = node.mode is RunMode.MULTIRUN
        with self._telling(overrides):
            if sweep and (lost := lost_sweep(node)):
                raise UserError(
                    f"experiment={node.runtime.choices['experiment']} has a sweep of its own over {', '.join(lost)}, "
                    "which it loses in a sweep over experiments. Run one experiment at a time."
                )
            if self.kind == "evaluate":
                opening.close()
                return self._work().plan_evaluation(cfg, overrides)
            presets = Presets.of(GlobalHydra.instance().config_loader(), node)
            return plan_run(cfg, presets, sweep=sweep, overrides=overrides)

    @contextmanager
    def _telling(self, overrides: Sequence[str], options: Mapping[str, Any] | None = None) -> Iterator[None]:
        """Tells an error, in the words of ``options``, and raises ``RunFailed`` in its place."""
        with _process_state(self.argv, self.full_error):
            try:
                yield
            except RunFailed:
                raise
            except Exception as error:
                raise RunFailed(self._tell(error, overrides, options)) from None

    def _tell(self, error: Exception, overrides: Sequence[str], options: Mapping[str, Any] | None) -> str:
        """In a paragraph, or where it is not a user's to mend by its traceback; its first line."""
        opening.close()
        text = None if self.full_error == "1" else explain(error, self.kind, options)
        if text is None and self.full_error != "1" and isinstance(error, TypeError | ValueError | AttributeError):
            odd = find_odd_value(self.kind, overrides)
            text = odd and f"{odd} The run ended with {type(error).__name__}: {error}."
        if text is None:
            traceback.print_exception(error)
        else:
            _print_paragraph(self.kind, text)
        return (text or f"{type(error).__name__}: {error}").strip().split("\n")[0]

    def _mention_unused_sweep(self, node: Any) -> None:
        params = (node.sweeper or {}).get("params")
        if params:
            opening.close()
            print(
                f"{prefix(self.kind)}: one run only; add -m for the whole sweep over {', '.join(params)}.",
                file=sys.stderr,
            )


def _how_to_go_on(kind: str, arguments: Sequence[str]) -> str:
    """What is said after a stop of a training, by the words of its command; an evaluation begins anew."""
    if kind != "train":
        return ""
    several = is_multirun(*split(arguments))
    return f"; the same command goes on from the last checkpoint{'s' if several else ''}"


def _as_typed(overrides: Any) -> tuple[str, ...]:
    """Overrides, their ``${...}`` left as they are: read from a configuration they would be looked up."""
    return tuple(str(override) for override in OmegaConf.to_container(overrides, resolve=False) or ())


def _record_failure(folder: Path, headline: str) -> None:
    """``failed.json`` in a run's folder, unless that is finished: the report names the run and its error."""
    if (folder / "result.json").exists():
        return
    try:
        write_json_atomic(folder / FAILURE, {"error": headline, "version": __version__, "command": typed_command()})
    except UserError as error:
        print(error, file=sys.stderr)  # a full disk, which may be why the run failed


def _print_paragraph(kind: str, text: str) -> None:
    opening.close()
    separator = "\n" if "\n" in text.strip() else " "
    print(f"{prefix(kind)}: {text}{separator}({_FULL_ERROR}=1 shows the traceback.)", file=sys.stderr, flush=True)


@contextmanager
def _process_state(argv: Sequence[str], full_error: str | None) -> Iterator[None]:
    before = sys.argv, os.environ.get(_FULL_ERROR)
    _set_process_state(argv, full_error)
    try:
        yield
    finally:
        _set_process_state(*before)


def _set_process_state(argv: Sequence[str], full_error: str | None) -> None:
    sys.argv = list(argv)
    if full_error is None:
        os.environ.pop(_FULL_ERROR, None)
    else:
        os.environ[_FULL_ERROR] = full_error
