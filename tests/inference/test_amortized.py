"""Amortised inference: one encoder pass, the same in training and evaluation, and one joint step."""

import pytest
import torch
from builders import COMBINATIONS, bound_of, data, infer, make_vae

from lid_vae.inference import Amortized, Update
from lid_vae.objective import ELBO
from lid_vae.train.step.take_step import take_step

combinations = pytest.mark.parametrize(("prior", "mixture", "family"), COMBINATIONS)


@combinations
def test_q_is_the_encoders(prior: str, mixture: str, family: str) -> None:
    vae = make_vae(prior, mixture, family)
    x = data(vae)
    expected, noise = infer(vae, x, 2)
    found = Amortized().posterior(vae, ELBO(), x, noise).sample(noise)
    torch.testing.assert_close(found.w, expected.sample(noise).w, rtol=0, atol=0)
    torch.testing.assert_close(found.log_prob, expected.sample(noise).log_prob, rtol=0, atol=0)


@combinations
def test_one_joint_step_on_the_negative_mean_bound(prior: str, mixture: str, family: str) -> None:
    vae, inference, objective = make_vae(prior, mixture, family), Amortized(), ELBO(samples=2)
    x = data(vae)
    q, noise = infer(vae, x, 2)
    losses = []

    def minimise(loss: torch.Tensor, update: Update) -> None:
        losses.append((update.group, loss))

    def extra(number: int) -> tuple[torch.Tensor, torch.Tensor]:
        raise AssertionError("amortised inference needs no extra batches")

    value = take_step(inference.updates(), bound_of(inference, objective, vae), minimise, x, noise, extra)
    torch.testing.assert_close(value, objective(vae, x, q, noise))
    assert not value.requires_grad
    ((group, loss),) = losses
    assert group == "all"
    assert inference.groups == ("all",)
    torch.testing.assert_close(loss, -value.mean())
    loss.backward()
    for parameters in (vae.model_parameters(), vae.posterior_parameters()):
        assert any(parameter.grad is not None and bool((parameter.grad != 0).any()) for parameter in parameters)


def test_evaluation_needs_no_gradient() -> None:
    assert Amortized().needs_gradient is False
    vae = make_vae()
    x = data(vae)
    with torch.inference_mode():
        q = Amortized().posterior(vae, ELBO(), x, infer(vae, x, 1)[1])
    assert not q.mean.requires_grad


def test_steps_raise_the_bound() -> None:
    vae, inference, objective = make_vae("standard_normal", spread=0.3), Amortized(), ELBO()
    x = data(vae, 64)
    optimizer = torch.optim.Adam(vae.parameters(), 1e-2)

    def minimise(loss: torch.Tensor, update: Update) -> None:
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    bound = bound_of(inference, objective, vae)
    bounds = [
        float(take_step(inference.updates(), bound, minimise, x, infer(vae, x, 1, step)[1], lambda _: (x, x)).mean())
        for step in range(60)
    ]
    assert sum(bounds[-10:]) / 10 > sum(bounds[:10]) / 10 + 0.5
