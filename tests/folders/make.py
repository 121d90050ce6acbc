"""Writes the run folders that ``test_earlier_folders.py`` holds later revisions to, by the program of revision 8b0afb5.

It is to be started with a checkout of that revision, whose inner names it takes to place its signals:

    git worktree add ../earlier 8b0afb5
    PYTHONPATH=../earlier python tests/folders/make.py

Each part is what ``runs/`` held, less what no later revision reads (pictures, curves, most checkpoints):

- ``finished``: runs that are to be skipped. Where an ``evaluation-*.json`` lies beside ``checkpoints/best.ckpt``, these
  are the numbers of that checkpoint.
- ``interrupted``: runs that a signal has ended, between two steps of an epoch or after the last one.
- ``uninterrupted``: what the same commands end with when no signal comes.

The command of every run stands in its ``result.json``. All data are generated or come with scikit-learn.
"""

import json
import os
import shutil
import signal
import tempfile
from pathlib import Path
from unittest.mock import patch

import torch

from lid_vae.command_line import main
from lid_vae.train import VAEModule
from lid_vae.train.stack import Stack

REVISION = Path(__file__).resolve().parent / "8b0afb5"
# Checkpoints name the folder that they were written to: one of nobody's own, and not where they are read.
WORK = Path(tempfile.gettempdir()) / "lid_vae"

SHORT = """
    trainer.max_epochs=2 trainer.check_val_every_n_epoch=1 trainer.log_every_n_steps=1 data.valid_size=40
    data.test_size=40 data.batch_size=64 width=4 samples=4 callbacks.panels.every=0 logger=none paths.data=data
    trainer.accelerator=cpu
"""
PINWHEEL = f"data=pinwheel data.per_class=60 depth=2 {SHORT}"
DIGITS = f"data=digits data.train_size=256 {SHORT}"
TEXT = f"data=synthetic_text data.sentences=200 data.words=24 {SHORT}"
EVALUATED = (
    f"model=lidgmvae {PINWHEEL}",
    f"model=lidmvae prior.component=log_normal family.mixture=enumerate {PINWHEEL}",
    f"model=il_lidvae callbacks=lipschitz_annealing {PINWHEEL}",
    f"model=lidvae map=gradient_network objective=linear_annealing {PINWHEEL}",
    f"model=sa_vae family=gaussian {PINWHEEL}",
    f"model=bn_vae family=gaussian {PINWHEEL}",
    f"model=lidgmvae family=gaussian {DIGITS}",
    f"model=lidsvae {TEXT}",
    f"model=svae family=lstm_realnvp likelihood.wiring=both {TEXT}",
)
FINISHED = (
    "",
    f"-m seed=0,1 model=gmvae prior.code=learned {DIGITS}",
    f"-m experiment=table2_pinwheel seed=0 model=gmvae,lidgmvae {PINWHEEL}",
    f"experiment=nine_layers model=gmvae seed=4 {PINWHEEL}",
    f"model=lagging_vae {PINWHEEL}",
    f"model=pretrained_vae {PINWHEEL}",
    f"model=beta_vae objective.beta=0.5 {DIGITS}",
    f"model=vae family=gaussian encoder=convolutional objective=free_bits objective.per=dimension {DIGITS}",
    f"model=gmvae objective=cyclical_annealing schedule=constant {PINWHEEL}",
    f"model=gmvae objective=importance_weighted objective.samples=3 {PINWHEEL}",
    f"model=lidgmvae inference=semi_amortized objective=free_bits lift=random {PINWHEEL}",
    f"model=linear_svae {TEXT}",
    f"model=language_model {TEXT}",
    f"model=linear_language_model {TEXT}",
)
LONGER = "trainer.max_epochs=6 optimizer.lr=0.03"
# The step in which the signal comes; None: when all is trained, and not yet told.
INTERRUPTED = {
    f"model=lidgmvae {PINWHEEL} {LONGER}": 13,
    f"model=pretrained_vae objective.beta.share=0.5 family=gaussian {PINWHEEL} {LONGER}": 9,
    f"model=il_lidvae callbacks=lipschitz_annealing family=gaussian {PINWHEEL} {LONGER}": 9,
    f"model=svae likelihood.dropout=0.2 {TEXT} {LONGER}": 10,
    f"model=gmvae family=gaussian seed=7 {PINWHEEL} {LONGER}": None,
    f"-m seed=0,1 model=gmvae prior.code=learned family=gaussian {DIGITS} {LONGER}": 9,
    f"-m seed=0,1 model=lagging_vae inference.window=2 inference.most=6 family=gaussian {PINWHEEL} {LONGER}": 14,
}


def start(kind: str, command: str) -> int:
    """The exit status of ``python <kind>.py`` with these options, in ``WORK``."""
    try:
        main(kind, [f"{kind}.py", *command.split()])  # type: ignore[arg-type]
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def interrupted(command: str, where: int | None) -> int:
    """The same of ``train.py``, to which SIGTERM comes in that step."""

    def stop(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    noise, advance = VAEModule.noise, Stack.advance

    def alone(self: VAEModule, step: int, draw: int, batch: int) -> object:
        if (step, draw) == (where, 0):
            stop()
        return noise(self, step, draw, batch)

    def stacked(self: Stack, step: int, steps: int) -> None:
        if step == where:
            stop()
        advance(self, step, steps)

    if where is None:
        with patch("lid_vae.run.fit._draw", stop):
            return start("train", command)
    if "-m" in command:
        with patch.object(Stack, "advance", stacked):
            return start("train", command)
    with patch.object(VAEModule, "noise", alone):
        return start("train", command)


def keep(part: str, *patterns: str) -> None:
    """Moves what matches from ``runs`` to a part of the fixture, and empties ``runs``."""
    for path in sorted(path for pattern in patterns for path in Path("runs").rglob(pattern)):
        target = REVISION / part / path.relative_to("runs")
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.name == "sweep.json" and target.exists():
            runs = json.loads(target.read_text())["runs"] | json.loads(path.read_text())["runs"]
            target.write_text(json.dumps({"runs": runs}, indent=2) + "\n")
        else:
            shutil.move(path, target)
    shutil.rmtree("runs")


def make() -> None:
    for command in (*FINISHED, *EVALUATED):
        assert start("train", command) == 0, command
        kept = ["config.yaml", "result.json", "sweep.json"]
        if command in EVALUATED:
            (best,) = Path("runs").rglob("best.ckpt")
            assert start("evaluate", f"ckpt={best} samples=5 accelerator=cpu paths.data=data") == 0, command
            kept += ["best.ckpt", "evaluation-*.json"]
        keep("finished", *kept)
    for command, where in INTERRUPTED.items():
        assert start("train", command) == 0, command
        keep("uninterrupted", "metrics.csv", "result.json")
        assert interrupted(command, where) == 128 + signal.SIGTERM, command
        assert not list(Path("runs").rglob("result.json"))
        keep("interrupted", "config.yaml", "metrics.csv", "*.ckpt", "sweep.json")


if __name__ == "__main__":
    for folder in (WORK, REVISION):
        shutil.rmtree(folder, ignore_errors=True)
    WORK.mkdir()
    os.chdir(WORK)
    os.environ.pop("LID_VAE_DATA", None)
    torch.set_num_threads(1)
    make()
