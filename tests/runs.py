"""Whole runs for the tests: the programs in this process, on data and models that train in a moment."""

import csv
import io
import json
import logging
import os
import subprocess
import sys
from contextlib import nullcontext, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any
from unittest import mock

from hydra.types import RunMode
from PIL import Image

from lid_vae.command_line import main
from lid_vae.system.files import write_atomic

__all__ = ["MEASURES", "TINY", "Outcome", "Programs", "digest", "measures", "read_metrics", "without_reader"]

TINY = (
    "data.per_class=60",
    "data.valid_size=50",
    "data.test_size=60",
    "data.batch_size=64",
    "trainer.max_epochs=3",
    "trainer.check_val_every_n_epoch=1",
    "trainer.log_every_n_steps=1",
    "width=8",
    "samples=4",
    "callbacks.panels.every=0",
    "vector_pictures=false",
    "logger=none",
)
MEASURES = (
    "split",
    "examples",
    "latent",
    "ll",
    "elbo",
    "elbo_se",
    "accuracy",
    "steps",
    "inverse_lipschitz",
    "separation",
)


def _dot() -> bytes:
    file = io.BytesIO()
    Image.new("L", (1, 1)).save(file, format="png")
    return file.getvalue()


DOT = _dot()


class Outcome:
    """What a program left: exit status, what it said, and the run's folder, where it named one."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err

    @property
    def result_path(self) -> Path:
        lines = [line for line in self.out.splitlines() if line.startswith("result ")]
        assert self.status == 0, self.err
        assert len(lines) == 1, self.out
        return Path(lines[0].split(maxsplit=1)[1])

    @property
    def folder(self) -> Path:
        return self.result_path.parent

    @property
    def result(self) -> dict[str, Any]:
        return json.loads(self.result_path.read_text())

    @property
    def paragraph(self) -> str:
        """The message of a refusal, having checked that it is one: one paragraph, no traceback, a status not 0."""
        assert self.status == 1, (self.status, self.out, self.err)
        assert "Traceback" not in self.out + self.err, self.err
        lines = self.err.strip().splitlines()
        assert len(lines) == 1, self.err
        assert "HYDRA_FULL_ERROR=1" in lines[0]
        return lines[0]


class Programs:
    """``train.py`` and ``evaluate.py`` as a user starts them; runs are tiny and lie below ``folder``.

    The picture of a run is a dot, as a quarter of a tiny run is drawing, unless ``pictures``.
    """

    def __init__(self, folder: Path, pictures: bool = False) -> None:
        self.folder, self.pictures = folder, pictures

    def train(self, *options: str, tiny: tuple[str, ...] = TINY) -> Outcome:
        return self.start("train", *tiny, f"paths.runs={self.folder / 'runs'}", *options)

    def evaluate(self, checkpoint: Path, *options: str) -> Outcome:
        return self.start("evaluate", f"ckpt={checkpoint}", "samples=4", *options)

    def start(self, kind: str, *arguments: str) -> Outcome:
        root = logging.getLogger()
        handlers, level = root.handlers[:], root.level
        out, err = io.StringIO(), io.StringIO()
        status = 0
        try:
            pictures = nullcontext() if self.pictures else dots()
            with redirect_stdout(out), redirect_stderr(err), pictures, composed_once():
                main(kind, [f"{kind}.py", *arguments])  # type: ignore[arg-type]
        except SystemExit as stop:
            status = int(stop.code or 0)
        finally:
            root.handlers[:], root.level = handlers, level
        return Outcome(status, out.getvalue(), err.getvalue())


def dots() -> Any:
    """Within it, pictures of runs are a file of one dot."""
    return mock.patch("lid_vae.picture.page.draw_run", lambda module, data, path, *_: write_atomic(path, DOT) or path)


def composed_once() -> Any:
    """Within it, Hydra does not compose everything once more to see what ``hydra.mode`` is: the command line says it.

    A tiny run composes for a third of its time. Programs of their own are as Hydra has them.
    """

    def mode(hydra: object, config_name: str, overrides: list[str]) -> RunMode | None:
        return RunMode.MULTIRUN if "hydra.mode=MULTIRUN" in overrides else None

    return mock.patch("hydra._internal.hydra.Hydra.get_mode", mode)


def measures(result: dict[str, Any]) -> dict[str, Any]:
    """The part of a result that the configuration alone decides."""
    return {name: result.get(name) for name in (*MEASURES, "validation")}


def digest(folder: Path) -> dict[str, bytes]:
    """Every file below ``folder``, by name."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def read_metrics(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def without_reader(*words: str) -> "subprocess.CompletedProcess[str]":
    """``python <words>`` with a standard output whose reader has gone, as ``| head`` goes; errors are kept.

    The output is held back, as Python does by itself where it is no terminal: some of it fails at the very end.
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb") as output:
        return subprocess.run(
            [sys.executable, *words], stdout=output, stderr=subprocess.PIPE, env=environment, check=False, text=True
        )
