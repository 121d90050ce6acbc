"""The one ruler: PPCA's exact numbers, the order of the measures, and brute force for every kind of posterior."""

from math import log

import numpy as np
import pytest
import torch
from builders import COMBINATIONS, Identity, data, infer, make_vae, normal, ppca_vae
from hypothesis import given
from hypothesis import strategies as st

from lid_vae.classical.ppca import PPCA, fit, sample_covariance
from lid_vae.errors import UserError
from lid_vae.likelihood import GaussianLikelihood
from lid_vae.map import MLP
from lid_vae.measure.evaluator import Evaluator
from lid_vae.metrics import ClusterAccuracy, MutualInformation, PairwiseInformation
from lid_vae.noise import generator
from lid_vae.posterior import AmortizedPosterior, RealNVP
from lid_vae.prior import StandardNormalPrior
from lid_vae.vae import Autoencoder

combinations = pytest.mark.parametrize(("prior", "mixture", "family"), COMBINATIONS)


def encode(vae: Autoencoder):
    """The trained encoder's q, whatever the noise."""
    return lambda x, noise: vae.posterior.distribution(vae.posterior.encode(x))


def measure(
    vae: Autoencoder, x: torch.Tensor, samples: int = 4, batch: int = 64, y: torch.Tensor | None = None, **options
):
    evaluator = Evaluator(vae, encode(vae), samples, **options)
    for start in range(0, len(x), batch):
        evaluator.update(x[start : start + batch], None if y is None else y[start : start + batch])
    return evaluator.compute()


def truth(count: int = 400) -> torch.Tensor:
    """Data whose first direction is certain and whose second is noisy."""
    weight = torch.tensor([[3.0, 1.0, 0.0, 1.0, 0.5], [0.0, 0.7, 0.7, 0.0, 0.3]]).double()
    return PPCA(weight, 0.5, torch.arange(5.0)).sample(count, generator("truth"))


@pytest.mark.parametrize("samples", [2, 3, 20])
def test_ppca_exactly(samples: int) -> None:
    """A linear VAE at PPCA's maximum with its exact posterior: LL, ELBO and KL for any number of samples."""
    x = truth()
    model = fit(x, 2)
    found = measure(ppca_vae(model), x, samples)
    log_likelihood = model.log_likelihood(x)
    assert found["ll"]["mean"] == pytest.approx(float(log_likelihood.mean()), rel=1e-10)
    assert found["ll"]["se"] == pytest.approx(float(log_likelihood.std() / 20), rel=1e-6)
    assert found["elbo"] == pytest.approx(float(log_likelihood.mean()), rel=1e-10)
    z = found["latent"]["z"]
    assert z["kl"] == pytest.approx(float(model.kl(x).mean()), rel=1e-10)
    assert z["kl_se"] == pytest.approx(float(model.kl(x).std() / 20), rel=1e-6)
    assert found["examples"] == 400
    assert found["ll"]["samples"] == samples


def test_ppcas_information_is_enclosed() -> None:
    """4 standard errors for the set's own information (unbiased), and the Gaussian aggregate's above it."""
    x = truth()
    model = fit(x, 2)
    z = measure(ppca_vae(model), x)["latent"]["z"]
    exact = model.empirical_information(x)
    assert abs(z["mi"] - exact) < 4 * z["mi_se"]
    assert z["mi"] < z["mi_upper"]
    assert z["mi_upper"] > exact
    assert exact <= model.gaussian_information(sample_covariance(x)) + 1e-6 <= z["kl"] + 1e-5
    assert z["mi_se"] < 0.1


def test_the_exact_kl_is_the_informations_control_variate() -> None:
    """Six times 400 examples of PPCA: within 4 standard errors of the set's own information, and these are smaller."""
    for number in range(6):
        weight = torch.tensor([[3.0, 1.0, 0.0, 1.0, 0.5], [0.0, 0.7, 0.7, 0.0, 0.3]]).double()
        x = PPCA(weight, 0.5, torch.arange(5.0)).sample(400, generator("controlled", number))
        model = fit(x, 2)
        z = measure(ppca_vae(model), x)["latent"]["z"]
        assert abs(z["mi_estimate"] - model.empirical_information(x)) < 4 * z["mi_estimate_se"]
        assert z["mi_estimate_se"] < 0.7 * z["mi_se"]


def test_ppcas_active_units() -> None:
    x = truth()
    model = fit(x, 2)
    variance = model.posterior_mean_variance(sample_covariance(x))
    assert measure(ppca_vae(model), x)["latent"]["z"]["au"] == 1
    evaluator = Evaluator(ppca_vae(model), encode(ppca_vae(model)), 40)
    evaluator.update(x)
    torch.testing.assert_close(evaluator.w_units.activity(), variance, rtol=1e-4, atol=1e-6)
    dead = PPCA(model.weight * torch.tensor([[1.0], [0.02]]).double(), model.noise_variance, model.mean)
    assert float(dead.posterior_mean_variance(sample_covariance(x))[1]) < 0.01
    assert measure(ppca_vae(dead), x, samples=40)["latent"]["z"]["au"] == 0.5
    few = measure(ppca_vae(PPCA(0 * model.weight, model.noise_variance, model.mean)), x[:4], samples=2)
    assert few["latent"]["z"]["au"] == 0


@combinations
@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli"])
def test_measures_are_ordered(prior: str, mixture: str, family: str, likelihood: str) -> None:
    vae = make_vae(prior, mixture, family, likelihood)
    x = data(vae, 60)
    found = measure(vae, x, samples=5, batch=25)
    assert found["ll"]["mean"] >= found["elbo"]
    assert ("bits_per_dimension" in found) == vae.likelihood.binary
    if vae.likelihood.binary:
        assert found["bits_per_dimension"] == pytest.approx(-found["ll"]["mean"] / 4 / log(2))
    last = found["latent"]["z" if prior == "standard_normal" else "w"]
    # Leaving an example out raises the estimate where its own density is the larger, as it is on average.
    assert last["mi"] <= last["mi_upper"] + last["mi_se"]
    assert last["mi"] <= last["kl"] + 4 * (last["mi_se"] + last["kl_se"])
    assert last["mi"] <= log(60) + 1e-9
    assert found["accuracy"] is None
    if prior == "standard_normal":
        assert set(found["latent"]) == {"z"}
        return
    assert set(found["latent"]) == {"z", "w", "joint"}
    z = found["latent"]["z"]
    assert z["mi"] <= z["mi_upper"] <= z["kl"] <= log(3) + 1e-9
    assert sum(z["usage"]) == pytest.approx(1)
    assert 0 <= z["au"] <= 1
    # w is a function of the pair (z, w), and z of w given the exact p(z | w).
    joint = found["latent"]["joint"]["kl"]
    if mixture == "conditional":
        assert joint == pytest.approx(last["kl"])
    else:
        assert joint >= z["kl"] - 1e-9
        assert z["mi"] == pytest.approx(z["mi_upper"])


@given(
    combination=st.sampled_from([c for c in COMBINATIONS if c[0] != "standard_normal"]),
    key=st.integers(0, 10**6),
    spread=st.floats(0.1, 1.0),
)
def test_information_of_z_never_exceeds_its_divergence(combination, key: int, spread: float) -> None:
    vae = make_vae(*combination, key=key, spread=spread)
    found = measure(vae, data(vae, 30, key), samples=3, with_w=False)
    z = found["latent"]["z"]
    assert z["mi"] <= z["mi_upper"] + 1e-9 <= z["kl"] + 2e-9
    assert found["ll"]["mean"] >= found["elbo"] - 1e-9
    assert "mi" not in found["latent"]["w"]


@pytest.mark.parametrize(
    ("prior", "mixture"), [(prior, mixture) for prior, mixture, f in COMBINATIONS if f == "context"]
)
@pytest.mark.parametrize("batch", [7, 64])
def test_the_information_of_a_flow_for_each_x_is_by_all_pairs(prior: str, mixture: str, batch: int) -> None:
    """Against densities of every draw under every example, each by a model of that example alone."""
    vae = make_vae(prior, mixture, "context")
    x = data(vae, 40)
    evaluator = Evaluator(vae, encode(vae), 4)
    for piece in x.split(batch):
        evaluator.update(piece)
    latent = evaluator.compute()["latent"]
    found = latent.get("w", latent["z"])
    metric = evaluator.w_information
    assert isinstance(metric, PairwiseInformation)
    draw = torch.cat(metric.draw)
    with torch.no_grad():
        columns = []
        for one in x.split(1):
            q, _ = infer(vae, one, 1)
            weight = torch.zeros(1, 1) if q.log_category is None else q.log_category
            density = [q.log_prob(w.expand(1, *q.mean.shape)).squeeze(0) for w in draw]
            columns.append(torch.stack([torch.logsumexp(value + weight, 0).squeeze() for value in density]))
    density = torch.stack(columns, 1).exp().double()
    own = density.diagonal()
    others = (density.sum(1) - own) / 39
    assert found["mi"] == pytest.approx(float((own / density.mean(1)).log().mean()))
    assert found["mi_upper"] == pytest.approx(float((own / others).log().mean()))
    assert found["mi_draws"] == 40


@pytest.mark.parametrize("gain", [0.5, 3.0])
def test_a_flow_that_only_shifts_has_the_information_of_the_gaussian_that_it_makes(gain: float) -> None:
    """Couplings whose shifts are affine in x: q is then a Gaussian, measured by one product of matrices."""
    flow, x = RealNVP(2, 2, context=2).double(), normal(300, 2, key="shift")
    with torch.no_grad():
        for coupling in flow.couplings:
            first, _, last = coupling.network
            first.weight.zero_()
            first.bias.fill_(100.0)  # where the ReLU is the identity
            last.weight[1] = torch.tensor([gain, 0.0])
            last.bias[1] = -100 * gain
            coupling.context.weight.copy_(torch.eye(2))
        posterior = AmortizedPosterior(Identity(2), 2, [flow]).double()
        q = posterior.distribution(posterior.encode(x))
        vae = Autoencoder(StandardNormalPrior(2), GaussianLikelihood(MLP(2, 2, 4, 1)), posterior).double()
        evaluator = Evaluator(vae, encode(vae), 300)
        evaluator.update(x)
        found = evaluator.compute()["latent"]["z"]
        draw = evaluator.w_information.draw[0]
        centre = q.push(q.mean)[0][0]
        scale = q.push(q.mean + q.scale)[0][0] - centre
        information = MutualInformation()
        information.update_gaussian(draw, centre, scale)
    assert found["mi"] == pytest.approx(float(information.compute()), abs=1e-5)
    assert found["mi_upper"] == pytest.approx(float(information.upper()), abs=1e-5)
    assert found["mi"] > 0.1 * gain


@pytest.mark.parametrize("family", ["gaussian", "realnvp", "context"])
def test_enumerated_z_is_exact(family: str) -> None:
    vae = make_vae("gaussian", "enumerate", family)
    x = data(vae, 50)
    found = measure(vae, x, samples=2, batch=7)["latent"]["z"]
    with torch.no_grad():
        probability = infer(vae, x, 1)[0].log_category.exp().mT
    marginal = probability.mean(0)
    assert found["mi"] == pytest.approx(float(torch.xlogy(probability, probability / marginal).sum(1).mean()))
    assert found["kl"] == pytest.approx(float(torch.xlogy(probability, 3 * probability).sum(1).mean()), abs=1e-6)
    assert found["usage"] == pytest.approx(marginal.tolist())
    active = probability.var(0, unbiased=False) >= 0.01 * (1 / 3) * (2 / 3)
    assert found["au"] == pytest.approx(float(active.double().mean()))


def test_conditional_z_is_the_average_of_the_exact_posterior_given_w() -> None:
    """State S: with 2000 samples the bounds enclose what 20000 other samples say, within 0.01 nats."""
    vae = make_vae("gaussian", spread=1.0)
    x = data(vae, 40)
    found = measure(vae, x, samples=2000)["latent"]["z"]
    with torch.no_grad():
        q, noise = infer(vae, x, 20000)
        probability = vae.category_probability(q, q.sample(noise)).mean(0)
    marginal = probability.mean(0)
    exact = float(torch.xlogy(probability, probability / marginal).sum(1).mean())
    assert found["mi"] == pytest.approx(exact, abs=0.01)
    assert found["mi_upper"] == pytest.approx(exact, abs=0.01)
    assert found["usage"] == pytest.approx(marginal.tolist(), abs=0.01)


@combinations
def test_divergences_by_an_independent_estimate(prior: str, mixture: str, family: str) -> None:
    """KL of w and of the pair with 1000 samples, against 1000 others: 5 standard errors of one example's mean."""
    vae = make_vae(prior, mixture, family)
    x = data(vae, 6)
    latent = measure(vae, x, samples=1000)["latent"]
    with torch.no_grad():
        q, noise = infer(vae, x, 1000)
        sample, p = q.sample(noise), vae.prior()
        terms = vae.terms(x, q, noise)
        w_value = terms.expectation(q.marginal_log_prob(sample) - p.log_prob(sample.w))
        joint_value = terms.expectation(terms.log_posterior - terms.log_prior)

    def close(found: float, value: torch.Tensor) -> bool:
        error = float(value.std(0).square().sum().sqrt()) / 6 / 1000**0.5
        return abs(found - float(value.mean())) < 5 * 2**0.5 * error + 1e-9

    assert close(latent["z" if prior == "standard_normal" else "w"]["kl"], w_value)
    if prior != "standard_normal":
        assert close(latent["joint"]["kl"], joint_value)
        # Summing z out of both cannot raise the divergence.
        error = latent["joint"]["kl_se"] + latent["w"]["kl_se"]
        assert latent["w"]["kl"] <= latent["joint"]["kl"] + 5 * error


def test_log_likelihood_by_hand() -> None:
    vae = make_vae("gamma", "enumerate")
    x = data(vae, 9)
    found = measure(vae, x, samples=50)
    with torch.no_grad():
        q, noise = infer(vae, x, 20000)
        weights = vae.terms(x, q, noise).log_evidence_weight().exp()
    oracle, error = weights.mean(0), weights.std(0) / 20000**0.5
    assert found["ll"]["mean"] == pytest.approx(float(oracle.log().mean()), abs=0.2 + float((error / oracle).max()))


def test_more_samples_raise_the_log_likelihood_and_leave_the_bound() -> None:
    vae = make_vae(spread=0.3)
    x = data(vae, 100)
    few, many = measure(vae, x, samples=10), measure(vae, x, samples=400)
    assert many["ll"]["mean"] > few["ll"]["mean"]
    assert many["elbo"] == pytest.approx(few["elbo"], abs=0.5)


@pytest.mark.parametrize("mixture", ["conditional", "enumerate"])
def test_the_decoder_sees_bounded_pieces(mixture: str) -> None:
    vae = make_vae("gaussian", mixture)
    x = data(vae, 20)
    seen = []
    vae.likelihood.map.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].shape[:-1].numel()))
    whole = measure(vae, x, samples=30, rows=10**6)
    assert max(seen) == 15 * 20 * (3 if mixture == "enumerate" else 1)
    seen.clear()
    pieces = measure(vae, x, samples=30, rows=130)
    assert max(seen) <= 130
    assert sum(seen) == 30 * 20 * (3 if mixture == "enumerate" else 1)
    assert pieces["ll"]["mean"] == pytest.approx(whole["ll"]["mean"], abs=0.3)
    assert pieces["latent"]["joint"]["kl"] == pytest.approx(whole["latent"]["joint"]["kl"], abs=0.3)


def test_rows_fewer_than_the_batch_still_work() -> None:
    vae = make_vae("gaussian", "enumerate")
    x = data(vae, 20)
    assert measure(vae, x, samples=3, rows=1)["examples"] == 20


@combinations
def test_a_repeat_gives_the_same_numbers(prior: str, mixture: str, family: str) -> None:
    vae = make_vae(prior, mixture, family)
    x = data(vae, 30)
    torch.manual_seed(1)
    first = measure(vae, x, batch=8)
    torch.manual_seed(2)
    assert measure(vae, x, batch=8) == first


def test_every_batch_has_noise_of_its_own() -> None:
    vae = make_vae("standard_normal")
    x = data(vae, 1).expand(2, -1)
    evaluator = Evaluator(vae, encode(vae), 4)
    evaluator.update(x[:1])
    evaluator.update(x[1:])
    assert float(evaluator.bound.standard_error()) > 0


def test_accuracy_and_majority() -> None:
    vae = make_vae("gaussian", "enumerate", spread=1.0)
    x = data(vae, 90)
    y = torch.arange(90) % 4
    found = measure(vae, x, y=y, labels=4, batch=20)
    with torch.no_grad():
        category = infer(vae, x, 1)[0].log_category.argmax(0)
    oracle = ClusterAccuracy(3, 4)
    oracle.update(category, y)
    assert found["accuracy"] == pytest.approx(float(oracle.compute()))
    assert found["accuracy_majority"] == pytest.approx(float(oracle.majority()))


def test_gradients_are_not_recorded() -> None:
    vae = make_vae()
    evaluator = Evaluator(vae, encode(vae), 4)
    evaluator.update(data(vae, 10))
    assert not evaluator.bound.total.requires_grad
    assert not any(parameter.grad is not None for parameter in vae.parameters())


def test_a_single_sample_is_refused() -> None:
    vae = make_vae()
    with pytest.raises(UserError, match="at least two samples, got samples=1"):
        Evaluator(vae, encode(vae), 1)


def test_numbers_are_plain() -> None:
    """Ready for JSON: no tensors."""
    vae = make_vae("gaussian", "enumerate")

    def walk(value) -> None:
        if isinstance(value, dict):
            for inner in value.values():
                walk(inner)
        elif isinstance(value, list):
            for inner in value:
                walk(inner)
        else:
            assert value is None or type(value) in (int, float)
            assert value is None or np.isfinite(value)

    walk(measure(vae, data(vae, 20), y=torch.zeros(20, dtype=torch.int64), labels=2))


@combinations
def test_divergence_by_dimension(prior: str, mixture: str, family: str) -> None:
    """Exact for a Gaussian q and a standard normal p, whose divergence is the sum; none for binary w, or unasked."""
    vae = make_vae(prior, mixture, family)
    x = data(vae, 40)
    found = measure(vae, x, samples=40, by_dimension=True)["latent"]
    last = found["z" if prior == "standard_normal" else "w"]
    assert ("kl_by_dimension" in last) == (vae.prior.support != "binary")
    assert "kl_by_dimension" not in str(measure(vae, x)["latent"])
    if prior == "standard_normal" and family == "gaussian":
        x = data(vae, 4000)
        last = measure(vae, x, samples=20, by_dimension=True, with_w=False)["latent"]["z"]
        assert sum(last["kl_by_dimension"]) == pytest.approx(last["kl"], abs=0.02)


def test_divergence_by_dimension_of_draws_that_come_in_pieces() -> None:
    vae = make_vae()
    x = data(vae, 40)
    whole = measure(vae, x, samples=20, by_dimension=True)["latent"]["w"]["kl_by_dimension"]
    pieces = measure(vae, x, samples=20, by_dimension=True, rows=40 * 7)["latent"]["w"]["kl_by_dimension"]
    assert pieces == pytest.approx(whole, abs=0.1)
