"""A compiled bound is the bound; what does not compile is run as it is, and says so."""

import pytest
import torch

from lid_vae.module.compiled import compiled


def bound(x, noise):
    return (x * noise.sum()).tanh()


def test_the_function_is_compiled_once(monkeypatch):
    seen = []

    def compile_(function):
        seen.append(function)
        return lambda *arguments: function(*arguments) + 0.0

    monkeypatch.setattr(torch, "compile", compile_)
    fast = compiled(bound)
    x, noise = torch.randn(3), torch.randn(2)
    for _ in range(2):
        torch.testing.assert_close(fast(x, noise), bound(x, noise))
    assert seen == [bound]


def test_what_does_not_compile_is_run_as_it_is(monkeypatch):
    def failing(*_):
        raise torch._dynamo.exc.InternalTorchDynamoError("no compiler")

    monkeypatch.setattr(torch, "compile", lambda function: failing)
    fast = compiled(bound)
    x, noise = torch.randn(3), torch.randn(2)
    with pytest.warns(UserWarning, match="has no effect here"):
        torch.testing.assert_close(fast(x, noise), bound(x, noise))
    torch.testing.assert_close(fast(x, noise), bound(x, noise))


@pytest.mark.slow
def test_compiled_steps_are_the_plain_ones_up_to_rounding(tmp_path):
    """By the program, one run and a stack; the compiler takes its time."""
    from runs import Programs, read_metrics

    programs = Programs(tmp_path)
    options = ("model=lidgmvae", "map.depth=2", "trainer.max_epochs=2")
    plain = programs.train(*options)
    rows = {"alone": plain.folder}
    rows["compiled"] = programs.train(*options, "trainer.compile=true", f"paths.runs={tmp_path / 'c'}").folder
    stack = programs.train(*options, "trainer.compile=true", "-m", "seed=0-1", f"paths.runs={tmp_path / 's'}")
    assert stack.status == 0, stack.err
    rows["stack"] = sorted((tmp_path / "s").rglob("seed-0"))[0]
    bounds = {name: [float(row["train/bound"]) for row in read_metrics(folder)] for name, folder in rows.items()}
    assert bounds["compiled"] == pytest.approx(bounds["alone"], rel=1e-3)
    assert bounds["stack"] == pytest.approx(bounds["alone"], rel=1e-3)
