"""The main function of train.py and evaluate.py."""

import importlib
import os
import shlex
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import nan
from pathlib import Path
from typing import Any, Literal

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import ConfigCompositionException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from lid_vae import __version__
from lid_vae.command_line.arguments import rewrite
from lid_vae.command_line.explain import explain
from lid_vae.command_line.mistake import find_mistake, find_odd_value
from lid_vae.errors import UserError
from lid_vae.files import write_json_atomic
from lid_vae.interruption import Stopped
from lid_vae.run.store import CONF, FAILURE
from lid_vae.sweep.lock import LeftAlone
from lid_vae.sweep.manifest import lost_sweep
from lid_vae.sweep.sweeper import RunFailed

__all__ = ["Job", "main"]

WORK = {"train": "lid_vae.run.fit", "evaluate": "lid_vae.run.evaluation"}
_FULL_ERROR = "HYDRA_FULL_ERROR"


def main(kind: Literal["train", "evaluate"], argv: Sequence[str] | None = None, conf: Path = CONF) -> None:
    """Compose ``conf/<kind>.yaml`` with the command line and call ``<kind>(cfg)`` of the experiment for each job.

    Exit status: 0; 1 after an error, told in a paragraph, or after a sweep in which a run failed; 130 after Ctrl-C,
    143 after SIGTERM, and 128 more than their number after other signals.
    """
    OmegaConf.register_new_resolver("option", _option, replace=True)
    typed = tuple(sys.argv if argv is None else argv)
    job = Job(kind, typed, os.environ.get(_FULL_ERROR))
    arguments: list[str] = []
    try:
        arguments = rewrite(typed[1:])
        # Hydra prints errors in its own way and exits, unless asked for the full error; then it raises.
        with _process_state((typed[0], *arguments), "1"):
            hydra.main(version_base="1.3", config_path=str(conf), config_name=kind)(job)()
    except KeyboardInterrupt:
        print(f"{kind}.py: interrupted.", file=sys.stderr)
        raise SystemExit(130) from None
    except Stopped as stopped:
        print(f"{kind}.py: {stopped}; the same command goes on from there.", file=sys.stderr, flush=True)
        raise SystemExit(stopped.status) from None
    except BrokenPipeError:
        # The reader of --help | head has gone. Python would complain once more when it closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
    except Exception as error:
        if job.full_error == "1":
            raise
        text = None
        if isinstance(error, ConfigCompositionException | OverrideParseException):
            text = find_mistake(kind, conf, arguments)
        text = text or explain(error, kind)
        if text is None:
            raise
        _print_paragraph(kind, text)
        raise SystemExit(1) from None


@dataclass(frozen=True)
class Job:
    """One run, called by Hydra in this process or, pickled, in another one.

    While it runs, ``sys.argv`` and the environment are what the user gave, in every process.
    """

    kind: str
    argv: tuple[str, ...]
    full_error: str | None

    def __call__(self, cfg: DictConfig) -> Any:
        # Imported here, and not above, so that --help and --cfg do not wait for torch.
        return self.attempt(cfg, lambda: getattr(importlib.import_module(WORK[self.kind]), self.kind)(cfg))

    def attempt(self, cfg: DictConfig, run: Callable[[], Any]) -> Any:
        """The value of ``run()``, the run of ``cfg``; tells its error, and says so to Hydra."""
        multirun = HydraConfig.get().mode is RunMode.MULTIRUN
        if not multirun:
            self._mention_unused_sweep()
        with _process_state(self.argv, self.full_error):
            try:
                if multirun:
                    self._refuse_a_lost_sweep()
                return run()
            except LeftAlone as error:
                if not multirun:
                    _print_paragraph(self.kind, str(error))
                    raise SystemExit(1) from None
                print(error, flush=True)
                return nan
            except Exception as error:
                text = None if self.full_error == "1" else self._explain(error)
                if text is None:
                    traceback.print_exception(error)
                else:
                    _print_paragraph(self.kind, text)
                if multirun:
                    headline = (text or f"{type(error).__name__}: {error}").strip().split("\n")[0]
                    _record_failure(cfg, headline)
                    raise RunFailed(headline) from None
                # Past Hydra, which would add lines of its own.
                raise SystemExit(1) from None

    def _explain(self, error: Exception) -> str | None:
        text = explain(error, self.kind)
        if text is None and isinstance(error, TypeError | ValueError | AttributeError):
            odd = find_odd_value(self.kind, HydraConfig.get().overrides.task)
            return odd and f"{odd} The run ended with {type(error).__name__}: {error}."
        return text

    @staticmethod
    def _refuse_a_lost_sweep() -> None:
        lost = lost_sweep()
        if lost:
            experiment = HydraConfig.get().runtime.choices["experiment"]
            raise UserError(
                f"experiment={experiment} has a sweep of its own over {', '.join(lost)}, which it loses in a "
                "sweep over experiments. Run one experiment at a time."
            )

    def _mention_unused_sweep(self) -> None:
        params = (HydraConfig.get().sweeper or {}).get("params")
        if params:
            print(
                f"{self.kind}.py: one run only; add -m for the whole sweep over {', '.join(params)}.", file=sys.stderr
            )


def _record_failure(cfg: DictConfig, headline: str) -> None:
    """``failed.json`` in the run's folder, if it came to have one: the report names the run and its error."""
    folder = OmegaConf.select(cfg, "paths.run")
    if folder is None:
        return
    command = shlex.join(["python", *sys.argv])
    try:
        write_json_atomic(Path(folder) / FAILURE, {"error": headline, "version": __version__, "command": command})
    except UserError as error:
        print(error, file=sys.stderr)  # a full disk, which may be why the run failed


def _option(key: str, *, _root_: DictConfig) -> str:
    """``key=value`` as one would type it; ``${option:key}`` in a help text, which so tells the truth about defaults."""
    value = OmegaConf.select(_root_, key)
    return f"{key}=null" if value is None else f"{key}={str(value).lower() if isinstance(value, bool) else value}"


def _print_paragraph(kind: str, text: str) -> None:
    separator = "\n" if "\n" in text.strip() else " "
    print(f"{kind}.py: {text}{separator}({_FULL_ERROR}=1 shows the traceback.)", file=sys.stderr, flush=True)


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
