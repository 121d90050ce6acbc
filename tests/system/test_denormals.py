"""Numbers below the normal ones are zeros within a run, and in no other program of the process."""

import pytest
import torch
from runs import Programs

from lid_vae.run import fit
from lid_vae.system.denormals import denormals_flushed


def smallest() -> float:
    return float(torch.tensor([2.0**-126]) * 2.0**-10)


pytestmark = pytest.mark.skipif(not torch.set_flush_denormal(False), reason="this processor cannot flush them")


def test_within_and_not_without():
    assert smallest() == 2.0**-136
    with denormals_flushed():
        assert smallest() == 0.0
        with denormals_flushed():
            assert smallest() == 0.0
        assert smallest() == 0.0
    with pytest.raises(ZeroDivisionError), denormals_flushed():
        raise ZeroDivisionError
    assert smallest() == 2.0**-136


def test_normal_numbers_are_as_they_were():
    x = torch.logspace(-37, 37, 75)
    plain = x.sqrt() * 3.7 - x.log()
    with denormals_flushed():
        assert torch.equal(x.sqrt() * 3.7 - x.log(), plain)


@pytest.mark.parametrize("sweep", [(), ("-m", "seed=0-1")])
def test_a_run_flushes_them(tmp_path, monkeypatch, sweep):
    seen = []
    original = fit.build_described

    def build(*arguments):
        seen.append(smallest())
        return original(*arguments)

    monkeypatch.setattr(fit, "build_described", build)
    outcome = Programs(tmp_path).train(*sweep)
    assert outcome.status == 0, outcome.err
    assert set(seen) == {0.0}
    assert smallest() == 2.0**-136
