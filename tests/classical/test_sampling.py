"""NUTS against the quadrature. Without Pyro only the message is tested."""

from importlib.util import find_spec

import pytest
import torch

from lid_vae.classical import sampling
from lid_vae.classical.gmm import GaussianMixture, compress
from lid_vae.classical.sampling import Chains, sample_weight
from lid_vae.errors import UserError
from lid_vae.noise import generator

needs_pyro = pytest.mark.skipif(find_spec("pyro") is None, reason="needs Pyro: pip install -e '.[bayes]'")


@needs_pyro
def test_a_short_run_agrees_repeats_and_leaves_the_generator_alone():
    mixture = GaussianMixture((-0.5, 0.5), (1, 1))
    x = mixture.sample(0.15, 200, generator("nuts"))
    state = torch.get_rng_state()
    runs = [sample_weight(mixture, x, key=(k,), chains=2, samples=100, warmup=50) for k in (0, 0, 1)]
    torch.testing.assert_close(torch.get_rng_state(), state)
    assert torch.equal(runs[0].alpha, runs[1].alpha)
    assert not torch.equal(runs[0].alpha, runs[2].alpha)
    exact = mixture.posterior(x)
    assert abs(runs[0].mean - exact.mean) < 4 * runs[0].standard_error
    assert runs[0].standard_deviation == pytest.approx(exact.standard_deviation, rel=0.4)


@needs_pyro
def test_chains_that_did_not_mix_say_so():
    mixture = GaussianMixture((-0.5, 0.5), (1, 1))
    x = mixture.sample(0.15, 200, generator("nuts"))
    assert not sample_weight(mixture, x, key=(0,), samples=4, warmup=0).mixed


def test_mixed_is_false_for_apart_or_constant_chains():
    alpha = torch.zeros(4, 100)
    assert Chains(alpha, 1.001, 800.0).mixed
    assert not Chains(alpha, 1.02, 800.0).mixed
    assert not Chains(alpha, 1.001, 399.0).mixed
    assert not Chains(alpha, float("nan"), float("nan")).mixed


@needs_pyro
@pytest.mark.parametrize("options", [{"chains": 1}, {"samples": 3}, {"warmup": -1}])
def test_too_few_chains_or_draws_are_refused(options):
    with pytest.raises(UserError, match="at least 2 chains of 4 draws"):
        sample_weight(GaussianMixture((0, 1), (1, 1)), torch.randn(9), key=(0,), **options)


def test_without_pyro_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setattr(sampling, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install -e '\.\[bayes\]'"):
        sample_weight(GaussianMixture((0, 1), (1, 1)), torch.randn(9), key=(0,))


@needs_pyro
@pytest.mark.slow
@pytest.mark.parametrize("mean", [(-10, 10), (-0.5, 0.5), (-1, -1)], ids=["separated", "overlapping", "single"])
def test_four_chains_agree_with_the_quadrature_on_the_papers_data(mean):
    """Three standard errors; the false-alarm rate of 0.3% is spent once, since the key is fixed."""
    mixture = GaussianMixture(mean, (1, 1))
    x = mixture.sample(0.15, 100_000, generator(0, "nuts"))
    chains, exact = sample_weight(mixture, *compress(x), key=(0,)), mixture.posterior(x)
    assert chains.mixed
    assert abs(chains.mean - exact.mean) < 3 * chains.standard_error
    assert chains.standard_deviation == pytest.approx(exact.standard_deviation, rel=0.1)
