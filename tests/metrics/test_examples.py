"""Per-example means, the importance-sampled log-likelihood, cluster accuracy, and a VAE that is not ours."""

from itertools import permutations
from math import log

import numpy as np
import pytest
import scipy.special
import torch
from builders import normal
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.distributions import Independent, Normal, kl_divergence

from lid_vae.metrics import (
    ActiveUnits,
    CategoricalMutualInformation,
    ClusterAccuracy,
    ExampleMean,
    LogLikelihood,
    MutualInformation,
)
from lid_vae.metrics.log_likelihood import LogMeanExp


@given(count=st.integers(2, 100), batch=st.integers(1, 50), key=st.integers(0, 10**6))
def test_mean_and_standard_error_are_scipys_in_any_batches(count: int, batch: int, key: int) -> None:
    values = 100 + normal(count, key=key)
    metric = ExampleMean()
    for piece in values.split(batch):
        metric.update(piece)
    assert float(metric.compute()) == pytest.approx(float(values.mean()))
    assert float(metric.standard_error()) == pytest.approx(float(values.std() / count**0.5), rel=1e-6)
    assert int(metric.count) == count


def test_means_of_single_precision_numbers_are_taken_in_double() -> None:
    metric = ExampleMean()
    for _ in range(100):
        metric.update(torch.full((1000,), 0.1))
    assert float(metric.compute()) == pytest.approx(float(torch.tensor(0.1)), rel=1e-12)


@given(samples=st.integers(1, 9), count=st.integers(1, 30), key=st.integers(0, 10**6), size=st.floats(0.1, 300.0))
def test_log_likelihood_is_the_mean_of_logs_of_means(samples: int, count: int, key: int, size: float) -> None:
    log_weight = size * normal(samples, count, key=key) - 500
    expected = scipy.special.logsumexp(log_weight.numpy(), axis=0) - log(samples)
    metric = LogLikelihood()
    for piece in log_weight.split(7, dim=1):
        metric.update(piece)
    assert float(metric.compute()) == pytest.approx(expected.mean())
    if count > 1:
        assert float(metric.standard_error()) == pytest.approx(expected.std(ddof=1) / count**0.5, rel=1e-4, abs=1e-6)
    assert float(metric.compute()) >= float(log_weight.mean()) - 1e-9  # the ELBO of the same draws


def test_one_hopeless_example_is_not_averaged_away() -> None:
    """The average over the mini-batch before the logarithm, seen in public code, would give log(1/2)."""
    log_weight = torch.stack([torch.zeros(4), torch.full((4,), -200.0)], 1)
    metric = LogLikelihood()
    metric.update(log_weight)
    assert float(metric.compute()) == pytest.approx(-100.0)


@given(sizes=st.lists(st.integers(1, 5), min_size=1, max_size=5))
def test_samples_may_arrive_in_pieces(sizes: list[int]) -> None:
    log_weight = 30 * normal(sum(sizes), 4)
    pieces = LogMeanExp()
    for piece in log_weight.split(sizes):
        pieces.add(piece)
    torch.testing.assert_close(pieces.result(), torch.logsumexp(log_weight, 0) - log(sum(sizes)))


def test_log_likelihood_reset_forgets() -> None:
    metric = LogLikelihood()
    metric.update(normal(3, 5))
    metric.reset()
    metric.update(torch.zeros(2, 4))
    assert (float(metric.compute()), int(metric.examples.count)) == (0.0, 4)


@given(categories=st.integers(1, 5), labels=st.integers(1, 5), count=st.integers(1, 60), key=st.integers(0, 10**6))
def test_accuracy_is_the_best_of_all_matchings(categories: int, labels: int, count: int, key: int) -> None:
    rng = np.random.default_rng(key)
    category, label = rng.integers(categories, size=count), rng.integers(labels, size=count)
    metric = ClusterAccuracy(categories, labels)
    for part in range(0, count, 7):
        metric.update(torch.as_tensor(category[part : part + 7]), torch.as_tensor(label[part : part + 7]))
    size = max(categories, labels)
    best = max(np.mean(np.array(order)[category] == label) for order in permutations(range(size)))
    assert float(metric.compute()) == pytest.approx(best)
    votes = sum(max(np.sum(label[category == k] == c) for c in range(labels)) for k in range(categories))
    assert float(metric.majority()) == pytest.approx(votes / count)
    assert float(metric.majority()) >= float(metric.compute()) - 1e-12


def test_accuracy_of_renamed_and_of_merged_classes() -> None:
    label = torch.arange(5).repeat(20)
    renamed, merged = ClusterAccuracy(5, 5), ClusterAccuracy(5, 5)
    renamed.update((label + 2) % 5, label)
    merged.update(torch.zeros_like(label), label)
    assert (float(renamed.compute()), float(renamed.majority())) == (1.0, 1.0)
    assert (float(merged.compute()), float(merged.majority())) == (0.2, 0.2)
    split = ClusterAccuracy(10, 5)
    split.update(label + 5 * (torch.arange(100) % 2), label)
    assert (float(split.compute()), float(split.majority())) == (0.5, 1.0)


class Foreign(nn.Module):
    """Somebody else's VAE, as short as they come."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder, self.classifier = nn.Linear(4, 4), nn.Linear(2, 4), nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> Independent:
        mean, log_scale = self.encoder(x).chunk(2, -1)
        return Independent(Normal(mean, log_scale.exp()), 1)


def test_every_measure_serves_a_vae_that_is_not_ours() -> None:
    torch.manual_seed(0)
    vae, x = Foreign(), torch.randn(200, 4)
    prior = Independent(Normal(torch.zeros(2), torch.ones(2)), 1)
    units, kl, ll, elbo = ActiveUnits(torch.ones(2)), ExampleMean(), LogLikelihood(), ExampleMean()
    information, category, accuracy = MutualInformation(), CategoricalMutualInformation(), ClusterAccuracy(3, 2)
    with torch.no_grad():
        for batch in x.split(64):
            q = vae(batch)
            w = q.rsample((50,))
            log_weight = Normal(vae.decoder(w), 1.0).log_prob(batch).sum(-1) + prior.log_prob(w) - q.log_prob(w)
            units.update(q.mean)
            kl.update(kl_divergence(q, prior))
            ll.update(log_weight)
            elbo.update(log_weight.mean(0))
            information.update_gaussian(w[0], q.mean, q.base_dist.scale)
            probability = torch.softmax(vae.classifier(batch), -1)
            category.update(probability[None])
            accuracy.update(probability.argmax(-1), (batch[:, 0] > 0).long())
    assert float(units.compute()) == 1
    assert float(elbo.compute()) < float(ll.compute()) < 0
    assert 0 < float(information.compute()) < float(kl.compute())
    assert 0 < float(category.compute()) <= float(category.kl(torch.full((3,), 1 / 3)))
    assert 0 < float(accuracy.compute()) <= 1
