"""What Lightning sets for every program that imports it, undone where it costs."""

import os

import torch
from runs import Programs

from lid_vae.system.lightning_defaults import NVML, prepare_lightning


def test_no_step_looks_for_gpus(tmp_path, monkeypatch):
    """``optimizer.step`` asks whether there is one, by a library that is loaded anew each time where there is none."""
    looks = []
    original = torch.cuda._device_count_nvml
    monkeypatch.setattr(torch.cuda, "_device_count_nvml", lambda: looks.append(1) or original())
    monkeypatch.setenv(NVML, "1")
    outcome = Programs(tmp_path).train("trainer.max_epochs=20", "model=gmvae")
    assert outcome.status == 0, outcome.err
    assert len(looks) < outcome.result["steps"] / 2


def test_where_there_is_one_forks_stay_safe(monkeypatch):
    monkeypatch.setenv(NVML, "1")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    prepare_lightning()
    assert os.environ[NVML] == "1"
