"""Lagging VAE: the two stop rules, the groups that move, and joint training when it is off."""

import pytest
import torch
from builders import bound_of, data, make_vae
from torch import nn

from lid_vae.errors import UserError
from lid_vae.inference import Aggressive, Update
from lid_vae.noise import generator
from lid_vae.objective import ELBO
from lid_vae.train.step.take_step import take_step


class Scripted(ELBO):
    """An ELBO whose value follows a script, one entry a call."""

    def __init__(self, script: list[float]) -> None:
        super().__init__()
        self.script = iter(script)

    def forward(self, vae, x, q, noise):
        return torch.full((len(x),), next(self.script), dtype=x.dtype, requires_grad=True)


def run(inference: Aggressive, objective: ELBO) -> list[str]:
    """The groups that one update steps, in order."""
    vae = make_vae("standard_normal")
    x = data(vae)
    noise = vae.posterior.draw_noise(1, len(x), generator("aggressive"))
    groups: list[str] = []

    def minimise(loss: torch.Tensor, update: Update) -> None:
        assert update.members is None
        groups.append(update.group)

    take_step(inference.updates(), bound_of(inference, objective, vae), minimise, x, noise, lambda number: (x, noise))
    return groups


def test_inner_loop_ends_when_a_window_does_not_rise():
    script = [1.0, 2.0, 3.0, 4.0, 4.0, 3.0, 9.0]
    assert run(Aggressive(window=2, most=100), Scripted(script)) == ["posterior"] * 6 + ["model"]


def test_inner_loop_has_an_end():
    script = [float(k) for k in range(20)]
    assert run(Aggressive(window=2, most=7), Scripted(script)) == ["posterior"] * 7 + ["model"]


def test_aggressive_training_ends_when_information_does_not_rise():
    inference = Aggressive()
    for information, active in [(0.1, True), (0.2, True), (0.15, False), (0.9, False)]:
        inference.validated(torch.tensor(information))
        assert bool(inference.active) is active
    assert run(inference, Scripted([1.0])) == ["all"]


@pytest.mark.parametrize("patience", [1, 2, 3])
def test_patience_counts_the_validations_below_the_best(patience: int):
    inference, ended = Aggressive(patience=patience), []
    for information in [0.1, 0.3, 0.2, 0.25, 0.4, 0.3, 0.5]:  # misses: the third, the fourth and the sixth
        inference.validated(torch.tensor(information))
        ended.append(not bool(inference.active))
    assert ended.index(True) == {1: 2, 2: 3, 3: 5}[patience]
    assert all(ended[ended.index(True) :]), "for good"


def test_seeds_end_each_for_itself():
    inference = Aggressive()
    for name in ("active", "best_information", "misses"):
        setattr(inference, name, getattr(inference, name).expand(2).clone())
    inference.validated(torch.tensor([0.1, 0.2]))
    inference.validated(torch.tensor([0.05, 0.3]))
    assert inference.active.tolist() == [False, True]


def test_the_state_travels_in_the_state_dict():
    inference, restored = Aggressive(), Aggressive()
    inference.validated(torch.tensor(0.3))
    inference.validated(torch.tensor(0.2))
    restored.load_state_dict(inference.state_dict())
    assert not bool(restored.active)
    assert float(restored.best_information) == pytest.approx(0.3)
    assert int(restored.misses) == 1


def test_off_is_one_joint_step():
    assert run(Aggressive(aggressive=False), ELBO()) == ["all"]


def test_inner_steps_use_fresh_batches_and_move_the_posterior_alone():
    vae = make_vae("standard_normal", spread=0.3)
    x = data(vae)
    noise = vae.posterior.draw_noise(1, len(x), generator("aggressive"))
    before = {name: value.clone() for name, value in vae.state_dict().items()}
    optimizers = {
        "posterior": torch.optim.SGD(vae.posterior_parameters(), 1e-3),
        "model": torch.optim.SGD(vae.model_parameters(), 0.0),
    }
    drawn: list[int] = []

    def minimise(loss: torch.Tensor, update: Update) -> None:
        nn.Module.zero_grad(vae)
        loss.backward()
        optimizers[update.group].step()

    def extra(number: int) -> tuple[torch.Tensor, torch.Tensor]:
        drawn.append(number)
        return x, noise

    inference = Aggressive(window=1, most=3)
    take_step(inference.updates(), bound_of(inference, ELBO(), vae), minimise, x, noise, extra)
    assert drawn == list(range(1, len(drawn) + 1))
    moved = {name.split(".")[0] for name, value in vae.state_dict().items() if not torch.equal(value, before[name])}
    assert moved == {"posterior"}


@pytest.mark.parametrize("options", [{"window": 0}, {"most": 0}, {"patience": 0}])
def test_refused_options(options: dict[str, int]):
    with pytest.raises(UserError, match="aggressive loop needs"):
        Aggressive(**options)
