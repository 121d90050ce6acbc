"""The callback under both names of Lightning: it logs what diagnose says, and leaves the training as it was."""

from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

import pytest
import torch
from builders import normal
from foreign_models import Tutorial
from torch.distributions import Normal
from torch.utils.data import DataLoader, TensorDataset

from lid_vae.diagnosis import CollapseMonitor, diagnose

X = (normal(64, 6) > 0).double()
NAMES = [
    "pytorch_lightning",
    pytest.param(
        "lightning.pytorch",
        marks=pytest.mark.skipif(find_spec("lightning") is None, reason="lightning is not installed"),
    ),
]


@pytest.fixture
def lightning(request: pytest.FixtureRequest) -> ModuleType:
    return import_module(request.param)


def training(pl: ModuleType, monitor: CollapseMonitor, folder: object, epochs: int = 3, validated: bool = True):
    class Module(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.vae = Tutorial()

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return self.vae(x)

        def decode(self, z: torch.Tensor) -> torch.Tensor:
            return self.vae.decode(z)

        def training_step(self, batch: list[torch.Tensor], index: int) -> torch.Tensor:
            out, mean, log_variance = self(batch[0])
            kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(-1)
            return ((out - batch[0]).square().sum(-1) + kl).mean()

        def validation_step(self, batch: list[torch.Tensor], index: int) -> None:
            self.log("loss", self.training_step(batch, index))

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), 0.05)

    module = Module()
    loader = DataLoader(TensorDataset(X), batch_size=32)
    trainer = pl.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        callbacks=[monitor],
        logger=False,
        enable_checkpointing=True,
        default_root_dir=folder,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, loader, loader if validated else None)
    return trainer, module


@pytest.mark.parametrize("lightning", NAMES, indirect=True)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_it_logs_what_diagnose_says(lightning: ModuleType, tmp_path) -> None:
    monitor = CollapseMonitor(likelihood="bernoulli", every=2, samples=5)
    trainer, module = training(lightning, monitor, tmp_path, epochs=4)
    assert [epoch for epoch, _ in monitor.history] == [1, 3]
    expected = diagnose(module, DataLoader(TensorDataset(X), batch_size=32), likelihood="bernoulli", samples=5)
    assert monitor.report is not None
    assert monitor.report.rows() == expected.rows()
    for name, value in expected.summary().items():
        assert float(trainer.callback_metrics[f"collapse/{name}"]) == pytest.approx(value, rel=1e-6)
    assert {"collapse/au", "collapse/kl", "collapse/mi", "collapse/ll", "collapse/mi_se"} <= set(
        trainer.callback_metrics
    )


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_it_leaves_the_training_as_it_was(tmp_path) -> None:
    """Weights and global random numbers after the same steps, with the monitor and without."""
    pl = import_module("pytorch_lightning")

    def weights(every: int) -> torch.Tensor:
        torch.manual_seed(0)
        monitor = CollapseMonitor(likelihood="bernoulli", every=every, samples=5)
        _, module = training(pl, monitor, tmp_path)
        assert module.training
        return torch.cat([*(one.flatten() for one in module.parameters()), torch.rand(3)])

    assert torch.equal(weights(1), weights(100))


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_parts_and_data_of_ones_own(tmp_path) -> None:
    pl = import_module("pytorch_lightning")
    monitor = CollapseMonitor(
        encode=lambda x: Normal(0.5 * x, torch.full_like(x, 0.8)),
        prior=Normal(0.0, 1.0),
        data=normal(30, 2),
        prefix="q/",
    )
    trainer, _ = training(pl, monitor, tmp_path, validated=False)
    assert monitor.report is not None
    assert monitor.report.examples == 30
    assert "q/kl" in trainer.callback_metrics
    assert "q/ll" not in trainer.callback_metrics


def test_it_has_a_callbacks_methods_and_no_others() -> None:
    monitor = CollapseMonitor()
    assert monitor.on_fit_start(None, None) is None
    assert monitor.setup(None, None, stage="fit") is None
    assert monitor.state_dict() == {}
    with pytest.raises(AttributeError, match="has no reports"):
        _ = monitor.reports
