"""Moves of Hamiltonian Monte Carlo: reversible, of volume one, and in balance with what they are to leave alone."""

import pytest
import torch
from builders import normal
from scipy import stats

from lid_vae.distribution import FlowGaussian
from lid_vae.measure.annealed.hmc import Draws, Point, draws_of, evaluate, leapfrog, transition
from lid_vae.measure.annealed.target import PosteriorTarget
from lid_vae.noise import generator

# Each statistical test here fails by chance once in a million seeds.
LEVEL = 1e-6
MEAN, VARIANCE = torch.tensor([1.0, -0.5]).double(), torch.tensor([0.2, 0.7]).double()


def gaussian_target(examples: int = 1) -> PosteriorTarget:
    """From N(0, I) to N(MEAN, VARIANCE), in two dimensions."""
    unit = torch.ones(1, examples, 2, dtype=torch.float64)
    return PosteriorTarget(
        FlowGaussian(0 * unit, unit), lambda w: torch.distributions.Normal(MEAN, VARIANCE.sqrt()).log_prob(w).sum(-1)
    )


def quartic_target() -> PosteriorTarget:
    """A density that is no Gaussian, so that leapfrog steps are not linear."""
    unit = torch.ones(1, 1, 2, dtype=torch.float64)
    return PosteriorTarget(FlowGaussian(0 * unit, unit), lambda w: -w.pow(4).sum(-1) - w.prod(-1).sin())


def test_the_gradient_is_that_of_the_path() -> None:
    target, u = quartic_target(), normal(3, 1, 2)
    u.requires_grad_()
    density = 0.7 * target.log_start(u) + 0.3 * target.log_target(u)
    (expected,) = torch.autograd.grad(density.sum(), u)
    point = evaluate(target, u)
    torch.testing.assert_close(point.log_density(0.3), density.detach())
    torch.testing.assert_close(point.gradient(0.3), expected)
    assert not point.position.requires_grad


@pytest.mark.parametrize("count", [1, 2, 7])
def test_leapfrog_leads_back(count: int) -> None:
    target, step = quartic_target(), torch.full((4, 1, 1), 0.1, dtype=torch.float64)
    first, momentum = evaluate(target, normal(4, 1, 2)), normal(4, 1, 2, key="momentum")
    there, at_the_end = leapfrog(target, first, momentum, step, count, 0.6)
    assert float((there.position - first.position).norm()) > 0.1
    back, turned = leapfrog(target, there, -at_the_end, step, count, 0.6)
    torch.testing.assert_close(back.position, first.position)
    torch.testing.assert_close(-turned, momentum)


@pytest.mark.parametrize("count", [1, 3])
def test_leapfrog_preserves_volume(count: int) -> None:
    target, step = quartic_target(), torch.full((1, 1, 1), 0.3, dtype=torch.float64)

    def end(state: torch.Tensor) -> torch.Tensor:
        point, momentum = leapfrog(
            target, evaluate(target, state[None, None, :2]), state[None, None, 2:], step, count, 0.6
        )
        return torch.cat([point.position, momentum], -1).flatten()

    state, small = normal(4), 1e-5
    columns = [(end(state + small * unit) - end(state - small * unit)) / (2 * small) for unit in torch.eye(4).double()]
    jacobian = torch.stack(columns, -1)
    assert float(torch.det(jacobian)) == pytest.approx(1, abs=1e-8)
    assert float((jacobian - torch.eye(4).double()).abs().max()) > 0.1


@pytest.mark.parametrize("temperature", [0.3, 1.0])
def test_a_gaussian_is_left_invariant(temperature: float) -> None:
    """Exact draws moved by steps so large that a third of proposals is refused are draws of the same Gaussian still.

    By Kolmogorov and Smirnov for each dimension, half of ``LEVEL`` for each.
    """
    target, chains = gaussian_target(), 50_000
    precision = (1 - temperature) + temperature / VARIANCE
    mean = temperature * MEAN / VARIANCE / precision
    point = evaluate(target, mean + precision.rsqrt() * normal(chains, 1, 2, key="exact"))
    step = torch.tensor([1.3 * float(precision.rsqrt().min())], dtype=torch.float64)
    for number in range(3):
        draws = draws_of(target, chains, [generator("invariant", number)])
        point, probability = transition(target, point, draws, step, 2, temperature)
        assert 0.5 < float(probability.mean()) < 0.95
    for d in range(2):
        law = stats.norm(float(mean[d]), float(precision[d].rsqrt()))
        assert stats.kstest(point.position[:, 0, d].numpy(), law.cdf).pvalue > LEVEL / 2


def test_probabilities_are_those_of_metropolis() -> None:
    """At a step far too large almost nothing is accepted; at a tiny one all is."""
    target = gaussian_target()
    point = evaluate(target, normal(500, 1, 2))
    draws = draws_of(target, 500, [generator("draws")])
    for size, low, high in ((1e-3, 0.999, 1.0), (20.0, 0.0, 0.02)):
        _, probability = transition(target, point, draws, torch.tensor([size]).double(), 3, 0.5)
        assert low <= float(probability.mean()) <= high


def test_what_is_refused_stays_where_it_was() -> None:
    target = gaussian_target()
    point = evaluate(target, normal(6, 1, 2))
    never = Draws(normal(6, 1, 2, key=1), torch.full((6, 1), 0.5).double(), torch.ones(6, 1).double())
    stayed, _ = transition(target, point, never, torch.tensor([0.3]).double(), 2, 0.5)
    for before, after in zip(point, stayed, strict=True):
        assert torch.equal(before, after)
    moved, _ = transition(
        target, point, never._replace(acceptance=0 * never.jitter), torch.ones(1).double() * 0.3, 2, 0.5
    )
    assert bool((moved.position != point.position).all())
    again = evaluate(target, moved.position)
    for name, value, fresh in zip(Point._fields, moved, again, strict=True):
        torch.testing.assert_close(value, fresh, msg=name)


def test_no_move_ends_where_there_is_no_density() -> None:
    """Beyond the range of exp the target is not a number."""
    unit = torch.ones(1, 1, 2, dtype=torch.float64)
    target = PosteriorTarget(
        FlowGaussian(0 * unit, unit), lambda w: torch.where(w > 0.5, torch.nan, -w.square()).sum(-1)
    )
    point = evaluate(target, -normal(2000, 1, 2).abs())
    for number in range(5):
        draws = draws_of(target, 2000, [generator("nan", number)])
        point, probability = transition(target, point, draws, 0.3 * torch.ones(1).double(), 2, 0.7)
    assert bool((point.position <= 0.5).all())
    assert bool(point.log_target.isfinite().all())
    assert 0.1 < float(probability.mean()) < 0.9
