"""A compiled bound is the bound; what does not compile is run as it is, and says so."""

import builtins
import importlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import pytest
import torch
from runs import TINY, read_metrics

from lid_vae.train.step.compiled import compiled

ROOT = Path(__file__).resolve().parents[2]
# train.py, which says at its end what of the compiler's cache it has used.
COUNTING = """
import sys
from lid_vae.system.invocation import begin

begin("train")
from lid_vae.command_line import main

try:
    main("train")
finally:
    from torch._dynamo.utils import counters

    for key, number in counters["inductor"].items():
        print(key, number, file=sys.stderr)
"""


def bound(x, noise):
    return (x * noise.sum()).tanh()


def test_the_function_is_compiled_once(monkeypatch):
    seen = []

    def compile_(function, mode):
        seen.append((function, mode))
        return lambda *arguments: function(*arguments) + 0.0

    monkeypatch.setattr(torch, "compile", compile_)
    fast = compiled(bound, "reduce-overhead")
    x, noise = torch.randn(3), torch.randn(2)
    for _ in range(2):
        torch.testing.assert_close(fast(x, noise), bound(x, noise))
    assert seen == [(bound, "reduce-overhead")]


def test_what_does_not_compile_is_run_as_it_is(monkeypatch):
    def failing(*_):
        raise torch._dynamo.exc.InternalTorchDynamoError("no compiler")

    monkeypatch.setattr(torch, "compile", lambda *_, **__: failing)
    fast = compiled(bound)
    x, noise = torch.randn(3), torch.randn(2)
    with pytest.warns(UserWarning, match="has no effect here"):
        torch.testing.assert_close(fast(x, noise), bound(x, noise))
    torch.testing.assert_close(fast(x, noise), bound(x, noise))


def test_what_takes_too_long_to_compile_is_run_as_it_is(monkeypatch):
    """Whatever the compiler does meanwhile, which takes every ``Exception`` for a failure of its own."""
    sizes = []

    def compile_(*_, **__):
        def slow(x, noise):
            sizes.append(len(x))
            try:
                time.sleep(60 if len(x) == 4 else 0)
            except Exception as error:
                raise torch._dynamo.exc.InternalTorchDynamoError("its own failure") from error
            return bound(x, noise)

        return slow

    handler = signal.getsignal(signal.SIGALRM)
    monkeypatch.setattr(torch, "compile", compile_)
    fast = compiled(bound, longest=0.5)
    three, four, noise = torch.randn(3), torch.randn(4), torch.randn(2)
    with warnings.catch_warnings(action="error"):
        for _ in range(2):
            torch.testing.assert_close(fast(three, noise), bound(three, noise))
    with pytest.warns(UserWarning, match=r"no effect here, torch.compile was not done after 0\.5 seconds"):
        torch.testing.assert_close(fast(four, noise), bound(four, noise))
    with warnings.catch_warnings(action="error"):
        for x in (four, three):
            torch.testing.assert_close(fast(x, noise), bound(x, noise))
    assert sizes == [3, 3, 4]
    assert signal.getsignal(signal.SIGALRM) is handler
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_a_step_is_not_cut_short_once_it_is_compiled_or_where_no_signal_arrives(monkeypatch):
    waits = []
    monkeypatch.setattr(torch, "compile", lambda *_, **__: lambda *given: time.sleep(waits.pop()) or bound(*given))
    x, noise = torch.randn(3), torch.randn(2)
    with warnings.catch_warnings(action="error"):
        fast = compiled(bound, longest=0.2)
        waits[:] = [0.4, 0.0]
        for _ in range(2):
            fast(x, noise)
        elsewhere = compiled(bound, longest=0.1)
        waits[:] = [0.3]
        thread = threading.Thread(target=elsewhere, args=(x, noise))
        thread.start()
        thread.join()
    assert not waits


def test_an_import_is_not_left_half_done(monkeypatch, tmp_path):
    """As setuptools' could be: whoever imports it next would find no half of it."""
    (tmp_path / "takes_a_while.py").write_text("import time\ntime.sleep(0.6)\nwhole = True\n")
    monkeypatch.syspath_prepend(tmp_path)
    imported = []

    def compile_(*_, **__):
        def slow(*_):
            imported.append(importlib.import_module("takes_a_while").whole)
            time.sleep(60)

        return slow

    monkeypatch.setattr(torch, "compile", compile_)
    x, noise = torch.randn(3), torch.randn(2)
    with pytest.warns(UserWarning, match="was not done after"):
        torch.testing.assert_close(compiled(bound, longest=0.1)(x, noise), bound(x, noise))
    assert imported == [True]
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_one_who_is_imported_is_interrupted_too(monkeypatch, tmp_path):
    """A script that trains as it is imported: what counts are the imports of the compiler's own."""
    (tmp_path / "trains_at_once.py").write_text("import builtins\nbuiltins.train_now()\n")
    monkeypatch.syspath_prepend(tmp_path)
    x, noise = torch.randn(3), torch.randn(2)
    monkeypatch.setattr(torch, "compile", lambda *_, **__: lambda *_: time.sleep(60))
    monkeypatch.setattr(builtins, "train_now", lambda: compiled(bound, longest=0.1)(x, noise), raising=False)
    with pytest.warns(UserWarning, match="was not done after"):
        importlib.import_module("trains_at_once")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on a CPU")
def test_the_compiler_itself_can_be_interrupted_and_goes_on_with_the_next(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    x, noise = torch.randn(3, requires_grad=True), torch.randn(2)
    with pytest.warns(UserWarning, match="was not done after"):
        torch.testing.assert_close(compiled(bound, longest=0.5)(x, noise), bound(x, noise))
    with warnings.catch_warnings(action="ignore"):
        warnings.filterwarnings("error", ".*no effect here")
        found = compiled(bound)(x, noise)
    torch.testing.assert_close(found, bound(x, noise))
    for one in (found, bound(x, noise)):
        torch.testing.assert_close(torch.autograd.grad(one.sum(), x)[0], noise.sum() * (1 - bound(x, noise) ** 2))


@pytest.mark.parametrize(
    "stacked", [pytest.param(True, marks=pytest.mark.slow), pytest.param(False, marks=pytest.mark.full)]
)
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on a CPU")
def test_compiled_steps_are_the_plain_ones_up_to_rounding(stacked, tmp_path):
    """By the program, one run and a stack, in processes of their own: here signatures are checked, which no compiler
    reads. It takes its time; a second run finds what the first has compiled.
    """

    env = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache")}

    def bounds(name, *options):
        words = [*TINY, "model=lidgmvae", "map.depth=2", "trainer.max_epochs=2", f"paths.runs={tmp_path / name}"]
        program = [sys.executable, "-c", COUNTING, *words, *options]
        outcome = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, timeout=1200, env=env)
        assert outcome.returncode == 0, outcome.stderr
        assert "has no effect" not in outcome.stdout + outcome.stderr
        counts = {key: int(number) for key, number in re.findall(r"(fxgraph_cache_\w+) (\d+)", outcome.stderr)}
        curve = [float(row["train/bound"]) for row in read_metrics(sorted((tmp_path / name).rglob("seed-0"))[0])]
        return curve, counts.get("fxgraph_cache_miss", 0), counts.get("fxgraph_cache_hit", 0)

    plain, *counts = bounds("plain")
    assert counts == [0, 0]
    if not stacked:
        assert bounds("compiled", "trainer.compile=true")[0] == pytest.approx(plain, rel=1e-3)
        return
    options = ("trainer.compile=reduce-overhead", "-m", "seed=0-1")
    curve, compiled, found = bounds("stack", *options)
    assert curve == pytest.approx(plain, rel=1e-3)
    assert compiled > 0
    assert found == 0
    again, compiled, found = bounds("again", *options)
    assert again == curve
    assert compiled == 0
    assert found > 0
