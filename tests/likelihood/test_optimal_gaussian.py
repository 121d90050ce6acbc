"""sigma-VAE: the best noise of a batch in training, one noise of the training set in evaluation."""

import pytest
import torch
from builders import infer, make_vae, normal, ppca_vae
from hydra.errors import InstantiationException
from hypothesis import given
from hypothesis import strategies as st
from runs import Programs, measures
from test_combinations import INFERENCES, sound, told, two_steps

from lid_vae.classical.ppca import fit
from lid_vae.errors import UserError
from lid_vae.likelihood import GaussianLikelihood, OptimalGaussianLikelihood
from lid_vae.map import MLP
from lid_vae.noise import generator
from lid_vae.objective import ELBO
from lid_vae.system.checkpoint import load_checkpoint
from lid_vae.vae import Autoencoder

S, K, B, M, D = 3, 1, 5, 2, 4
keys = st.integers(0, 10**6)


def optimal(scale: float = 0.13, floor: float = 0.01) -> OptimalGaussianLikelihood:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return OptimalGaussianLikelihood(MLP(M, D, 6, 1), scale, floor).double()


def fixed(likelihood: OptimalGaussianLikelihood, scale: float) -> GaussianLikelihood:
    """One of the same map, with this noise."""
    return GaussianLikelihood(likelihood.map, scale, scale / 2).double()


@given(key=keys, other=st.floats(0.05, 20.0), spread=st.floats(0.1, 10.0))
def test_no_other_noise_is_likelier(key: int, other: float, spread: float) -> None:
    likelihood, w, x = optimal(), normal(S, K, B, M, key=key), spread * normal(B, D, key=key)
    best = likelihood(w).log_prob(x)
    assert best.shape == (S, K, B)
    rms = float((x - likelihood.map(w)).detach().square().mean().sqrt())
    torch.testing.assert_close(best, fixed(likelihood, rms)(w).log_prob(x))
    assert bool(best.mean() >= fixed(likelihood, other)(w).log_prob(x).mean() - 1e-9)


def test_the_noise_may_stand_still_in_the_gradient() -> None:
    """The gradient of max over sigma of the mean bound is the partial one at the maximum."""
    vae = make_vae("standard_normal")
    vae.likelihood = optimal()
    x = normal(B, D)
    q, noise = infer(vae, x, S)
    parameters = [*vae.likelihood.map.parameters(), *vae.posterior_parameters()]
    found = torch.autograd.grad(ELBO(samples=S)(vae, x, q, noise).mean(), parameters, retain_graph=True)
    terms = vae.terms(x, q, noise)
    variance = (x - vae.likelihood.map(terms.sample.w)).square().mean()
    whole = -0.5 * D * ((2 * torch.pi * variance).log() + 1) - terms.kl.mean()
    for one, other in zip(found, torch.autograd.grad(whole, parameters), strict=True):
        torch.testing.assert_close(one, other)


def test_the_noise_is_bounded_below() -> None:
    likelihood, w = optimal(floor=0.1), normal(S, K, B, M)
    x = likelihood.map(w[0, 0]).detach()
    torch.testing.assert_close(likelihood(w[:1]).log_prob(x), fixed(likelihood, 0.1)(w[:1]).log_prob(x))
    likelihood.calibrate([(x, w[0, 0])])
    assert float(likelihood.scale) == 0.1


def test_evaluation_looks_at_an_example_alone() -> None:
    likelihood, w, x = optimal(0.7), normal(S, K, B, M), normal(B, D)
    together = likelihood(w).log_prob(x)[..., :1]
    assert not torch.allclose(likelihood(w[:, :, :1]).log_prob(x[:1]), together), "in training it does not"
    likelihood.eval()
    together = likelihood(w).log_prob(x)
    torch.testing.assert_close(likelihood(w[:, :, :1]).log_prob(x[:1]), together[..., :1])
    torch.testing.assert_close(together, fixed(likelihood, 0.7)(w).log_prob(x))


@given(key=keys, cut=st.integers(1, B - 1))
def test_calibration_is_over_all_examples_however_they_come(key: int, cut: int) -> None:
    likelihood, w, x = optimal(), normal(B, M, key=key), normal(B, D, key=key)
    likelihood.calibrate([(x[:cut], w[:cut]), (x[cut:], w[cut:])])
    expected = (x - likelihood.map(w)).detach().square().mean().sqrt()
    assert float(likelihood.scale) == pytest.approx(float(expected))


def test_the_maximum_likelihood_of_ppca_is_a_fixed_point() -> None:
    """sigma^2 there is the expected error under the exact posterior, a step of EM: 20,000 draws, 5 standard errors."""
    x = normal(50, 4) @ normal(4, 4, key="mix")
    model = fit(x, 2)
    exact = ppca_vae(model)
    likelihood = OptimalGaussianLikelihood(exact.likelihood.map).double()
    x = x.repeat(400, 1)
    q, noise = infer(exact, x, 1)
    w = q.sample(noise).w[0, 0].detach()
    likelihood.calibrate([(x, w)])
    error = (x - likelihood.map(w)).detach().square().mean(-1)
    assert abs(float(likelihood.scale) ** 2 - model.noise_variance) < 5 * float(error.std()) / len(x) ** 0.5


def test_stacked_members_have_a_noise_each() -> None:
    likelihood, w, x = optimal(), normal(2, S, K, B, M), torch.stack([normal(B, D), 9 * normal(B, D)])
    together = torch.func.vmap(lambda w, x: likelihood(w).log_prob(x))(w, x)
    for place in range(2):
        torch.testing.assert_close(together[place], likelihood(w[place]).log_prob(x[place]))


def test_samples_have_the_calibrated_noise() -> None:
    """20,000 numbers, within five standard errors of their deviation."""
    likelihood = optimal(0.7)
    for training in (True, False):
        p = likelihood.train(training)(torch.zeros(5_000, M).double())
        deviation = float((p.sample(generator("samples")) - p.mean).detach().std())
        assert abs(deviation - 0.7) < 5 * 0.7 / (2 * 20_000) ** 0.5


def test_refused() -> None:
    with pytest.raises(UserError, match="scale_floor"):
        optimal(0.1, 0.2)
    vae = make_vae("gaussian", "enumerate")
    with pytest.raises(UserError, match="mixture='conditional'"):
        Autoencoder(vae.prior, optimal(), vae.posterior)


@pytest.mark.parametrize("model", ["vae", "gmvae", "lidvae", "lidgmvae", "lidmvae"])
@pytest.mark.parametrize("inference", INFERENCES)
def test_trains_and_is_measured(model: str, inference: str) -> None:
    objective = {"vae": "objective=dreg", "lidvae": "objective=importance_weighted"}.get(model, "objective=elbo")
    options = [f"model={model}", "likelihood=optimal_gaussian", objective, *inference.split()]
    sound(two_steps(options, "pinwheel"), None)


def test_enumerated_categories_are_refused_by_their_name() -> None:
    options = ["model=gmvae", "likelihood=optimal_gaussian", "family.mixture=enumerate"]
    with pytest.raises((UserError, InstantiationException)) as caught:
        two_steps(options, "pinwheel")
    message = told(caught.value, options, "pinwheel")
    assert "Use family.mixture=conditional, or" in message
    assert "likelihood=gaussian" in message


def test_a_run_and_its_evaluation_agree(tmp_path) -> None:
    programs = Programs(tmp_path)
    run = programs.train("model=lidgmvae", "likelihood=optimal_gaussian", "trainer.max_epochs=2")
    found = programs.evaluate(run.folder / "checkpoints" / "best.ckpt")
    for name in ("latent", "ll", "elbo"):
        assert measures(found.result)[name] == measures(run.result)[name]
    state = load_checkpoint(run.folder / "checkpoints" / "best.ckpt")["state_dict"]
    assert float(state["vae.likelihood.scale"]) != pytest.approx(0.13)


def test_text_is_refused(tmp_path) -> None:
    options = ["data=synthetic_text", "data.sentences=150", "data.valid_size=40", "data.test_size=50", "width=8"]
    options += ["model=svae", "likelihood=optimal_gaussian", f"paths.runs={tmp_path}"]
    assert "models sequences" in Programs(tmp_path).start("train", *options).paragraph
