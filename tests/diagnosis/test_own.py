"""Trained modules of this package, on their own data modules, and while they train."""

import pytest
import torch

import lid_vae
from lid_vae.run.record import split_evaluator


@pytest.mark.parametrize("model", ["lidgmvae", "vae"])
def test_a_module_and_its_data_module(make, model: str) -> None:
    """Batches, draws and figures are those of ``evaluate.py``."""
    module, data = make(f"model={model}", "data=pinwheel")
    data.setup()
    report = lid_vae.diagnose(module, data, samples=6)
    evaluator = split_evaluator(module, data, 6)
    for batch in data.batches("test"):
        evaluator.update(batch.x, batch.y)
    expected = evaluator.compute()
    assert report.model == type(module).__name__
    assert report.examples == expected["examples"]
    assert report.ll is not None
    assert report.ll.value == pytest.approx(expected["ll"]["mean"], abs=1e-6)
    for name, block in report.latent.items():
        assert block.kl.estimate == pytest.approx(expected["latent"][name]["kl"], abs=1e-6)
        assert block.au.value == pytest.approx(expected["latent"][name]["au"])


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_monitor_of_a_module_of_ours(make, run) -> None:
    made = make("model=vae", "data=pinwheel")
    monitor = lid_vae.CollapseMonitor(samples=4)
    trainer = run(made, epochs=1, bar=False, callbacks=[monitor], logger=False)
    assert monitor.report is not None
    assert monitor.report.examples == 40
    assert torch.isfinite(trainer.callback_metrics["collapse/ll"])
