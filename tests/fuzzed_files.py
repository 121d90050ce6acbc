"""A folder of runs one of whose files was cut, edited or replaced, and what each command makes of it."""

import io
import json
import math
import shutil
import tempfile
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr, redirect_stdout
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import torch
import yaml
from fuzzing import Ending, judged
from hypothesis import strategies as st
from runs import Outcome, Programs, digest

import lid_vae
from lid_vae.command_line.report import main as report
from lid_vae.errors import UserError
from lid_vae.sweep import main as sweep
from lid_vae.train.ensemble import Ensemble

__all__ = ["Change", "changes", "play_change"]

FINISHED, LEFT, BEGUN = (f"seed-{seed}" for seed in range(3))
COMMANDS: dict[str, tuple[str, ...]] = {
    f"{FINISHED}/result.json": ("train", "report", "status"),
    f"{FINISHED}/config.yaml": ("train", "report", "evaluate"),
    f"{FINISHED}/metrics.csv": ("report",),
    f"{FINISHED}/checkpoints/best.ckpt": ("evaluate", "load"),
    f"{BEGUN}/checkpoints/last.ckpt": ("train",),
    f"{BEGUN}/checkpoints/best.ckpt": ("train",),
    f"{BEGUN}/metrics.csv": ("train", "report"),
    f"{BEGUN}/failed.json": ("train", "report", "status"),
    "../sweep.json": ("train", "report", "status"),
    ".seed-2.lock": ("train", "status"),
}
ODD = (
    None, True, False, 0, 1, -1, 3, 2.5, -1e300, 1e300, math.inf, math.nan, 10**30, -(10**12), "", "word", "../../x",
    "lid_vae.nowhere.X", "os.system", "lid_vae.data.Pinwheel", "torch.optim.Adam", "torch.optim.SGD", [], [1, 2], {},
    {"a": 1}, {"_target_": "os.system"}, [[]], "\x00", "\ud800", "${nowhere}", "${oc.env:HOME}", "/etc/shadow",
)  # fmt: skip
BYTES = (
    b"", b"\x00", b"\xff\xfe\x00", b"[" * 100_000, b"{}", b"[]", b"null", b"3", b"NaN", b'{"a": 1}', b"a: {b",
    b"a: &a [*a]", b"step,a\n0,x\n", b"a,b\n", b"step\nx\n", b"step,step\n1,2,3\n", b"PK\x03\x04", b"\x80\x02}q\x00.",
    b"<html></html>", "Größe: €\n".encode("latin-1", "replace"), '{"error": 3}'.encode("utf-16"), b"1" * 5000,
)  # fmt: skip
OPTIONS = ("model=gmvae", "trainer.max_epochs=4")
Change = tuple[str, str, Any]
"""The file, what is done to it, and with what."""


@cache
def world() -> Path:
    """Two finished runs of a sweep, and a third that stopped in the midst and is told to have failed."""
    folder = Path(tempfile.mkdtemp(prefix="lid_vae-fuzzed-"))
    programs = Programs(folder)
    programs.train(*OPTIONS, "-m", "seed=0-1")
    step = Ensemble.training_step

    def stopped(self: Ensemble, batch: Any, index: int) -> Any:
        if self.step == 7:
            raise ZeroDivisionError
        return step(self, batch, index)

    with mock.patch.object(Ensemble, "training_step", stopped):
        programs.train(*OPTIONS, "-m", "seed=2")
    for file in COMMANDS:
        assert (place(folder) / file).exists() or file.endswith(".lock"), file
    assert not (place(folder) / BEGUN / "result.json").exists()
    return folder


def place(folder: Path) -> Path:
    """The folder of the configuration below that of a world."""
    (found,) = (folder / "runs" / "default").glob("gmvae-*")
    return found


@st.composite
def changes(draw: st.DrawFn) -> Change:
    """A file of the world: other bytes, cut, bytes turned, a value inside replaced or gone, or no file at all."""
    file = draw(st.sampled_from(sorted(COMMANDS)))
    kinds = ["bytes", "cut", "turned", "folder", "device", "gone"]
    if not file.endswith((".csv", ".lock")):
        kinds += ["edited"] * 8
    kind = draw(st.sampled_from(kinds))
    if kind == "bytes":
        return file, kind, draw(st.sampled_from(BYTES) | st.binary(max_size=200))
    if kind in ("cut", "turned"):
        return file, kind, draw(st.floats(0, 1, exclude_max=True))
    if kind == "edited":
        places = _places(_read(place(world()) / file))
        way = draw(st.sampled_from(places))
        value = draw(st.sampled_from((*ODD, "DELETED")) | (_tensors() if file.endswith(".ckpt") else st.nothing()))
        return file, kind, (way, value)
    return file, kind, None


@st.composite
def _tensors(draw: st.DrawFn) -> torch.Tensor:
    shape = draw(st.sampled_from([(), (0,), (1,), (3, 2), (1, 1, 1)]))
    kind = draw(st.sampled_from([torch.float32, torch.float64, torch.int64, torch.bool, torch.complex64]))
    value = torch.zeros(shape, dtype=kind)
    return value.fill_(draw(st.sampled_from([0, 1, math.nan]))) if kind.is_floating_point else value


def _read(path: Path) -> Any:
    if path.suffix == ".ckpt":
        return torch.load(path, weights_only=True)
    return yaml.safe_load(path.read_text())


def _places(node: Any, prefix: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every value in ``node``, itself included; of a long list the first."""
    found = [prefix]
    if isinstance(node, Mapping):
        for key, value in node.items():
            found += _places(value, (*prefix, key))
    elif isinstance(node, list) and node:
        found += _places(node[0], (*prefix, 0))
    return found


def _edited(node: Any, place: tuple[Any, ...], value: Any) -> Any:
    if not place:
        return value
    inner = node
    for key in place[:-1]:
        inner = inner[key]
    if isinstance(value, str) and value == "DELETED":
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    return node


def change(folder: Path, done: Change) -> None:
    """Makes it to the runs in ``folder``."""
    name, kind, with_what = done
    path = place(folder) / name
    if kind in ("folder", "device", "gone"):
        path.unlink(missing_ok=True)
        if kind == "folder":
            path.mkdir()
        elif kind == "device":
            path.symlink_to("/dev/zero")
        return
    content = path.read_bytes() if path.exists() else b""
    if kind == "bytes":
        content = with_what
    elif kind == "cut":
        content = content[: int(with_what * len(content))]
    elif kind == "turned":
        at = int(with_what * len(content))
        content = content[:at] + bytes(255 - byte for byte in content[at : at + 8]) + content[at + 8 :]
    elif kind == "edited":
        tree = _edited(_read(path), *with_what)
        if path.suffix == ".ckpt":
            file = io.BytesIO()
            torch.save(tree, file)
            content = file.getvalue()
        elif path.suffix == ".json":
            content = json.dumps(tree).encode()
        else:
            content = yaml.safe_dump(tree).encode()
    path.write_bytes(content)


def play_change(done: Change, memory: int = 0) -> Ending:
    """How the commands end that read the file of ``done``; the first that ends in a defect, else the last.

    ``memory``: how many bytes of addresses they may take beside what this process has now; 0 for any.
    """
    ending = Ending("works", "")
    for command in COMMANDS[done[0]]:
        with tempfile.TemporaryDirectory(prefix="lid_vae-case-") as name:
            folder = Path(name) / "world"
            shutil.copytree(world(), folder)
            change(folder, done)
            changed = place(folder) / done[0]
            before = digest(place(folder) / LEFT)
            own = changed.read_bytes() if changed.is_file() and not changed.is_symlink() else None
            ending = _play(command, folder, memory)
            if ending.sound and digest(place(folder) / LEFT) != before:
                ending = Ending("a finished run was touched", command)
            if ending.sound and own is not None and changed.name in ("result.json", "config.yaml"):
                after = changed.read_bytes() if changed.is_file() else None
                if after != own:
                    ending = Ending("an edited file was overwritten", command)
        if not ending.sound:
            return Ending(ending.kind, f"{command}: {ending.text}")
    return ending


def _play(command: str, folder: Path, memory: int) -> Ending:
    programs = Programs(folder)
    start: dict[str, Callable[[], Outcome]] = {
        "train": lambda: programs.train(*OPTIONS, "-m", "seed=0-2"),
        "evaluate": lambda: programs.evaluate(place(folder) / FINISHED / "checkpoints" / "best.ckpt"),
        "report": lambda: _captured(lambda: report([str(folder / "runs")])),
        "status": lambda: _captured(lambda: sweep(["status", str(folder / "runs")])),
        "load": lambda: _loaded(place(folder) / FINISHED / "checkpoints" / "best.ckpt"),
    }
    return judged(start[command], memory, 3 if command == "train" else 1)


def _captured(work: Callable[[], object]) -> Outcome:
    out, err, status = io.StringIO(), io.StringIO(), 0
    try:
        with redirect_stdout(out), redirect_stderr(err):
            work()
    except SystemExit as stop:
        status = int(stop.code or 0)
    return Outcome(status, out.getvalue(), err.getvalue())


def _loaded(path: Path) -> Outcome:
    try:
        lid_vae.load(path)
    except UserError as error:
        return Outcome(1, "", str(error))
    return Outcome(0, "", "")
