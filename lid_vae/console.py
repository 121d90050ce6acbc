"""``lid-vae``: the programs of lid_vae under one name, for where there is no checkout."""

import difflib
import os
import sys
from collections.abc import Sequence

from lid_vae import __version__
from lid_vae.errors import UserError
from lid_vae.system.invocation import CONSOLE, as_argv, begin

__all__ = ["main"]

WORKS = ("train", "evaluate", "report", "status", "wandb")
USAGE = f"""\
Train latent-identifiable variational autoencoders and their counterparts, and
measure what their latents hold.

  {CONSOLE} train
      a small LIDGMVAE on pinwheel: no download, about a minute
  {CONSOLE} train model=gmvae data=mnist -m seed=0-9
  {CONSOLE} evaluate ckpt=<path>
      a checkpoint again, with other samples or on another split
  {CONSOLE} report runs
      tables of the runs below a folder; or figure=3, one of the paper's
  {CONSOLE} status runs
      how far they are: finished, running, failed, interrupted or missing
  {CONSOLE} wandb workspace entity=<name>
      a workspace of Weights & Biases, a curve a model over its seeds

  {CONSOLE} train --help      its options; likewise of the others
  {CONSOLE} --version

An option is written name=value, without dashes. Results go to runs/, data are
looked for in data/ or in the folder that LID_VAE_DATA names.
"""


def main(argv: Sequence[str] | None = None) -> None:
    """Do what the first word of ``argv`` names, with the others (None: the command line's words).

    Exit status: that of the work; 1 after a word that is none, told in a paragraph.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    before = sys.argv
    try:
        if not words or words[0] in ("-h", "--help", "help"):
            print(USAGE, end="", flush=True)
        elif words[0] in ("--version", "-V"):
            print(CONSOLE, __version__, flush=True)
        else:
            work, rest = _work(words), words[1:]
            sys.argv = as_argv(work, rest)
            _do(work, rest)
    except UserError as error:
        print(f"{CONSOLE}: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    except KeyboardInterrupt:  # while what it does is imported
        print(f"{CONSOLE}: interrupted.", file=sys.stderr)
        raise SystemExit(130) from None
    except BrokenPipeError:  # | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    finally:
        sys.argv = before


def _work(words: Sequence[str]) -> str:
    """The first of ``words``; raises ``UserError`` where it names no work."""
    word = words[0]
    if word in WORKS:
        return word
    if "=" in word:
        raise UserError(f"{word} is an option. Write the program first: {CONSOLE} train {word}")
    near = difflib.get_close_matches(word, WORKS, n=1)
    hint = f" Did you mean {CONSOLE} {near[0]}?" if near else ""
    raise UserError(f"There is no {CONSOLE} {word}.{hint} Write {', '.join(WORKS[:-1])} or {WORKS[-1]}, or --help.")


def _do(work: str, words: list[str]) -> None:
    # Imported here: what is asked for should not wait for the others.
    if work == "report":
        from lid_vae.command_line.report import main as report

        report(words)
    elif work == "status":
        from lid_vae.sweep import main as status

        status([work, *words])
    elif work == "wandb":
        from lid_vae.command_line.wandb import main as dashboards

        dashboards(words)
    else:
        begin(work)
        from lid_vae.command_line import main as run

        run("train" if work == "train" else "evaluate")
