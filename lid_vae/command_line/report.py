"""Reports: tables of the runs below folders, or one of the paper's figures."""

import os
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import NoReturn

import hydra
import yaml
from hydra.errors import ConfigCompositionException, OverrideParseException
from omegaconf import DictConfig

from lid_vae.command_line.arguments import rewrite, split
from lid_vae.command_line.explain import explain
from lid_vae.command_line.help import laid_out, register_resolvers
from lid_vae.command_line.mistake import find_mistake
from lid_vae.errors import UserError
from lid_vae.report.build import build
from lid_vae.report.output.terminal import discard_output
from lid_vae.run.plan import check_whole
from lid_vae.run.store import CONF
from lid_vae.system.invocation import prefix

__all__ = ["main"]

FULL_ERROR = "HYDRA_FULL_ERROR"


def main(argv: Sequence[str] | None = None) -> None:
    """Draw the figure that ``argv`` chooses (None: the command line), or build tables of the folders in it.

    Exit status: 0; 1 after an error, told in a paragraph, or, with ``strict=true``, after a problem; 130 after Ctrl-C.
    """
    register_resolvers()
    typed = list(sys.argv[1:] if argv is None else argv)
    before = sys.argv, os.environ.get(FULL_ERROR)
    arguments: list[str] = []
    try:
        words = split(typed)[1]
        if any(not _is_option(word) for word in words):
            return make_tables(words)
        arguments = [full_choice(argument) for argument in rewrite(typed)]
        # Hydra prints errors in its own way and exits, unless asked for the full error; then it raises.
        sys.argv, os.environ[FULL_ERROR] = [prefix("report"), *arguments], "1"
        try:
            with laid_out(arguments):
                hydra.main(version_base="1.3", config_path=str(CONF), config_name="report")(Job(before[1] == "1"))()
        finally:
            sys.stdout.flush()  # Hydra exits after its help, which may still be held back
    except KeyboardInterrupt:
        print(f"{prefix('report')}: interrupted.", file=sys.stderr)
        raise SystemExit(130) from None
    except BrokenPipeError:  # --help | head
        discard_output()
    except Exception as error:
        composing = isinstance(error, ConfigCompositionException | OverrideParseException)
        text = find_mistake("report", CONF, arguments) if composing else None
        fail(error, before[1] == "1", text)
    finally:
        sys.argv = before[0]
        os.environ.pop(FULL_ERROR, None)
        if before[1] is not None:
            os.environ[FULL_ERROR] = before[1]


@dataclass(frozen=True)
class Job:
    """One figure, called by Hydra once for each combination of the options."""

    full_error: bool

    def __call__(self, cfg: DictConfig) -> None:
        try:
            problems = draw(cfg)
        except Exception as error:
            fail(error, self.full_error)  # past Hydra, which would add lines of its own
        if problems and cfg.strict:
            raise SystemExit(1)


def fail(error: Exception, full_error: bool, text: str | None = None) -> NoReturn:
    """Tells ``error`` by ``text``, else by its own paragraph; by its traceback where there is none, or it is wanted."""
    text = None if full_error else text or explain(error, "report")
    if text is None:
        traceback.print_exception(error)
    else:
        print(f"{prefix('report')}: {text}", file=sys.stderr)
    raise SystemExit(1) from None


def full_choice(argument: str) -> str:
    """``figure=3`` as ``figure=figure_3``: Hydra reads a bare 3 as a number, which is not the name of a choice."""
    key, _, value = argument.partition("=")
    if key != "figure":
        return argument
    return f"{key}=" + ",".join(f"figure_{choice}" if choice.isdecimal() else choice for choice in value.split(","))


def draw(cfg: DictConfig) -> Sequence[str]:
    """Draw ``cfg.figure``; say what was written and what went wrong, and return the latter."""
    import torch  # here, so that --help and --cfg do not wait for it
    from threadpoolctl import threadpool_limits

    if cfg.get("figure") is None:
        raise UserError("Choose a figure: figure=3, 4, theorem_1 or bridge. --help lists the options.")
    check_whole("threads", cfg.threads, 1)
    if cfg.get("margin") is not None:
        raise UserError(f"margin={cfg.margin} has no bearing on figures. It is of tables: margin=0.1 beside a folder.")
    if cfg.get("detail") is not None:
        raise UserError(f"detail={cfg.detail} has no bearing on figures. It is of tables: detail=true beside a folder.")
    if not isinstance(cfg.strict, bool):
        raise UserError(f"strict={cfg.strict} is neither true nor false. Write strict=true or strict=false.")
    threads = torch.get_num_threads()
    torch.set_num_threads(cfg.threads)
    try:
        with threadpool_limits(cfg.threads):
            outcome = hydra.utils.instantiate(cfg.figure, _convert_="all").draw(Path(cfg.output), cfg.seed)
    finally:
        torch.set_num_threads(threads)
    try:
        print("\n".join(filter(None, [outcome.text, *map(str, outcome.files)])), flush=True)
    except BrokenPipeError:  # the files are there, and what went wrong is still to be said
        discard_output()
    for problem in outcome.problems:
        print(f"{prefix('report')}: {problem}", file=sys.stderr)
    return outcome.problems


def make_tables(words: Sequence[str]) -> None:
    """Tables of all results below the folders among ``words``; ``output=`` says where the files go.

    ``margin=`` is that of equivalence in LL, nats, and ``detail=`` whether all that is measured is shown, null: where
    there is a margin, whose tests are a detail. Without them those of ``conf/report.yaml`` hold.
    """
    output: Path | None = None
    defaults = yaml.safe_load((CONF / "report.yaml").read_text())
    margin, detail = defaults["margin"], defaults["detail"]
    for option in filter(_is_option, words):
        key, _, value = option.partition("=")
        if key not in ("output", "margin", "detail") or not value:
            raise UserError(
                f"{option} has no bearing on tables. Besides folders they take output=<folder>, margin=<nats> and "
                "detail=true."
            )
        if key == "output":
            output = Path(value)
        elif key == "margin":
            margin = yaml.safe_load(value)
        else:
            detail = yaml.safe_load(value)
    if margin is not None and not (type(margin) in (int, float) and 0 < margin < inf):
        raise UserError(f"A margin is a number of nats above 0, got margin={margin}. Write margin=0.1, or margin=null.")
    detail = margin is not None if detail is None else detail
    if not isinstance(detail, bool):
        raise UserError(f"detail={detail} is neither true nor false. Write detail=true or detail=false.")
    build([Path(word) for word in words if not _is_option(word)], output, margin=margin, detail=detail)


def _is_option(word: str) -> bool:
    return "=" in word or word.startswith("~")


if __name__ == "__main__":
    main()
