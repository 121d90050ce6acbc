"""Bounds of log p(x) from both sides: closed forms and quadrature between them, whatever is chunked or interrupted."""

import doctest
import importlib
import io

import pytest
import torch
from builders import REPARAMETRISED, Identity, data, make_vae, normal, ppca_vae

from lid_vae.classical.ppca import PPCA
from lid_vae.likelihood import GaussianLikelihood
from lid_vae.map import LinearMap
from lid_vae.measure.annealed import Annealing, Bounds, annealed_bounds, simulate, target_of
from lid_vae.measure.evaluator import Evaluator
from lid_vae.noise import generator
from lid_vae.objective import ELBO
from lid_vae.posterior import AmortizedPosterior
from lid_vae.prior import GaussianMixture
from lid_vae.vae import Autoencoder

# Of a bound's average over examples, one-sided and about normal: 3 in 100,000 seeds for each comparison.
ERRORS = 4.0
QUICK = Annealing(steps=60, chains=8, leapfrog=2)


def exact_model() -> PPCA:
    weight = torch.tensor([[3.0, 1.0, 0.0, 1.0, 0.5], [0.0, 0.7, 0.7, 0.0, 0.3]]).double()
    return PPCA(weight, 0.5, torch.arange(5.0)).in_principal_axes()


def wrong_posterior(vae: Autoencoder) -> Autoencoder:
    """Off by one of its standard deviations at least, and narrower than it should be."""
    with torch.no_grad():
        vae.posterior.head.bias += torch.tensor([0.25, 0.6, -0.1, -0.1]).double()
    return vae


def encloses(bounds: Bounds, log_evidence: torch.Tensor, width: float) -> None:
    """From both sides within errors, and no wider than said."""
    assert bounds.upper is not None
    slack = {"below": log_evidence - bounds.lower, "above": bounds.upper - log_evidence}
    for side, value in slack.items():
        assert float(value.mean()) > -ERRORS * float(value.std() / len(value) ** 0.5) - 1e-9, side
    found = bounds.summary()
    assert found["width"] < width, found
    assert found["width"] == pytest.approx(found["upper"] - found["lower"])


@pytest.mark.parametrize("steps", [0, 1, 10])
def test_an_exact_posterior_has_no_width(steps: int) -> None:
    """log p(x, w) - log q(w | x) is log p(x) everywhere: an identity, of every weight in both directions."""
    model = exact_model()
    vae = ppca_vae(model)
    w, x = simulate(vae, 20, generator("exact"))
    found = annealed_bounds(target_of(vae), x, Annealing(steps=steps, chains=3), w=w)
    torch.testing.assert_close(found.lower, model.log_likelihood(x))
    torch.testing.assert_close(found.upper, model.log_likelihood(x))
    torch.testing.assert_close(found.effective, torch.full((20,), 3.0).double())


def test_ppca_is_enclosed() -> None:
    """Closed form, D = 5, from a posterior that is wrong: within errors from both sides, width under 0.02 nats."""
    model = exact_model()
    vae = wrong_posterior(ppca_vae(model))
    w, x = simulate(vae, 100, generator("ppca"))
    found = annealed_bounds(target_of(vae), x, Annealing(steps=120, chains=16, leapfrog=2), w=w)
    encloses(found, model.log_likelihood(x), 0.02)
    assert 0.5 < found.summary()["acceptance"] < 0.8


def test_ppca_is_enclosed_from_the_prior() -> None:
    model = exact_model()
    vae = ppca_vae(model)
    w, x = simulate(vae, 100, generator("prior"))
    found = annealed_bounds(target_of(vae, start="prior"), x, Annealing(steps=100, chains=8, leapfrog=2), w=w)
    encloses(found, model.log_likelihood(x), 0.2)


def test_longer_chains_are_tighter() -> None:
    """The lower bound rises with the number of temperatures and the upper one falls, by 4 errors at the least."""
    model = exact_model()
    vae = wrong_posterior(ppca_vae(model))
    w, x = simulate(vae, 200, generator("longer"))
    none, few, many = (
        annealed_bounds(target_of(vae), x, Annealing(steps=steps, chains=3, leapfrog=2), w=w) for steps in (0, 3, 60)
    )
    assert many.upper is not None
    for gain in (few.lower - none.lower, many.lower - few.lower, none.upper - many.upper):
        assert float(gain.mean()) > ERRORS * float(gain.std() / len(gain) ** 0.5)


def gaussian_mixture_vae() -> tuple[Autoencoder, torch.distributions.Distribution]:
    """A linear decoder under a mixture of three Gaussians, and its exact p(x): a mixture of three Gaussians too."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        prior, decoder = GaussianMixture(3, 2, size=2.0, scale=0.6), LinearMap(2, 4)
        vae = Autoencoder(
            prior, GaussianLikelihood(decoder, 0.4), AmortizedPosterior(Identity(4), 2, categories=3)
        ).double()
    with torch.no_grad():
        p, weight, noise = prior(), decoder.layer.weight, vae.likelihood.noise_scale()
        mean = p.components.location @ weight.mT + decoder.layer.bias
        covariance = weight * p.components.scale.square() @ weight.mT + noise.square() * torch.eye(4)
        law = torch.distributions.MultivariateNormal(mean, covariance)
    return vae, torch.distributions.MixtureSameFamily(torch.distributions.Categorical(logits=p.log_mixing), law)


@pytest.mark.parametrize("start", ["posterior", "prior"])
def test_a_mixture_prior_is_enclosed(start: str) -> None:
    """Closed form, three categories summed, from an untrained posterior over three categories and from the prior."""
    vae, evidence = gaussian_mixture_vae()
    w, x = simulate(vae, 100, generator("mixture"))
    found = annealed_bounds(target_of(vae, start=start), x, QUICK, w=w)
    encloses(found, evidence.log_prob(x), 0.4)


def quadrature(vae: Autoencoder, x: torch.Tensor, points: int = 300) -> torch.Tensor:
    """log p(x) by the trapezoid rule over both dimensions of w, or of its logarithm where it is positive."""
    positive = vae.prior.support == "positive"
    line = (torch.linspace(-7.0, 4.0, points) if positive else torch.linspace(-6.0, 6.0, points)).double()
    u = torch.cartesian_prod(line, line)
    with torch.no_grad():
        w, change = (u.exp(), u.sum(-1)) if positive else (u, torch.zeros(()))
        log_prior, p = vae.prior().log_prob(w) + change, vae.likelihood(w)
        total = [torch.logsumexp(log_prior + p.log_prob(example), 0) for example in x]
    return torch.stack(total) + 2 * torch.log(line[1] - line[0])


# One of each prior, with every mixture and family among them; the others take as long again.
QUICKEST = [
    ("standard_normal", "conditional", "realnvp"),
    ("gaussian", "enumerate", "gaussian"),
    ("log_normal", "conditional", "realnvp"),
    ("gamma", "enumerate", "gaussian"),
]


@pytest.mark.parametrize(
    ("prior", "mixture", "family"),
    [pytest.param(*each, marks=[] if each in QUICKEST else pytest.mark.slow) for each in REPARAMETRISED],
)
def test_quadrature_is_enclosed(prior: str, mixture: str, family: str) -> None:
    """Every prior that is not binary under a decoder that is not linear, from every kind of posterior."""
    vae = make_vae(prior, mixture, family, spread=0.15)
    w, x = simulate(vae, 40, generator("simulated", prior))
    exact = quadrature(vae, x)
    torch.testing.assert_close(quadrature(vae, x, 220), exact, atol=5e-3, rtol=0)
    encloses(annealed_bounds(target_of(vae), x, Annealing(steps=40, chains=8, leapfrog=2), w=w), exact, 0.3)


def test_it_is_not_below_importance_sampling() -> None:
    """On data, for a small model trained briefly: 8 chains of 61 weights each against 500 draws."""
    vae = make_vae("gaussian", likelihood="bernoulli", spread=0.8)
    x = data(vae, 200)
    optimizer, objective = torch.optim.Adam(vae.parameters(), 0.02), ELBO()
    for step in range(60):
        noise = vae.posterior.draw_noise(2, len(x), generator("train", step))
        q = vae.posterior.distribution(vae.posterior.encode(x))
        optimizer.zero_grad()
        (-objective(vae, x, q, noise).mean()).backward()
        optimizer.step()
    evaluator = Evaluator(vae, lambda x, noise: vae.posterior.distribution(vae.posterior.encode(x)), 500)
    look, _ = evaluator.measure(x, 0)
    gain = annealed_bounds(target_of(vae), x, QUICK).lower - look["evidence"]
    assert float(gain.mean()) > -ERRORS * float(gain.std() / len(gain) ** 0.5)
    assert float(gain.abs().mean()) < 0.05


def test_float32_is_enough() -> None:
    """Of energies in float32, with sums, differences and weights in float64."""
    model = exact_model()
    vae = wrong_posterior(ppca_vae(model)).float()
    w, x = simulate(vae, 200, generator("float32"))
    assert x.dtype == torch.float32
    found = annealed_bounds(target_of(vae), x, QUICK, w=w)
    assert found.lower.dtype == torch.float64
    encloses(found, model.log_likelihood(x), 0.1)


def test_chunks_change_no_number() -> None:
    vae = make_vae("gamma", "enumerate", "realnvp")
    w, x = simulate(vae, 7, generator("chunks"))
    settings = Annealing(steps=6, chains=3, leapfrog=2)
    whole, pieces, single = (annealed_bounds(target_of(vae), x, settings, w=w, rows=rows) for rows in (100, 13, 1))
    for other in (pieces, single):
        for name, value in whole.state_dict().items():
            torch.testing.assert_close(other.state_dict()[name], value, msg=name)
    another = annealed_bounds(target_of(vae), x, settings, w=w, seed=1)
    assert not bool((another.lower == whole.lower).any())


@pytest.mark.parametrize("simulated", [True, False])
def test_a_resumed_one_is_the_same_bit_for_bit(simulated: bool) -> None:
    vae = make_vae("gaussian")
    w, x = simulate(vae, 10, generator("resumed"))
    if not simulated:
        w = None
    settings, rows = Annealing(steps=10, chains=3, leapfrog=2), 9
    sizes: list[int] = []
    whole = annealed_bounds(target_of(vae), x, settings, w=w, rows=rows, each=lambda b: sizes.append(len(b)))
    assert sizes == [3, 6, 9, 10]
    store = io.BytesIO()

    def interrupted(bounds: Bounds) -> None:
        if len(bounds) == 6:
            torch.save(bounds.state_dict(), store)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        annealed_bounds(target_of(vae), x, settings, w=w, rows=rows, each=interrupted)
    store.seek(0)
    done = Bounds.of(torch.load(store, weights_only=True))
    resumed = annealed_bounds(target_of(vae), x, settings, w=w, rows=rows, done=done)
    assert (resumed.upper is None) == (w is None)
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name
    again = annealed_bounds(target_of(vae), x, settings, w=w, done=resumed)  # nothing is left to do
    assert torch.equal(again.lower, whole.lower)


def test_the_model_is_left_as_it_was() -> None:
    """No gradients, no change; and Lightning's inference mode does not hinder it."""
    vae = make_vae("gamma", "conditional", "realnvp")
    before = {name: value.clone() for name, value in vae.state_dict().items()}
    settings = Annealing(steps=3, chains=2)
    with torch.inference_mode():
        w, x = simulate(vae, 4, generator("left"))
        inside = annealed_bounds(target_of(vae), x, settings, w=w)
    assert not inside.lower.requires_grad
    assert all(parameter.grad is None and parameter.requires_grad for parameter in vae.parameters())
    assert all(torch.equal(before[name], value) for name, value in vae.state_dict().items())
    torch.testing.assert_close(annealed_bounds(target_of(vae), x.clone(), settings, w=w.clone()).lower, inside.lower)


def test_inference_has_noise_of_its_own_for_each_example() -> None:
    vae = make_vae("gaussian", "enumerate")
    seen: list[torch.Tensor] = []

    def infer(x: torch.Tensor, noise: torch.Tensor):
        seen.append(noise)
        return vae.posterior.distribution(vae.posterior.encode(x))

    x = data(vae, 5)
    found = annealed_bounds(target_of(vae, infer, inference_samples=2), x, Annealing(steps=2, chains=2), rows=6)
    assert [tuple(noise.shape) for noise in seen] == [(2, 3, 3, 2), (2, 3, 2, 2)]
    together: list[torch.Tensor] = []
    seen, together = together, seen
    annealed_bounds(target_of(vae, infer, inference_samples=2), x, Annealing(steps=0), rows=100)
    assert torch.equal(seen[0], torch.cat(together, 2))
    torch.testing.assert_close(found.lower, annealed_bounds(target_of(vae), x, Annealing(steps=2, chains=2)).lower)


def test_no_noise_is_used_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Step sizes found on the noise of the chains that they then move would depend on these."""
    keys: list[tuple] = []

    def recorded(*key: int | str, device: torch.device | str = "cpu") -> torch.Generator:
        keys.append(key)
        return generator(*key, device=device)

    monkeypatch.setattr("lid_vae.measure.annealed.bounds.generator", recorded)
    vae = make_vae()
    w, x = simulate(vae, 5, generator("noise"))
    settings = Annealing(steps=4, chains=2, tuning=3)
    annealed_bounds(target_of(vae), x, settings, w=w, rows=4)
    assert len(keys) == 5 * ((1 + 3) + (1 + 4) + 4)
    assert len(set(keys)) == len(keys)


def test_a_summary_is_of_plain_numbers() -> None:
    lower, upper = normal(9), normal(9, key="upper")
    found = Bounds(lower, upper, torch.full((9,), 0.5).double(), torch.ones(9).double()).summary()
    assert all(type(value) is float for value in found.values())
    assert found["lower"] == pytest.approx(float(lower.mean()))
    assert found["lower_se"] == pytest.approx(float(lower.std() / 3))
    assert found["width_se"] == pytest.approx(float((upper - lower).std() / 3))
    assert "upper" not in Bounds(lower, None, lower, lower).summary()


@pytest.mark.parametrize("name", ["annealing", "bounds", "target"])
def test_examples_in_docstrings_run(name: str) -> None:
    done = doctest.testmod(importlib.import_module(f"lid_vae.measure.annealed.{name}"))
    assert done.attempted > 0
    assert done.failed == 0
