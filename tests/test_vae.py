"""The log terms of a VAE against brute force, its exact posterior, and parts that do not fit."""

import pytest
import torch
from builders import COMBINATIONS, data, infer, make_vae, normal, ppca_vae
from torch.distributions import Bernoulli, Normal

from lid_vae.classical.ppca import fit
from lid_vae.errors import UserError
from lid_vae.likelihood import GaussianLikelihood
from lid_vae.map import LinearMap
from lid_vae.posterior import AmortizedPosterior, MLPEncoder, gaussian_family
from lid_vae.prior import ExponentialFamilyMixture, GaussianMixture, StandardNormalPrior
from lid_vae.vae import Autoencoder

S, K, B, M = 3, 3, 5, 2
combinations = pytest.mark.parametrize(("prior", "mixture", "family"), COMBINATIONS)


@combinations
@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli"])
def test_log_terms_by_hand(prior: str, mixture: str, family: str, likelihood: str) -> None:
    vae = make_vae(prior, mixture, family, likelihood)
    x = data(vae)
    q, noise = infer(vae, x, S)
    terms, p, sample = vae.terms(x, q, noise), vae.prior(), q.sample(noise)
    image = vae.likelihood.map(sample.w)
    law = Bernoulli(logits=image) if vae.likelihood.binary else Normal(image, vae.likelihood.noise_scale())
    log_likelihood = law.log_prob(x).sum(-1)
    torch.testing.assert_close(terms.log_likelihood, log_likelihood)
    if mixture == "conditional":
        log_weight = log_likelihood + p.log_prob(sample.w) - sample.log_prob
        torch.testing.assert_close(terms.log_weight(), log_weight)
        torch.testing.assert_close(terms.log_evidence_weight(), log_weight[:, 0])
        torch.testing.assert_close(terms.expectation(terms.log_weight()), log_weight[:, 0])
        return
    joint = torch.stack([p.joint_log_prob(sample.w[:, k])[..., k] for k in range(K)], 1)
    category = q.log_category.exp()
    log_weight = log_likelihood + joint - sample.log_prob - q.log_category
    torch.testing.assert_close(terms.log_weight(), log_weight)
    weights = (log_likelihood + joint - sample.log_prob).exp()  # p(k) p(w_k | k) p(x | w_k) / q(w_k | x, k)
    torch.testing.assert_close(terms.log_evidence_weight(), weights.sum(1).log())
    expected = sum(category[k] * log_weight[:, k] for k in range(K))
    torch.testing.assert_close(terms.expectation(terms.log_weight()), expected)
    assert bool((terms.log_evidence_weight() >= expected - 1e-9).all())


@combinations
def test_category_probability(prior: str, mixture: str, family: str) -> None:
    vae = make_vae(prior, mixture, family)
    x = data(vae)
    q, noise = infer(vae, x, S)
    sample = q.sample(noise)
    found = vae.category_probability(q, sample)
    if prior == "standard_normal":
        assert found is None
        return
    torch.testing.assert_close(found.sum(-1), torch.ones(found.shape[:-1]).double())
    if mixture == "enumerate":
        torch.testing.assert_close(found, q.log_category.exp().mT[None])
        return
    p = vae.prior()
    weights = p.joint_log_prob(sample.w[:, 0]).exp()
    torch.testing.assert_close(found, weights / weights.sum(-1, keepdim=True))


@combinations
def test_the_two_groups_hold_every_parameter_once(prior: str, mixture: str, family: str) -> None:
    vae = make_vae(prior, mixture, family)
    both = [id(parameter) for parameter in vae.model_parameters() + vae.posterior_parameters()]
    assert sorted(both) == sorted(id(parameter) for parameter in vae.parameters())
    assert {id(parameter) for parameter in vae.posterior_parameters()} == {
        id(parameter) for parameter in vae.posterior.parameters()
    }


def test_with_the_exact_posterior_every_weight_is_the_evidence() -> None:
    x = normal(60, 5) @ normal(5, 5)
    model = fit(x, 2)
    vae = ppca_vae(model)
    q, noise = infer(vae, x, 4)
    torch.testing.assert_close(q.mean[0], model.posterior_mean(x))
    torch.testing.assert_close(q.scale[0], model.posterior_covariance.diagonal().sqrt().expand(60, 2))
    weight = vae.terms(x, q, noise).log_weight().squeeze(1)
    torch.testing.assert_close(weight, model.log_likelihood(x).expand(4, 60))


def parts(prior=None, dimension: int = M, posterior=None) -> tuple:
    prior = StandardNormalPrior(M) if prior is None else prior
    return prior, GaussianLikelihood(LinearMap(dimension, 4)), posterior or AmortizedPosterior(MLPEncoder((4,), 5), M)


def test_parts_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UserError, match="2 dimensions in the prior, 3 in the likelihood and 2 in the posterior"):
        Autoencoder(*parts(dimension=3))
    with pytest.raises(UserError, match="3 dimensions in the prior"):
        Autoencoder(*parts(StandardNormalPrior(3)))
    enumerated = AmortizedPosterior(MLPEncoder((4,), 5), M, categories=4)
    with pytest.raises(UserError, match=r"enumerates 4 categories and the prior has 3\. Use mixture='conditional'"):
        Autoencoder(*parts(GaussianMixture(3, M), posterior=enumerated))
    with pytest.raises(UserError, match="enumerates 4 categories and the prior has None"):
        Autoencoder(*parts(posterior=enumerated))


@pytest.mark.parametrize("component", ["gamma", "log_normal", "bernoulli"])
def test_supports_that_do_not_agree_are_refused(component: str) -> None:
    prior = ExponentialFamilyMixture(3, M, component)
    with pytest.raises(UserError, match=f"prior's latent is {prior.support} and the posterior's real.*gaussian_family"):
        Autoencoder(*parts(prior))
    posterior = gaussian_family(lambda shape: MLPEncoder(shape, 5))((4,), M, None, prior.support)
    with pytest.raises(UserError, match=f"prior's latent is real and the posterior's {prior.support}"):
        Autoencoder(*parts(posterior=posterior))
    Autoencoder(*parts(prior, posterior=posterior))


def test_a_state_dict_restores_the_whole_model() -> None:
    source, target = (make_vae("gamma", "enumerate", "realnvp", key=key) for key in ("source", "target"))
    target.load_state_dict(source.state_dict())
    x = data(source)
    q, noise = infer(source, x, 2)
    again, _ = infer(target, x, 2)
    found, expected = target.terms(x, again, noise).log_weight(), source.terms(x, q, noise).log_weight()
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
