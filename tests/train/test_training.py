"""A model under Lightning's own trainer: one fit after the other, and what a frozen member keeps."""

import pytest
import pytorch_lightning as pl
import torch

from lid_vae.train.ensemble import Ensemble, MemberData
from lid_vae.train.member import Member
from lid_vae.train.training import Training


def rates(monkeypatch) -> list[float]:
    """The learning rate of every step from here on."""
    found = []
    training_step = Training.training_step

    def step(self, batch, index):
        training_step(self, batch, index)
        found.append(next(iter(self._optimizers.values())).param_groups[0]["lr"])

    monkeypatch.setattr(Training, "training_step", step)
    return found


def test_a_second_fit_has_the_schedule_of_a_first(make, run, monkeypatch):
    made = make("data=pinwheel", "model=gmvae")
    found = rates(monkeypatch)
    run(made, 2, False, logger=False)
    run(made, 2, False, logger=False)
    assert made[0].step == 8
    assert found[:8] == found[8:]
    assert len(set(found)) > 1


def test_the_same_trainer_goes_on(make, run, monkeypatch):
    made = make("data=pinwheel", "model=gmvae")
    found = rates(monkeypatch)
    trainer = run(made, 2, False, logger=False)
    trainer.fit_loop.max_epochs = 4
    trainer.fit(made[0], datamodule=made[1])
    assert made[0].step == 16
    assert len(found) == 16
    assert found[8:] != found[:8]


@pytest.mark.parametrize("optimizer", ["torch.optim.Adam", "torch.optim.NAdam"])
def test_a_frozen_member_stays_as_it_was(make, run, optimizer):
    """Under one optimiser of all, and under one of each."""
    options = ("data=pinwheel", "model=gmvae", f"optimizer._target_={optimizer}", "~optimizer.fused")
    made = [make(*options, f"seed={seed}") for seed in (0, 1)]
    members = [Member(module) for module, _ in made]
    members[1].error = RuntimeError("the sky fell")
    before = [[p.detach().clone() for p in module.parameters()] for module, _ in made]
    run((Ensemble(members, made[0][1]), MemberData(made[0][1], [0, 1])), 1, False, logger=False)
    moved = [
        any(not torch.equal(p, old) for p, old in zip(module.parameters(), olds, strict=True))
        for (module, _), olds in zip(made, before, strict=True)
    ]
    assert moved == [True, False]
    assert (made[0][0].step, made[1][0].step) == (4, 0)


@pytest.mark.slow
def test_lightnings_own_checkpoints_of_a_model_go_on(make, run, tmp_path):
    """``Trainer.fit(model)`` with its ModelCheckpoint, and ``ckpt_path``, as anybody would use them."""
    whole = make("data=pinwheel", "model=lagging_vae")
    run(whole, 4, False, logger=False)
    first, second = (make("data=pinwheel", "model=lagging_vae") for _ in range(2))

    class Keep(pl.Callback):
        def on_train_epoch_end(self, trainer, pl_module) -> None:
            if trainer.current_epoch == 1:
                trainer.save_checkpoint(tmp_path / "half.ckpt")

    run(first, 4, False, logger=False, callbacks=[Keep()])
    run(second, 4, False, logger=False, ckpt_path=tmp_path / "half.ckpt")
    for ours, theirs in zip(second[0].state_dict().values(), whole[0].state_dict().values(), strict=True):
        assert torch.equal(ours, theirs)
