"""SA-VAE: no refinement is amortised inference; refinement climbs the bound; gradients see through it."""

import pytest
import torch
from builders import COMBINATIONS, REPARAMETRISED, data, make_vae

from lid_vae.errors import UserError
from lid_vae.inference import Amortized, SemiAmortized
from lid_vae.noise import generator
from lid_vae.objective import ELBO
from lid_vae.posterior.constant import ConstantPosterior
from lid_vae.vae import Autoencoder

combinations = pytest.mark.parametrize(("prior", "mixture", "family"), COMBINATIONS)


def draw_noise(vae: Autoencoder, x: torch.Tensor, samples: int = 2) -> torch.Tensor:
    return vae.posterior.draw_noise(samples, len(x), generator("semi-amortised"))


@combinations
def test_zero_steps_are_amortised_inference(prior: str, mixture: str, family: str) -> None:
    vae = make_vae(prior, mixture, family)
    x = data(vae)
    noise = draw_noise(vae, x)
    expected = Amortized().posterior(vae, ELBO(), x, noise).sample(noise)
    found = SemiAmortized(steps=0).posterior(vae, ELBO(), x, noise).sample(noise)
    torch.testing.assert_close(found.w, expected.w, rtol=0, atol=0)
    torch.testing.assert_close(found.log_prob, expected.log_prob, rtol=0, atol=0)


@pytest.mark.parametrize(("prior", "mixture", "family"), REPARAMETRISED)
def test_small_steps_raise_the_bound_of_every_example(prior: str, mixture: str, family: str) -> None:
    vae = make_vae(prior, mixture, family, spread=0.5)
    x, objective = data(vae), ELBO()
    noise = draw_noise(vae, x)
    inference = SemiAmortized(steps=3, learning_rate=1e-4, momentum=0.0, clip=1.0)
    with torch.no_grad():
        parameters = vae.posterior.encode(x)
        refined = inference.refine(vae, objective, x, parameters, noise)
        before = objective(vae, x, vae.posterior.distribution(parameters), noise)
        after = objective(vae, x, vae.posterior.distribution(refined), noise)
    assert bool((after > before).all())


def test_momentum_accumulates() -> None:
    vae = make_vae("standard_normal", spread=0.3)
    x, objective = data(vae), ELBO()
    noise = draw_noise(vae, x)
    parameters = {name: value.detach() for name, value in vae.posterior.encode(x).items()}
    rate, momentum = 1e-6, 0.5
    inference = SemiAmortized(steps=2, learning_rate=rate, momentum=momentum, clip=None)
    refined = inference.refine(vae, objective, x, parameters, noise)
    mean = parameters["mean"].clone().requires_grad_()
    objective(vae, x, vae.posterior.distribution(parameters | {"mean": mean}), noise).sum().backward()
    # steps so small that the gradient stays: g, then g + momentum g
    torch.testing.assert_close(refined["mean"] - mean, rate * (2 + momentum) * mean.grad, rtol=1e-3, atol=1e-10)


def test_clipping_bounds_each_examples_step() -> None:
    vae = make_vae("gaussian", "enumerate", spread=1.0)
    x = data(vae)
    parameters = vae.posterior.encode(x)
    inference = SemiAmortized(steps=1, learning_rate=1.0, clip=1e-3)
    refined = inference.refine(vae, ELBO(), x, parameters, draw_noise(vae, x))
    square = sum((refined[name] - parameters[name]).square().sum(0) for name in ("logits",))
    square = square + sum((refined[name] - parameters[name]).square().sum((0, -1)) for name in ("mean", "raw_scale"))
    assert bool((square.sqrt() <= 1e-3 * (1 + 1e-6)).all())
    assert bool((square.sqrt() >= 0.9e-3).all()), "the gradients here are far above the bound"


@pytest.mark.parametrize(
    ("mixture", "family", "steps", "clip"),
    [
        ("conditional", "gaussian", 1, None),
        ("conditional", "gaussian", 3, None),
        ("conditional", "realnvp", 2, 0.8),
        ("enumerate", "gaussian", 2, 0.8),
    ],
)
def test_second_order_gradients_against_finite_differences(mixture: str, family: str, steps: int, clip) -> None:
    vae = make_vae("gaussian", mixture, family, spread=0.3)
    x, objective = data(vae), ELBO()
    noise = draw_noise(vae, x)
    inference = SemiAmortized(steps=steps, learning_rate=0.05, momentum=0.5, clip=clip)

    def bound() -> torch.Tensor:
        return objective(vae, x, inference.posterior(vae, objective, x, noise), noise).mean()

    first_order = torch.autograd.grad(
        objective(vae, x, Amortized().posterior(vae, objective, x, noise), noise).mean(), list(vae.parameters())
    )
    parameters = list(vae.parameters())
    gradients = torch.autograd.grad(bound(), parameters)
    differs = False
    for parameter, gradient, simple in zip(parameters, gradients, first_order, strict=True):
        index = int(gradient.abs().argmax())
        flat, size = parameter.data.view(-1), 1e-6
        middle = float(flat[index])
        values = []
        for shifted in (middle + size, middle - size):
            flat[index] = shifted
            values.append(float(bound().detach()))
        flat[index] = middle
        expected = (values[0] - values[1]) / (2 * size)
        assert float(gradient.view(-1)[index]) == pytest.approx(expected, rel=1e-5, abs=1e-7)
        differs |= not torch.allclose(gradient, simple, rtol=1e-3)
    assert differs, "the refinement must matter for this test to say anything"


def test_evaluation_refines_without_recording_a_graph() -> None:
    vae = make_vae("gaussian", "conditional")
    x = data(vae)
    noise = draw_noise(vae, x)
    with torch.no_grad():
        q = SemiAmortized(steps=2).posterior(vae, ELBO(), x, noise)
        amortised = Amortized().posterior(vae, ELBO(), x, noise)
    assert not q.mean.requires_grad
    assert not torch.equal(q.mean, amortised.mean)


def test_refinement_of_nothing_is_refused() -> None:
    vae = make_vae("standard_normal")
    vae.posterior = ConstantPosterior(vae.posterior.latent_dimension).double()
    x = data(vae)
    noise = draw_noise(vae, x)
    with pytest.raises(UserError, match=r"ConstantPosterior has no parameters to refine\. Use Amortized"):
        SemiAmortized(steps=1).posterior(vae, ELBO(), x, noise)
    q = SemiAmortized(steps=0).posterior(vae, ELBO(), x, noise)
    torch.testing.assert_close(q.sample(noise).w, noise, rtol=0, atol=0)


def test_refused_for_binary_latents() -> None:
    vae = make_vae("bernoulli", "conditional", "gaussian")
    x = data(vae)
    with pytest.raises(UserError, match="Use Amortized"):
        SemiAmortized(steps=1).posterior(vae, ELBO(samples=2), x, draw_noise(vae, x))


@pytest.mark.parametrize("options", [{"steps": -1}, {"learning_rate": 0.0}, {"momentum": 1.0}, {"clip": 0.0}])
def test_refused_options(options: dict[str, float]) -> None:
    with pytest.raises(UserError, match="SA-VAE needs"):
        SemiAmortized(**options)
