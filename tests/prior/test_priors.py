"""Priors: what they return, where they start, and that every parameter learns."""

import math

import pytest
import torch
from builders import randomise

from lid_vae.distribution import (
    BernoulliComponents,
    GammaComponents,
    GaussianComponents,
    LogNormalComponents,
    Mixture,
    StandardNormal,
)
from lid_vae.errors import UserError
from lid_vae.noise import generator
from lid_vae.prior import ExponentialFamilyMixture, GaussianMixture, Prior, StandardNormalPrior

COMPONENTS = {
    "gaussian": (GaussianComponents, "real"),
    "log_normal": (LogNormalComponents, "positive"),
    "gamma": (GammaComponents, "positive"),
    "bernoulli": (BernoulliComponents, "binary"),
}
PRIORS = {
    "standard normal": lambda: StandardNormalPrior(3),
    "gaussian mixture": lambda: GaussianMixture(4, 3),
    "isotropic gaussian mixture": lambda: GaussianMixture(4, 3, isotropic=True),
    "learned gaussian mixture": lambda: GaussianMixture(4, 3, code="learned"),
    **{name: lambda name=name: ExponentialFamilyMixture(4, 3, name) for name in COMPONENTS},
}
priors = pytest.mark.parametrize("make", PRIORS.values(), ids=PRIORS)


@priors
def test_contract(make) -> None:
    prior = make()
    p = prior()
    w = p.sample(50, generator("prior"))
    assert w.shape == (50, prior.latent_dimension)
    assert p.support == prior.support
    assert torch.isfinite(p.log_prob(w)).all()
    assert p.mean.shape == p.variance.shape == (prior.latent_dimension,)
    if prior.categories is None:
        assert isinstance(p, StandardNormal)
        assert prior.separation() is None
    else:
        assert isinstance(p, Mixture)
        torch.testing.assert_close(p.log_mixing.exp(), torch.full((4,), 0.25))
        assert prior.separation() > 0


@priors
def test_every_parameter_learns(make) -> None:
    prior = randomise(make(), "prior", 0.5)
    trainable = [parameter for parameter in prior.parameters() if parameter.requires_grad]
    if not trainable:
        assert isinstance(prior, StandardNormalPrior)
        return
    p = prior()
    p.log_prob(p.sample(50, generator("prior")).detach()).sum().backward()
    assert all(bool((parameter.grad != 0).any()) for parameter in trainable)


@priors
def test_state_dict_restores_the_density(make) -> None:
    source, target = randomise(make(), "source", 0.5), randomise(make(), "target", 0.5)
    w = source().sample(20, generator("state"))
    target.load_state_dict(source.state_dict())
    torch.testing.assert_close(target().log_prob(w), source().log_prob(w), rtol=0, atol=0)


@pytest.mark.parametrize("component", COMPONENTS)
def test_exponential_family_components(component: str) -> None:
    prior = ExponentialFamilyMixture(4, 3, component, size=0.5)
    kind, support = COMPONENTS[component]
    p = prior()
    assert isinstance(p.components, kind)
    assert prior.support == support
    # The code shifts the natural parameter, by as much for every family.
    torch.testing.assert_close(torch.pdist(p.components.parameters).min().item(), prior.separation())


def test_positive_components_start_with_half_a_coefficient_of_variation() -> None:
    for component in ("log_normal", "gamma"):
        p = ExponentialFamilyMixture(1, 2, component)()
        ratio = p.components.variance.sqrt() / p.components.mean
        torch.testing.assert_close(ratio, torch.full_like(ratio, 0.5), rtol=0.1, atol=0)


def test_gaussian_components_start_at_the_scale_they_are_given() -> None:
    prior = GaussianMixture(4, 3, scale=0.7)
    torch.testing.assert_close(prior().components.scale, torch.full((3,), 0.7))
    with torch.no_grad():
        prior.raw_scale.fill_(-60.0)
    assert float(prior().components.scale.min().detach()) == pytest.approx(0.02)


def test_an_isotropic_mixture_has_one_scale_and_its_density() -> None:
    prior = GaussianMixture(4, 3, scale=0.7, isotropic=True).double()
    assert prior.raw_scale.shape == (1,)
    mixture, w = prior(), torch.randn(5, 3, generator=generator("w"), dtype=torch.float64)
    square = (w.unsqueeze(-2) - mixture.components.location).square().sum(-1) / 0.7**2
    wanted = torch.logsumexp(-square / 2, -1) - math.log(4) - 1.5 * math.log(2 * math.pi * 0.7**2)
    torch.testing.assert_close(mixture.log_prob(w), wanted, rtol=1e-6, atol=1e-6)
    mixture.log_prob(w).sum().backward()
    assert float(prior.raw_scale.grad) != 0


def test_an_unknown_component_is_refused() -> None:
    with pytest.raises(UserError, match=r"component=bogus is not known. Use one of gaussian, log_normal"):
        ExponentialFamilyMixture(4, 3, "bogus")


def test_a_scale_below_the_floor_is_refused() -> None:
    with pytest.raises(UserError, match=r"scale=0\.02"):
        GaussianMixture(4, 3, scale=0.02)


def test_the_contract_is_abstract() -> None:
    with pytest.raises(TypeError, match="abstract"):
        Prior()
