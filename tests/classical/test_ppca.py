"""PPCA against independent oracles: SciPy's density, scikit-learn's fit, quadrature, and its own identities."""

import pytest
import torch
from scipy.stats import multivariate_normal
from sklearn.decomposition import PCA

from lid_vae.classical.ppca import PPCA, fit, fit_em, sample_covariance
from lid_vae.errors import UserError
from lid_vae.noise import generator


def make_model(latent: int = 2, features: int = 5, noise: float = 0.3) -> PPCA:
    rng = generator("test ppca", latent, features)
    weight = torch.randn(latent, features, generator=rng, dtype=torch.float64)
    return PPCA(weight, noise, torch.randn(features, generator=rng, dtype=torch.float64))


@pytest.fixture
def data() -> torch.Tensor:
    return make_model().sample(300, generator("test ppca data"))


def test_log_likelihood_is_scipys(data):
    model = make_model(latent=3)
    oracle = multivariate_normal(model.mean.numpy(), model.marginal_covariance.numpy()).logpdf(data.numpy())
    torch.testing.assert_close(model.log_likelihood(data), torch.as_tensor(oracle))


def test_small_noise_keeps_its_digits():
    model = make_model(noise=1e-9)
    x = model.sample(50, generator("small noise"))
    chi_square_N = -2 * (model.log_likelihood(x) - model.log_likelihood(model.mean[None]))
    assert 2 < float(chi_square_N.mean()) < 8  # five degrees of freedom


def test_posterior_obeys_bayes_rule(data):
    model = make_model()
    z = torch.randn(len(data), 2, generator=generator("bayes"), dtype=torch.float64)
    prior = torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(1)
    likelihood = (
        torch.distributions.Normal(model.mean + z @ model.weight, model.noise_variance**0.5).log_prob(data).sum(1)
    )
    torch.testing.assert_close(model.posterior(data).log_prob(z), prior + likelihood - model.log_likelihood(data))


def test_kl_is_torchs_and_adds_up_in_principal_axes(data):
    model = make_model()
    prior = torch.distributions.MultivariateNormal(torch.zeros(2).double(), torch.eye(2).double())
    torch.testing.assert_close(model.kl(data), torch.distributions.kl_divergence(model.posterior(data), prior))
    rotated = model.in_principal_axes()
    torch.testing.assert_close(rotated.log_likelihood(data), model.log_likelihood(data))
    torch.testing.assert_close(rotated.kl_per_direction(data).sum(1), model.kl(data))
    assert not torch.allclose(model.kl_per_direction(data).sum(1), model.kl(data))


@pytest.mark.parametrize("latent", [1, 2, 4])
def test_fit_is_scikit_learns(data, latent):
    count = len(data)
    oracle = PCA(latent).fit(data.numpy())
    covariance = torch.as_tensor(oracle.get_covariance()) * (count - 1) / count  # scikit-learn divides by N - 1
    torch.testing.assert_close(fit(data, latent).marginal_covariance, covariance)


@pytest.mark.parametrize("center", [True, False])
def test_em_agrees_with_the_closed_form(data, center):
    by_em, closed = fit_em(data, 2, generator("em"), center=center), fit(data, 2, center=center)
    torch.testing.assert_close(by_em.weight, closed.weight, rtol=1e-7, atol=1e-7)
    assert by_em.noise_variance == pytest.approx(closed.noise_variance, rel=1e-9)
    torch.testing.assert_close(by_em.mean, closed.mean)


def test_no_nearby_parameters_have_a_higher_likelihood(data):
    model, rng = fit(data, 2), generator("nearby")
    best = float(model.log_likelihood(data).mean())
    for _ in range(20):
        step = 1e-3 * torch.randn(2, 5, generator=rng, dtype=torch.float64)
        for factor in (0.999, 1.001):
            other = PPCA(model.weight + step, model.noise_variance * factor, model.mean)
            assert float(other.log_likelihood(data).mean()) < best


def test_known_values_at_the_maximum(data):
    """Mean KL of direction j is 1/2 log(eigenvalue j / noise variance), and the mean KL is the model's information."""
    model = fit(data, 2)
    eigenvalue = torch.linalg.eigvalsh(sample_covariance(data)).flip(0)[:2]
    torch.testing.assert_close(model.kl_per_direction(data).mean(0), 0.5 * (eigenvalue / model.noise_variance).log())
    assert model.model_information() == pytest.approx(float(model.kl(data).mean()))
    assert model.gaussian_information(sample_covariance(data)) == pytest.approx(model.model_information())


def test_information_is_ordered(data):
    """empirical <= Gaussian of the same covariance <= mean KL; and empirical <= log N."""
    model = make_model(noise=0.3)
    covariance = sample_covariance(data)
    empirical, gaussian = model.empirical_information(data), model.gaussian_information(covariance)
    assert 0 < empirical < gaussian < float(model.kl(data).mean())
    few = data[:4]
    assert model.empirical_information(few) <= torch.tensor(4.0).log() + 1e-12


def test_empirical_information_by_sampling(data):
    """The quadrature against a plain Monte Carlo estimate; false alarm below 1e-5 (4.5 standard errors)."""
    model, x = make_model(noise=2.0), data[:60]
    posterior = model.posterior(x)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        z = posterior.sample((2000,))
    aggregate = torch.logsumexp(posterior.log_prob(z[:, :, None]), 2) - torch.tensor(60.0).log()
    ratio = posterior.log_prob(z) - aggregate
    error = ratio.std() / ratio.numel() ** 0.5
    assert abs(model.empirical_information(x) - float(ratio.mean())) < 4.5 * float(error)
    assert model.empirical_information(x, nodes=24) == pytest.approx(model.empirical_information(x), abs=1e-7)


def test_the_papers_parameters_collapse_exactly():
    weight = torch.stack([torch.zeros(5), torch.tensor([1.0, -1.0, 0.5, 2.0, 0.0])])
    model = PPCA(weight, 0.5, torch.zeros(5))
    kl = model.kl_per_direction(model.sample(100, generator("paper")))
    assert float(kl[:, 0].abs().max()) == 0.0
    assert float(kl[:, 1].mean()) > 0.5


NORMAL = torch.randn(50, 5, generator=generator("normal"))


@pytest.mark.parametrize(
    ("data", "latent", "message"),
    [
        (NORMAL[:4], 2, "more samples than dimensions, got 4 samples of 5"),
        (NORMAL, 5, "below the data's 5 features, got 5"),
        (NORMAL, 6, "below the data's 5 features, got 6"),
        (NORMAL, 0, "at least 1"),
        (torch.full((50, 5), 0.1), 2, "constant"),
        (NORMAL[:, :1] * torch.ones(5), 2, "explain without remainder"),
        (NORMAL.log(), 2, "hold NaN or infinity"),
        (NORMAL[:, 0], 2, "got \\[50\\]"),
    ],
)
@pytest.mark.parametrize("method", [fit, lambda x, latent: fit_em(x, latent, generator("bad"))])
def test_bad_data_are_refused(method, data, latent, message):
    with pytest.raises(UserError, match=message):
        method(data, latent)


def test_bad_parameters_are_refused(data):
    with pytest.raises(UserError, match="positive noise variance"):
        PPCA(torch.ones(2, 5), 0.0, torch.zeros(5))
    with pytest.raises(UserError, match="latent at most features"):
        PPCA(torch.ones(6, 5), 1.0, torch.zeros(5))
    with pytest.raises(UserError, match="mean must have shape"):
        PPCA(torch.ones(2, 5), 1.0, torch.zeros(4))
    with pytest.raises(UserError, match="examples of shape"):
        make_model().log_likelihood(data[:, :3])
    with pytest.raises(UserError, match="after 3 steps"):
        fit_em(data, 2, generator("few"), iterations=3)
