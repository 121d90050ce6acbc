"""Programs of their own that need not wait for the libraries: forks of a process that has imported them.

Importing takes longer than most programs of the tests work. What a program is by its start alone (what it imports, how
soon it says what) is for tests that start Python itself.
"""

import atexit
import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType

__all__ = ["run_program"]

LIBRARIES = ["torch", "torch._dynamo", "pytorch_lightning", "hydra", "matplotlib.pyplot", "sklearn.linear_model"]
# Seconds that a program may take.
MOST = 900


def run_program(
    words: Sequence[str], folder: Path, environment: Mapping[str, str]
) -> "subprocess.CompletedProcess[str]":
    """``python <words>``, a script or ``-c`` or ``-m`` with their arguments, on one thread, started in ``folder``."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(LIBRARIES)
    with tempfile.TemporaryDirectory() as place:
        outputs = [Path(place) / name for name in ("out", "err")]
        out, err = map(str, outputs)
        process = context.Process(target=_become, args=(list(words), str(folder), dict(environment), out, err))
        process.start()
        process.join(MOST)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise TimeoutError(f"{words} takes more than {MOST} s:\n{outputs[1].read_text()}")
        return subprocess.CompletedProcess(words, process.exitcode, *(path.read_text() for path in outputs))


def _become(words: list[str], folder: str, environment: dict[str, str], out: str, err: str) -> None:
    import torch

    for descriptor, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), descriptor)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.stdin, sys.stdout, sys.stderr = (os.fdopen(n, mode, closefd=False) for n, mode in enumerate("rww"))
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    torch.set_num_threads(1)
    tests = str(Path(__file__).parent)
    given = [path for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path]
    sys.path[:] = ["", *given, *(path for path in sys.path if path and path not in (tests, *given))]
    sys.exit(_run(words))


def _run(words: list[str]) -> int:
    status = 0
    try:
        if words[0] == "-c":
            sys.argv = ["-c", *words[2:]]
            sys.modules["__main__"] = ModuleType("__main__")
            exec(compile(words[1], "<string>", "exec"), vars(sys.modules["__main__"]))
        elif words[0] == "-m":
            sys.argv = words[1:]
            runpy.run_module(words[1], run_name="__main__", alter_sys=True)
        else:
            sys.argv = words
            sys.path[0] = str(Path(words[0]).resolve().parent)
            runpy.run_path(words[0], run_name="__main__")
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        if isinstance(stop.code, str):
            print(stop.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        status = 1
    # As an interpreter ends: pools of processes are shut by the one, what is still to be written by the other.
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    return status
