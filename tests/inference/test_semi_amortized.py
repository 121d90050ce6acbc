"""SA-VAE: no refinement is amortised inference; refinement climbs the bound; gradients see through it."""

import math

import pytest
import torch
from builders import COMBINATIONS, REPARAMETRISED, data, make_vae, ppca_vae

from lid_vae.classical.ppca import PPCA
from lid_vae.errors import UserError
from lid_vae.inference import Amortized, SemiAmortized
from lid_vae.inference.semi_amortized import JUDGES
from lid_vae.map import composed_brenier
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


def refined_bound(vae: Autoencoder, x: torch.Tensor, inference: SemiAmortized, samples: int = 1) -> torch.Tensor:
    """By a thousand draws that refinement has not seen, of each example."""
    with torch.no_grad():
        q = inference.posterior(vae, ELBO(), x, draw_noise(vae, x, samples))
        draws = vae.posterior.draw_noise(1000, len(x), generator("unseen"))
        return ELBO(samples=1000)(vae, x, q, draws)


@pytest.mark.parametrize("rate", [0.1, 1.0, 10.0])
@pytest.mark.parametrize(("prior", "mixture", "family"), REPARAMETRISED)
def test_guarded_steps_do_no_harm(prior: str, mixture: str, family: str, rate: float) -> None:
    """By unseen draws: at most one nat for five steps of any size, where plain ones of such a size lose hundreds.

    Of real latents; of positive ones, whose exponentials a single example can throw off, less than plain steps do.
    """
    vae = make_vae(prior, mixture, family, spread=0.3)
    x = data(vae, 40)
    options = {"steps": 5, "learning_rate": rate}
    before = refined_bound(vae, x, SemiAmortized(steps=0))
    guarded = float((refined_bound(vae, x, SemiAmortized(**options, guard=True)) - before).mean())
    plain = float((refined_bound(vae, x, SemiAmortized(**options)) - before).mean())
    assert guarded > (-1 if vae.prior.support == "real" else -math.inf)
    if rate == 10:
        assert not plain > -10
        assert not plain >= guarded


def test_few_draws_in_many_dimensions_are_no_trap() -> None:
    """Of 40 latents with the exact posterior: what raises the bound by one draw lowers the true one."""
    weight = torch.randn(40, 60, generator=generator("weight"), dtype=torch.float64)
    model = PPCA(weight, 0.5, torch.zeros(60, dtype=torch.float64)).in_principal_axes()
    vae, x = ppca_vae(model), model.sample(100, generator("x"))
    options = {"steps": 10, "learning_rate": 0.1, "clip": 5.0}
    exact = float(refined_bound(vae, x, SemiAmortized(steps=0)).mean())
    guarded = float(refined_bound(vae, x, SemiAmortized(**options, guard=True)).mean())
    plain = float(refined_bound(vae, x, SemiAmortized(**options)).mean())
    assert exact - 1.5 < guarded <= exact + 0.1
    assert plain < exact - 5


def test_guarded_steps_that_all_rise_are_plain_ones_each_by_draws_of_its_own() -> None:
    vae = make_vae("gaussian", "enumerate", spread=0.5)
    x, objective = data(vae), ELBO()
    noise = draw_noise(vae, x)
    rate, momentum = 1e-4, 0.5
    inference = SemiAmortized(steps=3, learning_rate=rate, momentum=momentum, clip=None, guard=True)
    with torch.no_grad():
        start = vae.posterior.encode(x)
        found = inference.refine(vae, objective, x, start, noise)
    at = {name: value.clone() for name, value in start.items()}
    velocity = {name: torch.zeros_like(value) for name, value in start.items()}
    for shift in (0, 1, 2):
        leaves = {name: value.detach().requires_grad_() for name, value in at.items()}
        objective(vae, x, vae.posterior.distribution(leaves), noise.roll(shift, -2)).sum().backward()
        velocity = {name: momentum * velocity[name] + leaf.grad for name, leaf in leaves.items()}
        at = {name: value + rate * velocity[name] for name, value in at.items()}
    for name, value in at.items():
        torch.testing.assert_close(found[name], value.detach(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("batch", [1, 2, 3, 7])
def test_no_draw_is_the_one_by_which_q_is_sampled(batch: int) -> None:
    vae = make_vae("standard_normal", spread=0.3)
    x = data(vae, batch)
    seen = []

    class Watched(ELBO):
        def forward(self, vae, x, q, noise):
            seen.append(noise)
            return super().forward(vae, x, q, noise)

    noise = draw_noise(vae, x)
    with torch.no_grad():
        SemiAmortized(steps=5, learning_rate=0.1, guard=True).posterior(vae, Watched(), x, noise)
    assert len(seen) == 5 * (1 + 2 * JUDGES)
    own = [bool((one == noise[0]).all(-1).any()) for one in seen]
    assert own == [batch == 1] * len(seen)


def test_a_step_to_where_the_bound_is_no_number_is_taken_back() -> None:
    """And second-order gradients through the refinement are numbers."""
    vae = make_vae("standard_normal", spread=0.5)
    x = data(vae)
    noise = draw_noise(vae, x)
    edge = float(vae.posterior.encode(x)["mean"].max().detach()) + 0.5

    class Cliff(ELBO):
        def forward(self, vae, x, q, noise):
            value = super().forward(vae, x, q, noise)
            return torch.where(q.mean[0].amax(-1) > edge, torch.nan, value)

    inference = SemiAmortized(steps=8, learning_rate=100.0, clip=None, guard=True)
    refined = inference.refine(vae, Cliff(), x, vae.posterior.encode(x), noise)
    assert float(refined["mean"].max().detach()) <= edge
    assert not torch.equal(refined["mean"], vae.posterior.encode(x)["mean"])
    Cliff()(vae, x, vae.posterior.distribution(refined), noise).sum().backward()
    assert all(bool(parameter.grad.isfinite().all()) for parameter in vae.parameters() if parameter.grad is not None)


@pytest.mark.parametrize("guard", [None, False, True])
@pytest.mark.parametrize("injective", [False, True])
def test_of_itself_it_guards_injective_decoders(guard: bool | None, injective: bool) -> None:
    torch.manual_seed(0)
    map_ = composed_brenier(2, 4, 6, 1, lift="random") if injective else None
    vae = make_vae("standard_normal", spread=0.3, map_=map_)
    x = data(vae)
    noise = draw_noise(vae, x)
    options = {"steps": 4, "learning_rate": 0.2}
    with torch.no_grad():
        found, plain, guarded = (
            SemiAmortized(**options, guard=one).posterior(vae, ELBO(), x, noise).mean for one in (guard, False, True)
        )
    assert not torch.equal(plain, guarded)
    assert torch.equal(found, guarded if guard or (guard is None and injective) else plain)


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
    ("mixture", "family", "steps", "clip", "rate", "guard"),
    [
        ("conditional", "gaussian", 1, None, 0.05, False),
        ("conditional", "gaussian", 3, None, 0.05, False),
        ("conditional", "realnvp", 2, 0.8, 0.05, False),
        ("conditional", "context", 2, 0.8, 0.05, False),
        ("enumerate", "gaussian", 2, 0.8, 0.05, False),
        ("conditional", "gaussian", 3, None, 0.5, True),  # where some steps are taken back
    ],
)
def test_second_order_gradients_against_finite_differences(
    mixture: str, family: str, steps: int, clip: float | None, rate: float, guard: bool
) -> None:
    vae = make_vae("gaussian", mixture, family, spread=0.3)
    x, objective = data(vae), ELBO()
    noise = draw_noise(vae, x)
    inference = SemiAmortized(steps=steps, learning_rate=rate, momentum=0.5, clip=clip, guard=guard)

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


@pytest.mark.parametrize("guard", [False, True])
@pytest.mark.parametrize(("mixture", "family"), [("conditional", "gaussian"), ("enumerate", "realnvp")])
def test_of_first_order_the_steps_are_constants(mixture: str, family: str, guard: bool) -> None:
    """The same q, bit for bit; the gradient is the slope where the steps end, carried to the encoder by itself."""
    vae = make_vae("gaussian", mixture, family, spread=0.3)
    x, objective = data(vae), ELBO()
    noise = draw_noise(vae, x)
    second, first = (
        SemiAmortized(steps=3, learning_rate=0.1, guard=guard, first_order=order) for order in (False, True)
    )

    def bound(parameters: dict[str, torch.Tensor]) -> torch.Tensor:
        return objective(vae, x, vae.posterior.distribution(parameters), noise).mean()

    encoded = vae.posterior.encode(x)
    refined = first.refine(vae, objective, x, encoded, noise)
    ends = second.refine(vae, objective, x, encoded, noise)
    assert all(torch.equal(refined[name], value) for name, value in ends.items())
    assert not all(torch.equal(refined[name], value) for name, value in encoded.items())
    leaves = {name: value.detach().requires_grad_() for name, value in ends.items()}
    weights = [*vae.parameters()]
    slope = torch.autograd.grad(bound(leaves), [*leaves.values(), *weights], allow_unused=True)
    at_the_end, directly = slope[: len(leaves)], slope[len(leaves) :]
    carried = torch.autograd.grad([*encoded.values()], weights, at_the_end, allow_unused=True, retain_graph=True)
    found = torch.autograd.grad(bound(refined), weights, allow_unused=True)
    for one, own, through in zip(found, directly, carried, strict=True):
        expected = sum(part for part in (own, through) if part is not None)
        torch.testing.assert_close(one if one is not None else 0, expected, rtol=1e-9, atol=1e-12)


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
