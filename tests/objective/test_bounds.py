"""Bounds on log p(x): identities between them, their order, exact posteriors, and brute-force sums over categories."""

from math import log

import pytest
import torch
from builders import COMBINATIONS, REPARAMETRISED, data, infer, make_vae, normal, ppca_vae, randomise
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from lid_vae.classical.ppca import fit
from lid_vae.distribution import FlowGaussian, closed_form_kl
from lid_vae.errors import UserError
from lid_vae.map import MLP
from lid_vae.objective import ELBO, Constant, ImportanceWeighted, Linear

reparametrised = pytest.mark.parametrize(("prior", "mixture", "family"), REPARAMETRISED)


@reparametrised
def test_one_importance_sample_is_the_elbo(prior: str, mixture: str, family: str) -> None:
    vae = make_vae(prior, mixture, family)
    x = data(vae)
    q, noise = infer(vae, x, 1)
    elbo = ELBO(closed_form=False)(vae, x, q, noise)
    torch.testing.assert_close(ImportanceWeighted(1)(vae, x, q, noise), elbo)
    assert elbo.shape == (len(x),)


@given(
    combination=st.sampled_from(REPARAMETRISED),
    likelihood=st.sampled_from(["gaussian", "bernoulli"]),
    samples=st.integers(1, 7),
    key=st.integers(0, 10**6),
    spread=st.floats(0.05, 1.5),
)
def test_importance_weighting_never_lowers_the_bound(combination, likelihood, samples, key, spread) -> None:
    """On the same draws, for each example: the logarithm of a mean is at least the mean of the logarithms."""
    vae = make_vae(*combination, likelihood, key=key, spread=spread)
    x = data(vae, key=key)
    q, noise = infer(vae, x, samples, key)
    with torch.no_grad():
        elbo = ELBO(closed_form=False)(vae, x, q, noise)
        weighted = ImportanceWeighted(samples)(vae, x, q, noise)
    assert bool((weighted >= elbo - 1e-12 * (1 + elbo.abs())).all())


@reparametrised
def test_importance_weighting_by_brute_force(prior: str, mixture: str, family: str) -> None:
    vae = make_vae(prior, mixture, family)
    x = data(vae)
    q, noise = infer(vae, x, 4)
    value = ImportanceWeighted(4)(vae, x, q, noise)
    sample, p = q.sample(noise), vae.prior()
    for i in range(len(x)):
        expected = 0.0
        for k in range(noise.shape[1]):
            share = 1.0 if q.log_category is None else float(q.log_category[k, i].detach().exp())
            total = 0.0
            for s in range(4):
                w = sample.w[s, k, i]
                log_p = p.log_prob(w) if q.log_category is None else p.joint_log_prob(w)[k]
                log_x = vae.likelihood(w).log_prob(x[i])
                total += float((log_p + log_x - sample.log_prob[s, k, i]).detach().exp()) / share
            expected += share * log(total / 4)
        assert float(value[i].detach()) == pytest.approx(expected)


def test_importance_weighting_trains_the_categories() -> None:
    """Best at q(z | x) proportional to exp of each category's bound; a sum inside the logarithm would not depend on it.

    Its gradient there is zero for every logit, and elsewhere is not.
    """
    vae = make_vae("gaussian", "enumerate")
    x = data(vae)
    q, noise = infer(vae, x, 4)
    weight = vae.terms(x, q, noise).log_weight() + q.log_category
    best = torch.log_softmax(torch.logsumexp(weight, 0), 0).detach()
    for logits, stationary in ((best, True), (torch.zeros_like(best), False)):
        logits.requires_grad_()
        law = FlowGaussian(q.mean.detach(), q.scale.detach(), torch.log_softmax(logits, 0))
        ImportanceWeighted(4)(vae, x, law, noise).sum().backward()
        assert (float(logits.grad.abs().max()) < 1e-10) is stationary


@pytest.mark.parametrize(("prior", "mixture", "family"), COMBINATIONS)
def test_elbo_by_brute_force(prior: str, mixture: str, family: str) -> None:
    vae = make_vae(prior, mixture, family)
    x = data(vae)
    q, noise = infer(vae, x, 4)
    value = ELBO(closed_form=False, samples=4)(vae, x, q, noise)
    sample, p = q.sample(noise), vae.prior()
    for i in range(len(x)):
        total = 0.0
        for s in range(4):
            for k in range(noise.shape[1]):
                w, weight = sample.w[s, k, i], 1.0
                log_p, log_q = p.log_prob(w), sample.log_prob[s, k, i]
                if q.log_category is not None:
                    log_p, log_q = p.joint_log_prob(w)[k], log_q + q.log_category[k, i]
                    weight = q.log_category[k, i].exp()
                total += float((weight * (vae.likelihood(w).log_prob(x[i]) + log_p - log_q)).detach())
        assert float(value[i].detach()) == pytest.approx(total / 4)


def test_the_exact_posterior_makes_every_bound_the_evidence() -> None:
    x = normal(50, 4) @ normal(4, 4, key="mix")
    model = fit(x, 2)
    vae = ppca_vae(model)
    for samples in (1, 5):
        q, noise = infer(vae, x, samples)
        for objective in (ELBO(closed_form=False, samples=samples), ImportanceWeighted(samples)):
            torch.testing.assert_close(objective(vae, x, q, noise), model.log_likelihood(x))


def test_maximum_likelihood_and_exact_inference_are_stationary() -> None:
    """At PPCA's maximum the gradient of the mean bound vanishes, for the model and for the posterior."""
    x = normal(50, 4) @ normal(4, 4, key="mix")
    vae = ppca_vae(fit(x, 2))
    q, noise = infer(vae, x, 1)
    # Antithetic pairs +-sqrt(L) e_d have the moments of the normal that a quadratic needs: no sampling error.
    directions = 2**0.5 * torch.eye(2).double()
    noise = torch.cat([directions, -directions])[:, None, None].expand(4, 1, 50, 2)
    ELBO(samples=4)(vae, x, q, noise).mean().backward()
    for name, parameter in vae.named_parameters():
        assert float(parameter.grad.abs().max()) < 1e-8, name


def constant_map() -> MLP:
    map_ = MLP(2, 4, 6, 1)
    nn.init.zeros_(map_.output.weight)
    return map_


@pytest.mark.parametrize("mixture", ["conditional", "enumerate"])
def test_a_constant_decoder_is_best_served_by_the_prior(mixture: str) -> None:
    prior = "standard_normal" if mixture == "conditional" else "gaussian"
    vae = make_vae(prior, mixture, map_=constant_map())
    with torch.no_grad():
        vae.likelihood.map.output.weight.zero_()
    x, p = data(vae), vae.prior()
    evidence = vae.likelihood(torch.zeros(5, 2).double()).log_prob(x)
    q, noise = infer(vae, x, 2)
    value = ELBO()(vae, x, q, noise)
    torch.testing.assert_close(evidence - value, closed_form_kl(q, p))
    assert bool((value < evidence).all())
    if prior == "standard_normal":
        mean, scale, category = torch.zeros(1, 5, 2).double(), torch.ones(1, 5, 2).double(), None
    else:
        mean = p.components.location[:, None].expand(3, 5, 2).detach().clone()
        scale = p.components.scale.expand(3, 5, 2).detach().clone()
        category = p.log_mixing[:, None].expand(3, 5).clone().requires_grad_()
    best = FlowGaussian(mean.requires_grad_(), scale.requires_grad_(), category)
    value = ELBO()(vae, x, best, noise)
    torch.testing.assert_close(value, evidence)
    value.sum().backward()
    torch.testing.assert_close(mean.grad, torch.zeros_like(mean), atol=1e-10, rtol=0)
    torch.testing.assert_close(scale.grad, torch.zeros_like(scale), atol=1e-10, rtol=0)


@pytest.mark.parametrize(("prior", "mixture"), [("standard_normal", "conditional"), ("gaussian", "enumerate")])
def test_the_closed_form_has_the_mean_of_the_samples(prior: str, mixture: str) -> None:
    """4000 draws: within 4.5 standard errors for each of five examples, false alarms 4e-5."""
    vae = make_vae(prior, mixture)
    x = data(vae)
    q, noise = infer(vae, x, 4000)
    with torch.no_grad():
        difference = ELBO(closed_form=False)(vae, x, q, noise) - ELBO()(vae, x, q, noise)
        terms = vae.terms(x, q, noise)
        sampled = terms.expectation(terms.log_posterior - terms.log_prior)
    assert bool((difference.abs() < 4.5 * sampled.std(0) / 4000**0.5).all())
    assert bool((difference != 0).any())


@pytest.mark.parametrize("closed_form", [True, False])
@pytest.mark.parametrize(("prior", "mixture", "family"), REPARAMETRISED)
def test_beta_weighs_the_divergence(prior: str, mixture: str, family: str, closed_form: bool) -> None:
    vae = make_vae(prior, mixture, family)
    x = data(vae)
    q, noise = infer(vae, x, 3)
    at = {beta: ELBO(beta, closed_form=closed_form)(vae, x, q, noise) for beta in (0.0, 0.5, 1.0, 4.0)}
    terms = vae.terms(x, q, noise)
    torch.testing.assert_close(at[0.0], terms.expectation(terms.log_likelihood).mean(0))
    for beta, value in at.items():
        torch.testing.assert_close(value, at[0.0] + beta * (at[1.0] - at[0.0]))
    if closed_form and terms.kl is not None:
        torch.testing.assert_close(at[0.0] - at[1.0], terms.kl)


def test_annealing_moves_beta() -> None:
    objective = ELBO(Linear(start=0.25, end=2.0, share=0.5))
    assert objective.beta == 0.25
    for step, beta in ((0, 0.25), (25, 1.125), (50, 2.0), (99, 2.0)):
        objective.advance(step, 100)
        assert objective.beta == pytest.approx(beta)
    vae = make_vae("standard_normal")
    x = data(vae)
    q, noise = infer(vae, x, 2)
    torch.testing.assert_close(objective(vae, x, q, noise), ELBO(2.0)(vae, x, q, noise))
    assert ELBO(Constant(0.5)).beta == ELBO(0.5).beta == 0.5


@pytest.mark.parametrize(("prior", "mixture", "family"), COMBINATIONS)
def test_gradients_reach_every_parameter(prior: str, mixture: str, family: str) -> None:
    vae = make_vae(prior, mixture, family)
    randomise(vae, "gradients", 0.7)
    x = data(vae, 40)
    vae.zero_grad()
    ELBO(samples=3)(vae, x, *infer(vae, x, 3)).sum().backward()
    for name, parameter in vae.named_parameters():
        if not parameter.requires_grad:
            continue
        assert parameter.grad is not None, name
        assert bool((parameter.grad != 0).any()), name


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ELBO(beta=-0.1), r"cannot be negative, got beta=-0\.1"),
        (lambda: ELBO(samples=0), r"at least one sample, got samples=0"),
        (lambda: ImportanceWeighted(0), r"at least one sample, got samples=0"),
    ],
)
def test_meaningless_options_are_refused(make, message: str) -> None:
    with pytest.raises(UserError, match=message):
        make()


def test_importance_weighting_of_binary_latents_is_refused() -> None:
    vae = make_vae("bernoulli")
    x = data(vae)
    with pytest.raises(UserError, match=r"Bernoulli latent has not. Use ELBO, or a prior with component='gamma'"):
        ImportanceWeighted(2)(vae, x, *infer(vae, x, 2))


def test_a_single_sample_of_a_binary_latent_is_refused() -> None:
    vae = make_vae("bernoulli")
    x = data(vae)
    with pytest.raises(UserError, match=r"at least two samples\. Use samples=4"):
        ELBO(samples=1)(vae, x, *infer(vae, x, 1))
