"""DReG: the importance-weighted bound as a number, another estimator of its gradient in the posterior."""

import copy

import pytest
import torch
from builders import REPARAMETRISED, data, infer, make_vae, normal, ppca_vae
from hypothesis import given
from hypothesis import strategies as st

from lid_vae.classical.ppca import fit
from lid_vae.distribution import FlowGaussian
from lid_vae.errors import UserError
from lid_vae.objective import DReG, ImportanceWeighted
from lid_vae.vae import Autoencoder

models = st.sampled_from(REPARAMETRISED)
keys = st.integers(0, 10**6)


def gradients(value: torch.Tensor, parameters: list[torch.nn.Parameter]) -> list[torch.Tensor]:
    found = torch.autograd.grad(value, parameters, retain_graph=True, allow_unused=True)
    return [
        torch.zeros_like(own) if gradient is None else gradient for own, gradient in zip(parameters, found, strict=True)
    ]


def learned(vae: Autoencoder) -> list[torch.nn.Parameter]:
    return [parameter for parameter in vae.model_parameters() if parameter.requires_grad]


@given(combination=models, likelihood=st.sampled_from(["gaussian", "bernoulli"]), samples=st.integers(1, 7), key=keys)
def test_the_value_and_the_gradient_of_the_model_are_importance_weighting_s(
    combination, likelihood, samples, key
) -> None:
    vae = make_vae(*combination, likelihood, key=key)
    x = data(vae, key=key)
    q, noise = infer(vae, x, samples, key)
    values = [objective(vae, x, q, noise) for objective in (DReG(samples), ImportanceWeighted(samples))]
    assert torch.equal(*values)
    for one, other in zip(*(gradients(value.sum(), learned(vae)) for value in values), strict=True):
        torch.testing.assert_close(one, other)


@given(combination=models, samples=st.integers(1, 5), key=keys)
def test_the_gradient_of_the_posterior_is_that_of_the_paper(combination, samples, key) -> None:
    """Tucker et al. (2019), the density of q without a gradient that of a frozen copy of the model.

    With one sample that is the path gradient (Roeder et al. 2017). Gradients in q(z | x) come on top, and are left out
    by a posterior that does not learn them.
    """
    vae = make_vae(*combination, key=key)
    x = data(vae, key=key)
    q, noise = infer(vae, x, samples, key)
    if q.log_category is not None:
        q.log_category = q.log_category.detach()
    frozen = copy.deepcopy(vae).requires_grad_(False)
    still, _ = infer(frozen, x, samples, key)
    sample = q.sample(noise)
    at = sample._replace(log_prob=still.log_prob(sample.w))
    log_weight = frozen.terms_at(x, still, at).log_weight()
    weight = torch.softmax(log_weight, 0).detach()
    expected = (weight.square() * log_weight).sum(0, keepdim=True)
    expected = expected.squeeze() if q.log_category is None else (q.log_category.exp() * expected).sum()
    names = [name for name, _ in vae.posterior.named_parameters() if "category_head" not in name]
    parameters = [vae.posterior.get_parameter(name) for name in names]
    found = gradients(DReG(samples)(vae, x, q, noise).sum(), parameters)
    for name, one, other in zip(names, found, gradients(expected.sum(), parameters), strict=True):
        torch.testing.assert_close(one, other, msg=lambda text, name=name: f"{name}: {text}", rtol=1e-6, atol=1e-8)


def test_the_categories_learn_as_by_importance_weighting() -> None:
    vae = make_vae("gaussian", "enumerate")
    x = data(vae)
    q, noise = infer(vae, x, 4)
    parameters = list(vae.posterior.category_head.parameters())
    found = [gradients(objective(vae, x, q, noise).sum(), parameters) for objective in (DReG(4), ImportanceWeighted(4))]
    for one, other in zip(*found, strict=True):
        assert bool((other != 0).any())
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("samples", [1, 6])
def test_at_the_exact_posterior_it_is_zero_whatever_the_noise(samples: int) -> None:
    x = normal(50, 4) @ normal(4, 4, key="mix")
    vae = ppca_vae(fit(x, 2))
    q, noise = infer(vae, x, samples)
    for objective, exact in ((DReG(samples), True), (ImportanceWeighted(samples), False)):
        found = gradients(objective(vae, x, q, noise).mean(), vae.posterior_parameters())
        assert (max(float(gradient.abs().max()) for gradient in found) < 1e-10) is exact


def of_replicates(vae: Autoencoder, objective: type, samples: int, replicates: int) -> torch.Tensor:
    """The gradient in mean and scale of one x's q, [replicates, 2 M], each from draws of its own."""
    x = data(vae, 1).expand(replicates, -1)
    with torch.no_grad():
        q, _ = infer(vae, x[:1], 1)
    leaves = [value.expand(1, replicates, -1).clone().requires_grad_() for value in (q.mean, q.scale)]
    law = FlowGaussian(*leaves, None, q.flow)
    objective(samples)(vae, x, law, normal(samples, 1, replicates, 2, key=samples)).sum().backward()
    return torch.cat([leaf.grad[0] for leaf in leaves], -1)


@pytest.mark.parametrize("family", ["gaussian", "realnvp"])
@pytest.mark.parametrize("samples", [1, 3, 10])
def test_the_expected_gradient_is_the_bound_s(family: str, samples: int) -> None:
    """20,000 pairs on the same draws: the four mean differences within 4.5 standard errors, false alarms 3e-5."""
    vae = make_vae("standard_normal", family=family)
    plain, doubly = (of_replicates(vae, objective, samples, 20_000) for objective in (ImportanceWeighted, DReG))
    difference = plain - doubly
    error = difference.std(0) / 20_000**0.5
    assert bool((difference.mean(0).abs() < 4.5 * error).all())
    assert bool((doubly.mean(0).abs() > 10 * doubly.std(0) / 20_000**0.5).any()), "or zero would do"


def test_its_signal_grows_with_the_samples_where_importance_weighting_s_drowns() -> None:
    """|mean| / deviation near the exact posterior: as sqrt(S) and as 1 / sqrt(S) (Rainforth et al. 2018).

    From 8 to 512 samples, 2,000 replicates: 1.6 to 12.6, and 0.05 to 0.01, where 0.02 is the noise of the estimate.
    """
    x = normal(50, 4) @ normal(4, 4, key="mix")
    model = fit(x, 2)
    vae = ppca_vae(model)
    with torch.no_grad():
        vae.posterior.head.bias[:2] += 0.2 * model.posterior_covariance.diagonal().sqrt()
        vae.posterior.head.bias[2:] += 0.2
    ratio = {}
    for objective in (ImportanceWeighted, DReG):
        for samples in (1, 8, 512):
            found = of_replicates(vae, objective, samples, 2_000)
            ratio[objective, samples] = float(found.mean(0).norm() / found.var(0).sum().sqrt())
    assert ratio[DReG, 512] > 4 * ratio[DReG, 8] > 4 * ratio[DReG, 1]
    assert ratio[ImportanceWeighted, 512] < 0.5 * ratio[ImportanceWeighted, 1]


def test_refused() -> None:
    with pytest.raises(UserError, match=r"samples=0"):
        DReG(0)
    vae = make_vae("bernoulli")
    with pytest.raises(UserError, match="Use ELBO"):
        DReG(2)(vae, data(vae), *infer(vae, data(vae), 2))
