"""What is built has to fit into the memory, and is refused before it costs any."""

import resource

import pytest
import torch

from lid_vae.check import memory
from lid_vae.check.memory import built_within_memory
from lid_vae.errors import UserError


def made() -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.Linear(64, 8), torch.nn.Embedding(3, 64))


def test_large_arrays_are_drawn_as_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(3)
    plain = made().state_dict()
    for large in (2**26, 2**13, 0):  # none, the first, all
        monkeypatch.setattr(memory, "_LARGE", large)
        torch.manual_seed(3)
        torch.testing.assert_close(built_within_memory(made, "").state_dict(), plain, rtol=0, atol=0)


def test_nothing_is_filled_of_what_does_not_fit_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lid_vae.machine_memory.machine_memory", lambda: 2**31)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UserError, match=r"This model would take 2.25 GiB, and this machine has 2 GiB. Use less."):
        built_within_memory(lambda: [torch.nn.Linear(2**13, 2**13, bias=False) for _ in range(100)], "Use less.")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**18  # KiB
