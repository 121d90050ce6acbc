"""A restart in the middle of training: where it falls, what begins again, and what goes on."""

import pytest
import pytorch_lightning as pl
import torch

from lid_vae.errors import UserError
from lid_vae.train.restart import Restart


class Watch(pl.Callback):
    """Decoder, encoder and optimiser just before each step, after the restart's own hook."""

    def __init__(self) -> None:
        self.decoder, self.encoder, self.moments = [], [], []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
        vae = pl_module.vae
        self.decoder.append(torch.nn.utils.parameters_to_vector(vae.likelihood.parameters()).detach().clone())
        self.encoder.append(torch.nn.utils.parameters_to_vector(vae.posterior.parameters()).detach().clone())
        self.moments.append(sum(len(optimizer.state) for optimizer in trainer.optimizers))


def watched(make, run, restart: Restart) -> Watch:
    watch = Watch()
    made = make("data=pinwheel", "model=vae", "objective=autoencoder_pretraining")
    run(made, epochs=2, bar=False, callbacks=[restart, watch], logger=False)
    assert len(watch.decoder) == 8
    return watch


def test_the_decoder_begins_again_and_the_encoder_goes_on(make, run) -> None:
    watch = watched(make, run, Restart(share=0.5))
    equal = [torch.equal(vector, watch.decoder[0]) for vector in watch.decoder]
    assert equal == [True, False, False, False, True, False, False, False]
    assert [count > 0 for count in watch.moments] == [False, True, True, True, False, True, True, True]
    assert all(not torch.equal(watch.encoder[step], watch.encoder[step + 1]) for step in range(7))


def test_the_decoder_may_stay(make, run) -> None:
    watch = watched(make, run, Restart(share=0.5, reset_decoder=False))
    assert not torch.equal(watch.decoder[4], watch.decoder[0])
    assert watch.moments[4] == 0


def test_no_share_is_no_restart(make, run) -> None:
    watch = watched(make, run, Restart(share=0.0))
    assert all(not torch.equal(vector, watch.decoder[0]) for vector in watch.decoder[1:])
    assert all(count > 0 for count in watch.moments[1:])


def test_the_first_weights_travel_until_they_are_used(make, run) -> None:
    restart = Restart(share=0.5)
    made = make("data=pinwheel", "model=vae")
    begun = {name: value.clone() for name, value in made[0].vae.likelihood.named_parameters()}
    restart.on_fit_start(pl.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False), made[0])
    restored = Restart(share=0.5)
    restored.load_state_dict(restart.state_dict())
    assert restored.decoder.keys() == begun.keys()
    assert all(torch.equal(restored.decoder[name], begun[name]) for name in begun)
    run(made, bar=False, callbacks=[restart], logger=False)
    assert restart.state_dict() == {"decoder": {}}


@pytest.mark.parametrize("share", [1.0, -0.1])
def test_shares_outside_training_are_refused(share: float) -> None:
    with pytest.raises(UserError, match=r"in \[0, 1\)"):
        Restart(share)


def test_several_seeds_at_once_are_refused() -> None:
    with pytest.raises(UserError, match="needs a single run, and LightningModule"):
        Restart().on_fit_start(None, pl.LightningModule())
