"""Chains there and back: their weights are unbiased, whatever the moves, and without moves importance sampling."""

import pytest
import torch
from builders import REPARAMETRISED, data, infer, make_vae, normal

from lid_vae.distribution import FlowGaussian
from lid_vae.errors import UserError
from lid_vae.measure.annealed import Annealing, PosteriorTarget, target_of
from lid_vae.measure.annealed.chains import forward, reverse, tune
from lid_vae.noise import generator

EVIDENCE = -1.7
# Four and a half standard errors of a mean: 7 in a million seeds.
ERRORS = 4.5


def streams(key: object, count: int):
    return lambda number: [generator("chains", str(key), number, k) for k in range(count)]


def known_target() -> tuple[PosteriorTarget, torch.Tensor, torch.Tensor]:
    """From N(0, I) to EVIDENCE and the log of a normal density in two dimensions, with its mean and scale."""
    mean, scale = torch.tensor([0.8, -0.5]).double(), torch.tensor([0.5, 0.9]).double()
    unit = torch.ones(1, 1, 2, dtype=torch.float64)
    target = PosteriorTarget(
        FlowGaussian(0 * unit, unit), lambda w: EVIDENCE + torch.distributions.Normal(mean, scale).log_prob(w).sum(-1)
    )
    return target, mean, scale


@pytest.mark.parametrize("schedule", ["linear", "sigmoid"])
@pytest.mark.parametrize("steps", [0, 1, 4])
def test_weights_are_unbiased_in_both_directions(steps: int, schedule: str) -> None:
    """E a = p(x) of forward chains, and E 1 / a = 1 / p(x) of those back, with moves that are far from mixing."""
    target, mean, scale = known_target()
    annealing = Annealing(steps=steps, chains=20_000, leapfrog=1, schedule=schedule)
    sizes = torch.full((steps, 1), 0.7, dtype=torch.float64) * torch.linspace(0.5, 1.5, steps).double().unsqueeze(-1)
    weight = (forward(target, annealing, sizes, streams("there", 1)).log_weight - EVIDENCE).exp()
    assert abs(float(weight.mean()) - 1) < ERRORS * float(weight.std() / len(weight) ** 0.5)
    exact = mean + scale * normal(20_000, 1, 2, key="posterior")
    back = reverse(target, annealing, sizes, exact, streams("back", 1))
    inverse = (EVIDENCE - back.log_weight).exp()
    assert abs(float(inverse.mean()) - 1) < ERRORS * float(inverse.std() / len(inverse) ** 0.5)
    assert float(weight.std()) > 0.1
    assert torch.equal(back.sizes, sizes.flip(0)), "a chain back takes the forward chains' moves"


@pytest.mark.parametrize(("prior", "mixture", "family"), REPARAMETRISED)
def test_without_moves_it_is_importance_sampling(prior: str, mixture: str, family: str) -> None:
    """The weights are p(x, w) / q(w | x) exactly, of the draws that the start makes."""
    vae = make_vae(prior, mixture, family)
    x = data(vae, 4)
    annealing = Annealing(steps=0, chains=6)
    with torch.no_grad():
        target = target_of(vae)(x, 0)
        found = forward(target, annealing, torch.zeros(0, 4).double(), streams("q", 4)).log_weight
        u = target.sample_start(6, streams("q", 4)(0))
        q, _ = infer(vae, x, 1)
        v = target.center_BM + target.width_BM * u
        if q.log_category is None:
            torch.testing.assert_close(found, vae.terms(x, q, u.unsqueeze(1)).log_evidence_weight())
        else:
            # the same w for every category: each row of the sample is then q(w | x)'s own
            sample = q.sample((v.unsqueeze(1) - q.mean) / q.scale)
            log_joint = vae.prior().log_prob(sample.w) + vae.likelihood(sample.w).log_prob(x)
            weights = log_joint - q.marginal_log_prob(sample)
            torch.testing.assert_close(found, weights[:, 0])
            torch.testing.assert_close(found, weights[:, 2])


@pytest.mark.parametrize(("prior", "mixture", "family"), REPARAMETRISED)
def test_coordinates_are_those_of_the_draws(prior: str, mixture: str, family: str) -> None:
    """A w goes to the u whose density the chains see, and the same p(x, w) is there; from either start."""
    vae = make_vae(prior, mixture, family)
    x = data(vae, 5)
    with torch.no_grad():
        w = vae.prior().sample(5, generator("w"))
        log_joint = vae.prior().log_prob(w) + vae.likelihood(w).log_prob(x)
    target = target_of(vae)(x, 0)
    u = target.coordinates(w)
    for b in range(5):

        def latent(coordinates: torch.Tensor, b: int = b) -> torch.Tensor:
            w = target.center_BM[b] + target.width_BM[b] * coordinates
            context = None if target.q.context is None else target.q.context[0, b]
            for bijection in target.q.flow:
                w, _ = bijection(w, context)
            return w

        torch.testing.assert_close(latent(u[b]), w[b])
        change = torch.linalg.slogdet(torch.func.jacfwd(latent)(u[b]))[1]
        torch.testing.assert_close(target.log_target(u.unsqueeze(0))[0, b], log_joint[b] + change)
    target = target_of(vae, start="prior")(x, 0)
    u = target.coordinates(w)
    torch.testing.assert_close(u.exp() if vae.prior.support == "positive" else u, w)
    change = u.sum(-1) if vae.prior.support == "positive" else 0.0
    torch.testing.assert_close(target.log_target(u.unsqueeze(0))[0], log_joint + change)


@pytest.mark.parametrize("mixture", ["conditional", "enumerate"])
def test_the_start_is_drawn_from_its_density(mixture: str) -> None:
    """E f(u) / start(u) = 1 for a density f narrower than it."""
    target = target_of(make_vae("gaussian", mixture))(data(make_vae(), 2), 0)
    u = target.sample_start(20_000, streams("start", 2)(0))
    f = torch.distributions.Normal(u.mean(0), 0.6 * u.std(0))
    weight = (f.log_prob(u).sum(-1) - target.log_start(u)).exp()
    assert bool(((weight.mean(0) - 1).abs() < ERRORS * weight.std(0) / 20_000**0.5).all())
    torch.testing.assert_close(u.std(0), torch.ones(2, 2).double(), atol=0.03, rtol=0)


def test_steps_are_tuned_for_each_example() -> None:
    """Posteriors of other scales get other steps, each accepted about as often as asked for."""
    scale = torch.tensor([0.03, 0.3, 1.0]).double()
    unit = torch.ones(1, 3, 4, dtype=torch.float64)
    target = PosteriorTarget(
        FlowGaussian(0 * unit, unit),
        lambda w: torch.distributions.Normal(0.0, scale.unsqueeze(-1)).log_prob(w).sum(-1),
    )
    for acceptance in (0.65, 0.9):
        annealing = Annealing(steps=150, chains=16, leapfrog=3, acceptance=acceptance, schedule="linear", tuning=100)
        sizes = tune(target, annealing, streams("tune", 3))
        assert sizes.shape == (150, 3)
        found = forward(target, annealing, sizes, streams("forward", 3))
        torch.testing.assert_close(found.acceptance, torch.full((3,), acceptance).double(), atol=0.08, rtol=0)
        assert torch.equal(found.sizes, sizes)
        assert bool((sizes[-20:].mean(0).diff() > 0).all())


def test_steps_of_the_first_round_are_spread_over_the_second() -> None:
    target, _, _ = known_target()
    for steps, tuning in ((1, 1), (2, 5), (7, 1), (7, 2), (40, 20), (20, 20)):
        annealing = Annealing(steps=steps, chains=2, leapfrog=1, tuning=tuning)
        assert tune(target, annealing, streams("spread", 1)).shape == (steps, 1)
    same = Annealing(steps=20, chains=2, leapfrog=1, tuning=20)
    first = tune(target, same, streams("spread", 1))
    torch.testing.assert_close(tune(target, same, streams("spread", 1)), first)


@pytest.mark.parametrize("schedule", ["linear", "sigmoid"])
def test_temperatures(schedule: str) -> None:
    found = Annealing(steps=9, schedule=schedule).temperatures()
    assert found.dtype == torch.float64
    assert found[0] == 0
    assert found[-1] == 1
    assert len(found) == 11
    assert bool((found.diff() > 0).all())
    torch.testing.assert_close(found, 1 - found.flip(0))
    assert (float(found[1]) < 0.05) == (schedule == "sigmoid")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"steps": -1}, "steps of at least 0, got steps=-1"),
        ({"chains": 0}, "chains of at least 1"),
        ({"leapfrog": 0}, "leapfrog of at least 1"),
        ({"tuning": 0}, "tuning of at least 1"),
        ({"acceptance": 1.0}, "acceptance=1.0 is no probability"),
        ({"schedule": "cosine"}, "schedule=cosine is not known. Use sigmoid or linear"),
    ],
)
def test_settings_out_of_range_are_refused(options: dict, said: str) -> None:
    with pytest.raises(UserError, match=said):
        Annealing(**options)
