"""Likelihoods: densities against torch.distributions, samples, links, and the bias taken from the data."""

import pytest
import torch
from builders import normal
from torch.distributions import Bernoulli, Categorical, Normal

from lid_vae.errors import UserError
from lid_vae.likelihood import BernoulliLikelihood, CategoricalLikelihood, GaussianLikelihood
from lid_vae.likelihood.categorical import minimal_logits
from lid_vae.map import MLP
from lid_vae.noise import generator

S, K, B, M, D = 2, 3, 5, 2, 4


def make_map() -> MLP:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return MLP(M, D, 6, 1).double()


GAUSSIAN = GaussianLikelihood(make_map(), scale=0.5).double()
BERNOULLI = BernoulliLikelihood(make_map()).double()
CATEGORICAL = CategoricalLikelihood(make_map(), D + 1).double()
W = normal(S, K, B, M)


def test_gaussian_density_is_torchs() -> None:
    x, mean = normal(B, D), GAUSSIAN.map(W)
    torch.testing.assert_close(GAUSSIAN(W).log_prob(x), Normal(mean, 0.5).log_prob(x).sum(-1))
    torch.testing.assert_close(GAUSSIAN(W).mean, mean)


def test_bernoulli_density_is_torchs() -> None:
    x, logits = (normal(B, D) > 0).double(), BERNOULLI.map(W)
    torch.testing.assert_close(BERNOULLI(W).log_prob(x), Bernoulli(logits=logits).log_prob(x).sum(-1))
    torch.testing.assert_close(BERNOULLI(W).mean, torch.sigmoid(logits))


def test_bernoulli_density_of_extreme_logits() -> None:
    likelihood = BernoulliLikelihood(MLP(M, D, 6, 1))
    likelihood.map.initialise_bias(torch.full((D,), 500.0))
    zero, one = (
        likelihood(torch.zeros(B, M)).log_prob(torch.zeros(B, D)),
        likelihood(torch.zeros(B, M)).log_prob(torch.ones(B, D)),
    )
    assert torch.isfinite(zero).all()
    torch.testing.assert_close(one, torch.zeros(B))


def test_categorical_density_is_torchs() -> None:
    x = torch.tensor([0, 1, 4, 4, 2])
    logits = torch.nn.functional.pad(CATEGORICAL.map(W), (0, 1))
    torch.testing.assert_close(CATEGORICAL(W).log_prob(x), Categorical(logits=logits).log_prob(x))
    torch.testing.assert_close(CATEGORICAL(W).mean.sum(-1), torch.ones(S, K, B).double())


def test_minimal_logits_are_injective_where_free_ones_are_not() -> None:
    free = normal(7, D)
    probability = torch.softmax(minimal_logits(free), -1)
    torch.testing.assert_close((probability[:, :-1] / probability[:, -1:]).log(), free)  # the link's inverse
    torch.testing.assert_close(torch.softmax(free, -1), torch.softmax(free + 1, -1))
    assert not torch.allclose(probability, torch.softmax(minimal_logits(free + 1), -1))


@pytest.mark.parametrize("likelihood", [GAUSSIAN, BERNOULLI], ids=["gaussian", "bernoulli"])
def test_samples_have_their_means(likelihood) -> None:
    """4000 draws at each of three w: means within 4.5 standard errors, false alarms 1e-4."""
    w = W[0, :, 0]
    p = likelihood(w.repeat_interleave(4000, 0))
    draws = p.sample(generator("likelihood")).view(3, 4000, D)
    variance = 0.25 if likelihood is GAUSSIAN else (likelihood(w).mean * (1 - likelihood(w).mean))
    assert bool(((draws.mean(1) - likelihood(w).mean).abs() < 4.5 * (variance / torch.tensor(4000)) ** 0.5).all())
    assert bool(((draws.var(1) - variance).abs() < 0.05).all())


def test_categorical_samples_have_their_shares() -> None:
    p = CATEGORICAL(W[0, :1, 0].expand(4000, M))
    share = torch.bincount(p.sample(generator("categorical")), minlength=D + 1) / 4000
    mean = p.mean[0].detach()
    assert bool(((share - mean).abs() < 4.5 * (mean * (1 - mean) / 4000).sqrt()).all())
    assert CATEGORICAL(W).sample(generator("shape")).shape == (S, K, B)


@pytest.mark.parametrize("likelihood", [GAUSSIAN, BERNOULLI, CATEGORICAL], ids=["gaussian", "bernoulli", "categorical"])
def test_initialise_starts_at_the_mean_of_the_data(likelihood) -> None:
    w = normal(200, M, key="prior")
    if likelihood is CATEGORICAL:
        mean = torch.softmax(normal(D + 1), 0)
        expected = (mean[:-1] / mean[-1]).log()
    else:
        mean = torch.rand(D, generator=generator("mean"), dtype=torch.float64).clamp(0.05, 0.95)
        expected = mean if likelihood is GAUSSIAN else torch.logit(mean)
    for _ in range(2):  # whatever the bias was before
        likelihood.initialise(mean, w)
        torch.testing.assert_close(likelihood.map(w).mean(0), expected)


def test_initialise_with_pixels_that_never_light_up() -> None:
    likelihood = BernoulliLikelihood(MLP(M, D, 6, 1))
    likelihood.initialise(torch.tensor([0.0, 1.0, 0.5, 0.2]), torch.randn(50, M))
    assert torch.isfinite(likelihood(torch.randn(5, M)).logits).all()


def test_noise_scale_starts_where_it_is_told_and_stays_above_its_floor() -> None:
    likelihood = GaussianLikelihood(make_map(), scale=0.13, scale_floor=0.05)
    assert float(likelihood.noise_scale().detach()) == pytest.approx(0.13)
    assert likelihood.raw_scale.requires_grad
    with torch.no_grad():
        likelihood.raw_scale.fill_(-60.0)
    assert float(likelihood.noise_scale().detach()) == pytest.approx(0.05)
    assert not GaussianLikelihood(make_map(), learn_scale=False).raw_scale.requires_grad


@pytest.mark.parametrize("options", [{"scale": 0.01}, {"scale_floor": 0.0}, {"scale": 0.1, "scale_floor": 0.2}])
def test_meaningless_scales_are_refused(options: dict) -> None:
    with pytest.raises(UserError, match="0 < scale_floor < scale, got scale="):
        GaussianLikelihood(make_map(), **options)


def test_a_map_onto_as_many_logits_as_symbols_is_refused() -> None:
    with pytest.raises(UserError, match=f"over {D} symbols needs a map onto {D - 1} logits, got {D}"):
        CategoricalLikelihood(make_map(), D)


@pytest.mark.parametrize("likelihood", [GAUSSIAN, BERNOULLI], ids=["gaussian", "bernoulli"])
def test_binary_says_what_x_is(likelihood) -> None:
    x = likelihood(W).sample(generator("binary"))
    assert bool(((x == 0) | (x == 1)).all()) == likelihood.binary
