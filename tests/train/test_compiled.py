"""A compiled bound is the bound; what does not compile is run as it is, and says so."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from runs import TINY, read_metrics

from lid_vae.train.step.compiled import compiled

ROOT = Path(__file__).resolve().parents[2]


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


@pytest.mark.parametrize(
    "stacked", [pytest.param(True, marks=pytest.mark.slow), pytest.param(False, marks=pytest.mark.full)]
)
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on a CPU")
def test_compiled_steps_are_the_plain_ones_up_to_rounding(stacked, tmp_path):
    """By the program, one run and a stack, in processes of their own: here signatures are checked, which no compiler
    reads. It takes its time.
    """

    def bounds(name, *options):
        words = [*TINY, "model=lidgmvae", "map.depth=2", "trainer.max_epochs=2", f"paths.runs={tmp_path / name}"]
        program = [sys.executable, "train.py", *words, *options]
        outcome = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, timeout=1200)
        assert outcome.returncode == 0, outcome.stderr
        assert "has no effect" not in outcome.stdout + outcome.stderr
        return [float(row["train/bound"]) for row in read_metrics(sorted((tmp_path / name).rglob("seed-0"))[0])]

    plain = bounds("plain")
    if not stacked:
        assert bounds("compiled", "trainer.compile=true") == pytest.approx(plain, rel=1e-3)
        return
    assert bounds("stack", "trainer.compile=reduce-overhead", "-m", "seed=0-1") == pytest.approx(plain, rel=1e-3)
