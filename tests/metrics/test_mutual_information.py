"""Mutual information: NumPy, closed forms, bounds on either side, KL above, and the whole set rather than a batch."""

from math import log

import numpy as np
import pytest
import torch
from builders import flow_gaussian, normal
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import Normal

from lid_vae.distribution import BernoulliApproximation
from lid_vae.metrics import CategoricalMutualInformation, MutualInformation
from lid_vae.noise import generator


def information(probability: np.ndarray) -> float:
    """I(x; z) in nats of rows q(z | x), x uniform."""
    marginal = probability.mean(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(probability > 0, probability * np.log(probability / marginal), 0.0)
    return float(terms.sum(1).mean())


def softmax(*shape: int, key: object = 0, size: float = 1.0) -> torch.Tensor:
    return torch.softmax(size * normal(*shape, key=key), -1)


@given(count=st.integers(1, 100), categories=st.integers(1, 6), key=st.integers(0, 10**6), size=st.floats(0.0, 50.0))
def test_exact_is_numpys_and_below_kl(count: int, categories: int, key: int, size: float) -> None:
    probability = softmax(count, categories, key=key, size=size)
    metric = CategoricalMutualInformation()
    for piece in probability.split(7):
        metric.update(piece[None])
    expected = information(probability.numpy())
    value = float(metric.compute())
    assert value == pytest.approx(expected, abs=1e-9)
    assert float(metric.upper()) == pytest.approx(value, abs=1e-12)
    assert -1e-12 <= value <= log(min(count, categories)) + 1e-9
    for prior in (torch.full((categories,), 1 / categories), softmax(categories, key=f"{key} prior")):
        kl = float(metric.kl(prior))
        oracle = float((torch.xlogy(probability, probability / prior)).sum(1).mean())
        assert kl == pytest.approx(oracle, abs=1e-7)
        assert value <= kl + 1e-7
    torch.testing.assert_close(metric.aggregate(), probability.mean(0))


@given(count=st.integers(1, 40), samples=st.integers(2, 7), key=st.integers(0, 10**6), size=st.floats(0.0, 20.0))
def test_sampled_bounds_are_ordered_and_below_kl(count: int, samples: int, key: int, size: float) -> None:
    probability = softmax(samples, count, 4, key=key, size=size)
    metric = CategoricalMutualInformation()
    metric.update(probability)
    assert float(metric.compute()) <= float(metric.upper()) + 1e-9
    assert float(metric.upper()) <= float(metric.kl(torch.full((4,), 0.25))) + 1e-9
    assert float(metric.upper()) == pytest.approx(information(probability.mean(0).numpy()), abs=1e-9)


def test_sampled_bounds_enclose_the_exact_value_in_expectation() -> None:
    """Means over 60 data sets of 300 examples and 4 samples, 4 standard errors: false alarms 6e-5."""
    exact, lower, upper = [], [], []
    for repeat in range(60):
        centre = softmax(300, 3, key=repeat, size=2.0)
        rng = generator("dirichlet", repeat)
        gamma = torch._standard_gamma((3 * centre).expand(4, 300, 3).contiguous(), generator=rng)
        metric = CategoricalMutualInformation()
        metric.update(gamma / gamma.sum(-1, keepdim=True))  # Dirichlet samples of mean q(z | x)
        exact.append(information(centre.numpy()))
        lower.append(float(metric.compute()))
        upper.append(float(metric.upper()))
    below, above = np.subtract(exact, lower), np.subtract(upper, exact)
    assert below.mean() > 4 * below.std(ddof=1) / 60**0.5
    assert above.mean() > 4 * above.std(ddof=1) / 60**0.5


@pytest.mark.parametrize("samples", [4, 10])
def test_the_estimate_has_a_fraction_of_the_bounds_biases(samples: int) -> None:
    """Dirichlet samples of q(z | x), 60 data sets: within a quarter of the bias of the upper bound."""
    prior = torch.full((3,), 1 / 3).double()
    exact, found = [], []
    for repeat in range(60):
        centre = softmax(300, 3, key=repeat)
        rng = generator("dirichlet", repeat)
        gamma = torch._standard_gamma((20 * centre).expand(samples, 300, 3).contiguous(), generator=rng)
        metric, whole = CategoricalMutualInformation(), CategoricalMutualInformation()
        metric.update(gamma / gamma.sum(-1, keepdim=True))
        whole.update(centre[None])
        exact.append([float(whole.compute()), float(whole.kl(prior))])
        found.append([float(metric.estimate()), float(metric.upper()), float(metric.kl_estimate(prior))])
        assert float(metric.compute()) <= float(metric.estimate()) <= float(metric.upper())
    (information, kl), (estimate, upper, kl_estimate) = np.mean(exact, 0), np.mean(found, 0)
    assert abs(estimate - information) < 0.25 * (upper - information)
    assert abs(kl_estimate - kl) < 0.25 * (upper - information)


def test_both_halves_of_the_samples_count_alike() -> None:
    samples = softmax(6, 20, 3)
    metric, turned = CategoricalMutualInformation(), CategoricalMutualInformation()
    metric.update(samples)
    turned.update(samples.roll(3, 0))
    assert float(metric.compute()) == pytest.approx(float(turned.compute()))


def test_categorical_standard_error() -> None:
    """The spread of estimates over data sets, within a quarter (200 data sets know it to 5%)."""
    estimates, errors = [], []
    for repeat in range(200):
        metric = CategoricalMutualInformation()
        metric.update(softmax(200, 3, key=repeat, size=3.0)[None])
        estimates.append(float(metric.compute()))
        errors.append(float(metric.standard_error()))
    assert np.mean(errors) == pytest.approx(np.std(estimates), rel=0.25)


def channel(count: int, gain: float, dimension: int = 2, key: object = 0) -> tuple[MutualInformation, float]:
    """x ~ N(0, gain^2 I), w | x ~ N(x, I): I(x; w) = D/2 log(1 + gain^2)."""
    x = gain * normal(count, dimension, key=f"x {key}")
    metric = MutualInformation()
    for piece in x.split(97):
        noise = normal(*piece.shape, key=f"noise {key} {float(piece[0, 0])}")
        metric.update_gaussian(piece + noise, piece, torch.ones_like(piece))
    return metric, dimension / 2 * log(1 + gain**2)


@pytest.mark.parametrize("gain", [0.3, 1.0, 3.0])
def test_bounds_enclose_a_gaussian_channel(gain: float) -> None:
    """4 standard errors on either side: false alarms 6e-5."""
    metric, exact = channel(2000, gain)
    error = float(metric.standard_error())
    assert float(metric.compute()) < exact + 4 * error
    assert float(metric.upper()) > exact - 4 * error
    assert float(metric.compute()) == pytest.approx(exact, abs=4 * error + 0.15)
    assert float(metric.upper()) == pytest.approx(exact, abs=4 * error + 0.15)
    assert float(metric.compute()) < float(metric.upper())


def test_bounds_in_expectation() -> None:
    """On 40 sets of 12, where the bounds are far apart, their means are on the right sides by 4 standard errors."""
    metrics = [channel(12, 3.0, key=repeat)[0] for repeat in range(40)]
    lower, upper = (
        np.array([float(get(m)) for m in metrics]) for get in (MutualInformation.compute, MutualInformation.upper)
    )
    exact = log(10)
    assert lower.mean() + 4 * lower.std() / 40**0.5 < exact < upper.mean() - 4 * upper.std() / 40**0.5


def test_not_capped_by_the_batch() -> None:
    """Examples that tell themselves apart: log N, however small the batches."""
    metric = MutualInformation()
    x = torch.arange(300.0)[:, None] * 100
    for piece in x.split(4):
        metric.update_gaussian(piece, piece, torch.ones_like(piece))
    assert float(metric.compute()) == pytest.approx(log(300))
    assert float(metric.upper()) > log(300)
    categorical = CategoricalMutualInformation()
    for piece in torch.eye(50).split(4):
        categorical.update(piece[None])
    assert float(categorical.compute()) == pytest.approx(log(50))


@given(batch=st.integers(1, 60))
def test_batches_do_not_matter(batch: int) -> None:
    sample, mean, scale = normal(60, 2), normal(60, 2, key="mean"), normal(60, 2, key="scale").exp()
    whole, pieces = MutualInformation(), MutualInformation()
    whole.update_gaussian(sample, mean, scale)
    for part in zip(sample.split(batch), mean.split(batch), scale.split(batch), strict=True):
        pieces.update_gaussian(*part)
    for one, other in zip(whole.values(), pieces.values(), strict=True):
        torch.testing.assert_close(one, other)


def test_memory_pieces_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    metric, _ = channel(50, 1.0)
    whole = metric.values()
    monkeypatch.setattr("lid_vae.metrics.mutual_information.PAIRS", 120)
    for one, other in zip(metric.values(), whole, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("categories", [None, 3])
def test_against_brute_force(categories: int | None) -> None:
    q, noise = flow_gaussian(categories, samples=1, batch=12, dimension=2)
    base = q.sample(noise).base[0, 0]
    metric = MutualInformation()
    metric.update(q.statistic(base), *q.natural(), q.log_category)
    each = Normal(q.mean[:, None], q.scale[:, None]).log_prob(base[:, None]).sum(-1)  # [K, draw, example]
    weight = torch.zeros(1, 12).double() if categories is None else q.log_category
    density = (each + weight[:, None]).exp().sum(0)
    own = density.diagonal()
    torch.testing.assert_close(metric.values()[0], (own / density.mean(1)).log())
    torch.testing.assert_close(metric.values()[1], (own * 11 / (density.sum(1) - own)).log())


def test_binary_latents_against_brute_force() -> None:
    """Every w of {0, 1}^2 in turn: the plug-in average over q(w | x) is the exact information of the set."""
    q = BernoulliApproximation(2 * normal(1, 9, 2))
    words = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]).double()
    natural, normaliser = q.natural()
    table = (q.statistic(words)[:, None] * natural[0]).sum(-1) - normaliser[0]  # [word, example]
    torch.testing.assert_close(table.exp().sum(0), torch.ones(9).double())
    total = 0.0
    for word in words:
        metric = MutualInformation()
        metric.update(word.expand(9, 2), natural, normaliser)
        mass = ((q.statistic(word) * natural[0]).sum(-1) - normaliser[0]).exp()
        total += float((mass * metric.values()[0]).mean())
    assert total == pytest.approx(information(table.exp().mT.numpy()))


def test_a_collapsed_posterior_has_no_information() -> None:
    sample, same = normal(40, 2), torch.zeros(40, 2).double()
    metric = MutualInformation()
    metric.update_gaussian(sample, same, torch.ones_like(same))
    for values in metric.values():
        torch.testing.assert_close(values, torch.zeros(40).double(), atol=1e-12, rtol=0)
    categorical = CategoricalMutualInformation()
    categorical.update(torch.full((1, 40, 3), 1 / 3))
    assert float(categorical.compute()) == pytest.approx(0, abs=1e-7)


def test_reset_forgets() -> None:
    metric, _ = channel(20, 1.0)
    metric.reset()
    x = torch.tensor([[0.0], [100.0]])
    metric.update_gaussian(x, x, torch.ones_like(x))
    assert float(metric.compute()) == pytest.approx(log(2))


def test_no_graph_is_kept() -> None:
    mean = normal(10, 2).requires_grad_()
    metric, categorical = MutualInformation(), CategoricalMutualInformation()
    metric.update_gaussian(mean + 1, mean, mean.exp())
    metric.update(normal(10, 4), mean.repeat(1, 2)[None], mean.sum(-1)[None], torch.log_softmax(mean.sum(-1)[None], 0))
    categorical.update(torch.softmax(mean, -1)[None])
    assert not any(values.requires_grad for values in metric.values())
    assert not categorical.compute().requires_grad
