"""The mixture's likelihood, posterior and fit against conjugate answers, SciPy's quadrature and finite differences."""

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import beta, norm

from lid_vae.classical.gmm import GaussianMixture, compress
from lid_vae.classical.gmm_fit import collapsed_mixture, fit_mixture, log_evidence_and_gradient
from lid_vae.errors import UserError
from lid_vae.noise import generator

SEPARATED = GaussianMixture((-10, 10), (1, 1))
OVERLAPPING = GaussianMixture((-0.5, 0.5), (1, 1))
SINGLE = GaussianMixture((-1, -1), (1, 1))


def draw(mixture: GaussianMixture, count: int, *key) -> torch.Tensor:
    return mixture.sample(0.15, count, generator("test gmm", count, *key))


@pytest.mark.parametrize("mixture", [SEPARATED, OVERLAPPING, SINGLE], ids=["separated", "overlapping", "single"])
def test_posterior_is_scipys_at_a_few_samples(mixture):
    x = draw(mixture, 12)
    first, second = (norm(m, s).pdf(x.numpy()) for m, s in zip(mixture.mean, mixture.scale, strict=True))

    def joint(alpha, power=0):
        return alpha**power * beta(5, 5).pdf(alpha) * np.prod(alpha * first + (1 - alpha) * second) * 1e20

    evidence, one, two = (quad(joint, 0, 1, args=(p,), epsabs=0, epsrel=1e-11)[0] for p in (0, 1, 2))
    posterior = mixture.posterior(x)
    assert posterior.log_evidence == pytest.approx(np.log(evidence) - 20 * np.log(10), abs=1e-9)
    assert posterior.mean == pytest.approx(one / evidence, abs=1e-9)
    assert posterior.standard_deviation == pytest.approx((two / evidence - (one / evidence) ** 2) ** 0.5, abs=1e-9)
    density = posterior.log_density(torch.tensor([0.2, 0.7], dtype=torch.float64)).exp()
    assert density.tolist() == pytest.approx([joint(0.2) / evidence, joint(0.7) / evidence])


@pytest.mark.parametrize("count", [100, 100_000])
def test_separated_clusters_are_conjugate(count):
    """No sample leaves its cluster's label in doubt, so the posterior is Beta(5 + n_1, 5 + n_2)."""
    x = draw(SEPARATED, count)
    ones = int((x < 0).sum())
    exact = torch.distributions.Beta(*torch.tensor([5 + ones, 5 + count - ones], dtype=torch.float64))
    prior = torch.distributions.Beta(*torch.tensor([5, 5], dtype=torch.float64))
    posterior = SEPARATED.posterior(x)
    assert posterior.mean == pytest.approx(float(exact.mean), rel=1e-11)
    assert posterior.standard_deviation == pytest.approx(float(exact.stddev), rel=1e-9)
    assert posterior.kl == pytest.approx(float(torch.distributions.kl_divergence(exact, prior)), abs=1e-8)
    assert abs(posterior.mean - 0.15) < 0.005 or count < 100_000


def test_equal_components_give_exactly_the_prior():
    x = draw(SINGLE, 10_000)
    posterior = SINGLE.posterior(x)
    alpha = torch.linspace(0.01, 0.99, 50, dtype=torch.float64)
    assert posterior.likelihood_deviation == 0.0
    assert posterior.kl < 1e-12
    torch.testing.assert_close(posterior.log_density(alpha).exp(), torch.as_tensor(beta(5, 5).pdf(alpha.numpy())))
    log_likelihood = SINGLE.likelihood(x).log_prob(alpha)
    assert bool((log_likelihood == log_likelihood[0]).all())


def test_the_labels_are_a_convention():
    x = draw(OVERLAPPING, 500)
    swapped = GaussianMixture((0.5, -0.5), (1, 1))
    one, other = OVERLAPPING.posterior(x), swapped.posterior(x)
    assert one.log_evidence == pytest.approx(other.log_evidence)
    assert one.mean == pytest.approx(1 - other.mean)
    assert swapped.ordered() == OVERLAPPING
    assert GaussianMixture((1, 1), (2, 0.5)).ordered().scale == (0.5, 2.0)


@pytest.mark.parametrize("mixture", [SEPARATED, OVERLAPPING, SINGLE], ids=["separated", "overlapping", "single"])
@pytest.mark.parametrize("count", [2, 30, 100_000])
def test_compressed_data_have_the_same_likelihood(mixture, count):
    x = draw(mixture, count)
    points, counts = compress(x)
    assert float(counts.sum()) == pytest.approx(count)
    for power in (1, 2, 3):
        assert float(counts @ points**power) == pytest.approx(float((x**power).sum()), rel=1e-9, abs=1e-6)
    alpha = torch.linspace(0.01, 0.99, 9, dtype=torch.float64)
    difference = mixture.likelihood(points, counts).log_prob(alpha) - mixture.likelihood(x).log_prob(alpha)
    assert float(difference.abs().max()) < 1e-6


def test_gradient_is_the_finite_difference():
    x = draw(OVERLAPPING, 200)
    count = torch.ones(200, dtype=torch.float64)
    theta = np.array([-0.7, 0.4, 0.1, -0.2])
    _, gradient = log_evidence_and_gradient(theta, x, count, (5.0, 3.0))
    for i, step in enumerate(1e-5 * np.eye(4)):
        up, down = (log_evidence_and_gradient(theta + s, x, count, (5.0, 3.0))[0] for s in (step, -step))
        assert gradient[i] == pytest.approx((up - down) / 2e-5, rel=1e-5)


def test_fit_of_separated_clusters_is_their_moments():
    x = draw(SEPARATED, 1000)
    result = fit_mixture(x)
    parts = x[x < 0], x[x > 0]
    assert not result.collapsed
    assert result.mixture.mean == pytest.approx([float(part.mean()) for part in parts], abs=1e-6)
    assert result.mixture.scale == pytest.approx([float(part.std(correction=0)) for part in parts], abs=1e-6)
    assert result.log_evidence == pytest.approx(result.mixture.posterior(x).log_evidence, abs=1e-6)


def test_fit_is_no_worse_than_the_truth_or_a_single_gaussian():
    for key in range(2):
        x = draw(OVERLAPPING, 500, key)
        result = fit_mixture(x)
        assert result.log_evidence >= OVERLAPPING.posterior(x).log_evidence
        assert result.log_evidence >= collapsed_mixture(x).posterior(x).log_evidence
        assert result.mixture == result.mixture.ordered()


def test_fit_of_a_single_gaussian_collapses_or_says_that_it_split():
    outcomes = set()
    for key in (1, 2):  # found to give one of each
        x = draw(SINGLE, 1000, "fit", key)
        result = fit_mixture(x)
        outcomes.add(result.collapsed)
        kl = result.mixture.posterior(x).kl
        assert (kl < 1e-12) == result.collapsed == (result.log_evidence == result.collapsed_log_evidence)
    assert outcomes == {True, False}


def test_an_asymmetric_prior_keeps_its_labels():
    x = draw(SEPARATED, 300)
    result = fit_mixture(x, concentration=(2.0, 8.0))
    assert result.mixture.concentration == (2.0, 8.0)
    assert result.mixture.mean[0] < 0 < result.mixture.mean[1]  # the rare cluster belongs to the weight that expects it


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fit_mixture(torch.full((50,), 0.3)), "constant data"),
        (lambda: fit_mixture(torch.zeros(1)), "at least two samples"),
        (lambda: SINGLE.posterior(torch.zeros(5, 2)), "at least two samples"),
        (lambda: SINGLE.posterior(torch.tensor([0.0, float("nan"), 1.0])), "1 of 3 samples are NaN"),
        (lambda: GaussianMixture((0, 1), (1, 0)), "scale, both above 0"),
        (lambda: GaussianMixture((0, float("inf")), (1, 1)), "finite values for its mean"),
        (lambda: GaussianMixture((0, 1, 2), (1, 1)), "two finite values"),
        (lambda: SINGLE.sample(1.5, 10, generator(0)), "between 0 and 1, got 1.5"),
        (lambda: GaussianMixture((0, 1), (1, 1), (1.0, 5.0)).posterior(torch.randn(5)), "above 1, got 1.0 and 5.0"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(UserError, match=message):
        call()
