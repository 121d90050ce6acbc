"""A restart in the middle of training: where it falls, what begins again, and what goes on, alone and in a stack."""

import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_pre_hook

from lid_vae.errors import UserError
from lid_vae.train.ensemble import Ensemble, MemberData
from lid_vae.train.hooks.restart import Restart
from lid_vae.train.member import Member


class Watch:
    """Decoder, encoder and optimiser just before each step, after the restart's own hook."""

    def __init__(self) -> None:
        self.decoder, self.encoder, self.moments = [], [], []
        self.training = None

    def before_step(self, member) -> None:
        vae = member.module.vae
        self.decoder.append(torch.nn.utils.parameters_to_vector(vae.likelihood.parameters()).detach().clone())
        self.encoder.append(torch.nn.utils.parameters_to_vector(vae.posterior.parameters()).detach().clone())


class Moments:
    """How many parameters the optimiser has a state for when it steps."""

    def __init__(self) -> None:
        self.counts = []

    def __call__(self, optimizer, *_) -> None:
        self.counts.append(len(optimizer.state))


def watched(make, run, restart: Restart, *options: str) -> Watch:
    watch, moments = Watch(), Moments()
    made = make("data=pinwheel", "model=vae", "objective=autoencoder_pretraining", *options)
    handle = register_optimizer_step_pre_hook(moments)
    try:
        run(made, epochs=2, bar=False, hooks=[restart, watch], logger=False)
    finally:
        handle.remove()
    watch.moments = moments.counts
    assert len(watch.decoder) == len(watch.moments) == 8
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
    restart.before_fit(Member(made[0]))
    restored = Restart(share=0.5)
    restored.load_state_dict(restart.state_dict())
    assert restored.decoder.keys() == begun.keys()
    assert all(torch.equal(restored.decoder[name], begun[name]) for name in begun)
    run(made, bar=False, hooks=[restart], logger=False)
    assert restart.state_dict() == {"decoder": {}}


@pytest.mark.parametrize("inference", ["amortized", "aggressive inference.window=1 inference.most=2"])
def test_a_stack_forgets_its_moments(make, run, inference) -> None:
    """One optimiser of all, or one for each: none has a state at the step after a restart."""
    options = ["data=pinwheel", "model=vae", f"inference={inference.split()[0]}", *inference.split()[1:]]
    made = [make(*options, f"seed={seed}") for seed in (0, 1)]
    watches, moments = [Watch(), Watch()], Moments()
    members = [Member(module, [Restart(0.5), watch]) for (module, _), watch in zip(made, watches, strict=True)]
    _, data = made[0]
    handle = register_optimizer_step_pre_hook(moments)
    try:
        run((Ensemble(members, data), MemberData(data, [0, 1])), epochs=2, bar=False, logger=False)
    finally:
        handle.remove()
    for watch in watches:
        equal = [torch.equal(vector, watch.decoder[0]) for vector in watch.decoder]
        assert equal == [True, False, False, False, True, False, False, False]
    assert not torch.equal(watches[0].decoder[4], watches[1].decoder[4])
    if inference == "amortized":
        assert [count > 0 for count in moments.counts] == [False, True, True, True, False, True, True, True]
    else:
        assert moments.counts.count(0) >= 2 * len(watches), "at the start and after the restart"


@pytest.mark.parametrize("share", [1.0, -0.1])
def test_shares_outside_training_are_refused(share: float) -> None:
    with pytest.raises(UserError, match=r"in \[0, 1\)"):
        Restart(share)
