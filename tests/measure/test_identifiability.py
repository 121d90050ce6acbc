"""No pair falls below the certified floor; where a map is flat the search finds it; known answers of linear maps."""

import json
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from builders import COMBINATIONS, Identity, make_monotone, make_vae, normal, randomise
from hypothesis import given, settings
from hypothesis import strategies as st
from runs import TINY, Programs
from scipy import integrate, stats

import lid_vae
from lid_vae.distribution.components import GammaComponents, GaussianComponents, LogNormalComponents
from lid_vae.distribution.latent import Mixture
from lid_vae.errors import UserError
from lid_vae.likelihood import CategoricalLikelihood, GaussianLikelihood, autoregressive_likelihood
from lid_vae.map import MLP, LinearMap, anchored, composed_brenier
from lid_vae.measure import Identifiability
from lid_vae.measure.closeness import Box, component_divergences, mean_distance, outputs_of
from lid_vae.measure.identifiability import identifiability
from lid_vae.noise import generator
from lid_vae.posterior import AmortizedPosterior, MLPEncoder, gaussian_family, realnvp_family
from lid_vae.prior import StandardNormalPrior, VampPrior
from lid_vae.report.numbers.measures import columns
from lid_vae.vae import Autoencoder

QUICK = {"starts": 16, "steps": 30}


def mlp(in_features: int, out_features: int) -> MLP:
    return MLP(in_features, out_features, width=8, hidden_layers=1)


def injective(kind: str, key: object):
    """A map of R^2 to R^4, or of R^3 to itself, with random parameters."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = {
            "brenier": lambda: composed_brenier(2, 4, width=6, depth=2, hidden_layers=1),
            "anchored": lambda: anchored(2, 4, mlp, lift="random"),
            "polar": lambda: composed_brenier(2, 4, width=6, depth=2, hidden_layers=1, shears=2),
            "gradient network": lambda: make_monotone("gradient network"),
        }[kind]()
    return randomise(made, key)


def of(map_, scale: float = 0.5, likelihood=None) -> Autoencoder:
    latent = map_.in_features if likelihood is None else likelihood.latent_dimension
    return Autoencoder(
        StandardNormalPrior(latent),
        GaussianLikelihood(map_, scale) if likelihood is None else likelihood,
        AmortizedPosterior(Identity(4), latent),
    ).double()


@pytest.mark.parametrize("kind", ["brenier", "anchored", "polar", "gradient network"])
@settings(max_examples=10, deadline=None, derandomize=True)
@given(key=st.integers(0, 10**6), radius=st.floats(1e-3, 10))
def test_no_pair_falls_below_the_certified_floor(kind, key, radius) -> None:
    vae = of(injective(kind, key))
    found = identifiability(vae, radii=[radius], **QUICK)
    assert found["arrows"]["w_to_x"] == {"known": "certified", "constant": found["certified"], "holds_for": "w"}
    assert found["certified"] == pytest.approx(vae.likelihood.map.certificate())
    assert found["ratio"] >= found["certified"] * (1 - 1e-7)
    (row,) = found["search"]
    assert row["kl"] >= row["kl_floor"] * (1 - 1e-6)


def test_of_an_anchored_map_whose_network_is_still_the_floor_is_reached() -> None:
    map_ = anchored(2, 4, mlp, lift="random", scale=0.7)
    for parameter in map_.network.parameters():
        torch.nn.init.zeros_(parameter)
    found = identifiability(of(map_.double()), **QUICK)
    assert found["ratio"] == pytest.approx(0.7, rel=1e-6)
    assert found["certified"] == pytest.approx(0.7, rel=1e-6)


def test_of_a_linear_map_the_least_singular_value_is_found() -> None:
    """And the KL at a distance r is that of its mean: s^2 r^2 / (2 sigma^2)."""
    map_ = randomise(LinearMap(3, 5), "linear")
    vae = of(map_, 0.5)
    least = float(torch.linalg.svdvals(map_.layer.weight.detach())[-1])
    found = identifiability(vae, radii=[0.1, 2.0])
    sigma = float(vae.likelihood.noise_scale().detach())
    for row in found["search"]:
        assert row["distance"] == row["radius"], "the prior is standard normal"
        assert row["ratio"] == pytest.approx(least, rel=1e-6)
        assert row["kl"] == pytest.approx((least * row["radius"] / sigma) ** 2 / 2, rel=1e-6)
        assert (row["ratio_floor"], row["kl_floor"]) == (None, None)
    assert found["arrows"] == {
        "z_to_w": None,
        "w_to_x": {"known": "probe", "constant": None, "holds_for": None},
        "z_to_x": {"known": "probe"},
    }


@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli"])
@pytest.mark.parametrize("dead", ["a direction", "all"])
def test_where_a_classical_map_is_flat_the_ratio_falls_to_zero(likelihood, dead) -> None:
    """A combination of latents that the first layer does not read; and a collapsed decoder, which reads none."""
    vae = make_vae("standard_normal", likelihood=likelihood)
    with torch.no_grad():
        weight = vae.likelihood.map.hidden[0].weight
        weight.copy_(
            weight @ torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).double() if dead == "a direction" else 0 * weight
        )
    found = identifiability(vae)
    assert found["certified"] is None
    assert found["ratio"] < 1e-6
    assert found["kl"] < 1e-9
    assert all(row["ratio"] < 1e-3 for row in found["search"])


def test_the_search_by_gradient_finds_what_starts_do_not() -> None:
    """Of a nonlinear map, at distances where directions of the derivative say little."""
    vae = make_vae("standard_normal", "conditional", spread=1.0, map_=MLP(2, 4, 20, 2))
    some, many = (identifiability(vae, radii=[1.0, 3.0], starts=32, steps=steps)["search"] for steps in (0, 200))
    assert all(after["ratio"] < 0.7 * before["ratio"] for before, after in zip(some, many, strict=True))


@pytest.mark.parametrize(("prior", "mixture", "family"), COMBINATIONS)
@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli"])
def test_every_model_has_an_answer_of_plain_numbers(prior, mixture, family, likelihood) -> None:
    vae = make_vae(prior, mixture, family, likelihood)
    before = [(parameter.clone(), parameter.requires_grad) for parameter in vae.parameters()]
    found = identifiability(vae, starts=8, steps=5)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert (found["refused"] is None) == (prior != "bernoulli")
    assert ("binary" in (found["refused"] or "")) == (prior == "bernoulli")
    z_to_w = found["arrows"]["z_to_w"]
    assert (z_to_w is None) == (prior == "standard_normal")
    if z_to_w is not None:
        assert z_to_w["known"] == "certified"
        assert z_to_w["separation"] == pytest.approx(vae.prior.separation())
        assert z_to_w["kl"] > 0
    assert found == identifiability(vae, starts=8, steps=5), "equal seeds, equal numbers"
    assert found["search"] == [] or found["search"] != identifiability(vae, starts=8, steps=5, seed=1)["search"]
    for (value, required), parameter in zip(before, vae.parameters(), strict=True):
        assert torch.equal(value, parameter)
        assert parameter.requires_grad == required


def test_what_is_known_of_z_depends_on_the_noise_and_the_code() -> None:
    """A theorem with Gaussian noise, an injective map and components apart; else a probe."""
    map_ = injective("brenier", 0)
    known = {kind: identifiability(make_vae("gaussian", likelihood=kind, map_=map_), **QUICK)["arrows"] for kind in
             ("gaussian", "bernoulli")}  # fmt: skip
    assert known["gaussian"]["z_to_x"]["known"] == "theorem"
    assert known["bernoulli"]["z_to_x"]["known"] == "probe"
    assert known["bernoulli"]["w_to_x"]["known"] == "certified"
    vae = make_vae("gaussian", map_=map_)
    vae.prior.code.kind, vae.prior.code.weight = "learned", torch.nn.Parameter(torch.zeros(3, 2).double())
    arrows = identifiability(vae, **QUICK)["arrows"]
    assert arrows["z_to_w"] == {"known": "measured", "separation": 0.0, "kl": 0.0}
    assert arrows["z_to_x"]["known"] == "probe", "components that are the same are not told apart"


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(st.tuples(*[st.floats(-20, 20)] * 2), min_size=1, max_size=4))
def test_a_pair_is_moved_into_the_box_and_its_distance_kept(ends) -> None:
    first, second = torch.tensor(ends).double().mT
    box = Box(torch.full_like(first, 0.5), torch.full_like(first, 6.0), torch.ones_like(first))
    shift = box.shift(first, second)
    low, high = torch.minimum(first, second) + shift, torch.maximum(first, second) + shift
    assert (low >= 0.5 - 1e-9).all()
    fits = (first - second).abs() <= 5.5
    assert (high[fits] <= 6.0 + 1e-9).all()
    inside = (torch.minimum(first, second) >= 0.5) & (torch.maximum(first, second) <= 6)
    assert (shift[inside] == 0).all()


@pytest.mark.parametrize("kind", ["gaussian", "flow", "categorical"])
def test_a_prior_that_is_made_of_the_posterior(kind) -> None:
    """Its moments are those of q, with q's gradient. A linear map's least singular value is found all the same."""

    def encoder(shape):
        return MLPEncoder(shape, 6)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        family = realnvp_family(encoder, 5) if kind == "flow" else gaussian_family(encoder)
        prior = VampPrior(2, 4, 5, categorical=kind == "categorical")
        likelihood = GaussianLikelihood(LinearMap(2, 4), 0.5)
        vae = Autoencoder(prior, likelihood, family((4,), 2, prior.categories, "real")).double()
    found = identifiability(vae, **QUICK)
    least = torch.linalg.svdvals(vae.likelihood.map.layer.weight.detach())[-1]
    assert found["ratio"] == pytest.approx(float(least), rel=1e-3)
    z_to_w = found["arrows"]["z_to_w"]
    assert (z_to_w and z_to_w["known"]) == ("measured" if kind == "categorical" else None)
    assert z_to_w is None or z_to_w["kl"] > 0


def test_positive_latents_stay_positive() -> None:
    asked = []
    vae = make_vae("gamma")
    vae.likelihood.map.register_forward_pre_hook(lambda module, inputs: asked.append(inputs[0].min()))
    found = identifiability(vae, radii=[0.5, 3.0], starts=8, steps=20)
    assert min(asked) > 0
    assert found["ratio"] > 0


def sequences(map_, wiring: str = "output") -> Autoencoder:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        likelihood = autoregressive_likelihood(map_, 2, 8, embedding=4, hidden=3, wiring=wiring, dropout=0.5)
    return of(None, likelihood=randomise(likelihood, wiring))


@pytest.mark.parametrize("wiring", ["output", "both"])
def test_of_sequences_the_first_symbols_logits_keep_the_floor(wiring) -> None:
    """Of an anchored map for every history, whichever; of Brenier maps of w and history too."""
    for make, holds_for in (
        (
            lambda in_features, out_features: anchored(in_features, out_features, mlp, 2, "random"),
            "w for every history",
        ),
        (
            lambda in_features, out_features: composed_brenier(in_features, out_features, width=6, hidden_layers=1),
            "w and history",
        ),
    ):
        found = identifiability(sequences(make, wiring), **QUICK)
        assert found["arrows"]["w_to_x"]["holds_for"] == holds_for
        assert found["ratio"] >= found["certified"] * (1 - 1e-7) > 0
        assert found["kl"] > 0


def test_of_sequences_that_leave_the_latent_idle_nothing_is_told_apart() -> None:
    """And no constant is certified, though the map of the history has one."""
    idle = sequences(
        lambda in_features, out_features: composed_brenier(in_features, out_features, width=6, hidden_layers=1), "none"
    )
    found = identifiability(idle, **QUICK)
    assert (found["certified"], found["ratio"], found["kl"]) == (None, 0.0, 0.0)


@pytest.mark.parametrize("kind", ["gaussian", "bernoulli", "categorical", "sequence"])
def test_divergences_are_those_of_pytorchs_distributions(kind) -> None:
    vae = make_vae("standard_normal", likelihood="bernoulli" if kind == "bernoulli" else "gaussian")
    likelihood = CategoricalLikelihood(randomise(MLP(2, 4, 6, 1), 3), 5) if kind == "categorical" else vae.likelihood
    likelihood = sequences(mlp).likelihood if kind == "sequence" else likelihood
    outputs = outputs_of(likelihood)
    w, v = normal(7, 2), normal(7, 2, key=1)

    def law(w):
        if kind == "gaussian":
            return torch.distributions.Normal(likelihood(w).mean, likelihood(w).scale)
        if kind == "bernoulli":
            return torch.distributions.Bernoulli(likelihood(w).mean)
        if kind == "categorical":
            return torch.distributions.Categorical(likelihood(w).mean)
        return torch.distributions.Categorical(likelihood.eval().next_symbol(torch.zeros(7).long(), w)[0].exp())

    exact = torch.distributions.kl_divergence(law(w), law(v))
    exact = exact if exact.ndim == 1 else exact.sum(-1)
    assert torch.allclose(outputs.divergence(outputs.values(w), outputs.values(v)), exact)


def test_divergences_of_components() -> None:
    """By integration (Gamma), by hand (normal: (3 / 2)^2 / 2), and the same after a bijection (log-normal)."""
    location, scale = torch.tensor([[0.0], [3.0]]).double(), torch.tensor([2.0]).double()
    normal_kl = component_divergences(GaussianComponents(location, scale))
    assert normal_kl[0, 1] == pytest.approx(1.125)
    assert torch.equal(component_divergences(LogNormalComponents(location, scale)), normal_kl)
    gamma = component_divergences(GammaComponents(torch.tensor([[0.5], [1.5]]).double(), torch.tensor([2.0]).double()))
    first, second = (stats.gamma(np.exp(value), scale=0.5) for value in (0.5, 1.5))
    exact, _ = integrate.quad(lambda w: first.pdf(w) * (first.logpdf(w) - second.logpdf(w)), 0, 30)
    assert gamma[0, 1] == pytest.approx(exact, rel=1e-6)


def test_the_distance_of_conditional_means() -> None:
    """Of a linear map |W (mu_j - mu_k)|^2, the smallest pair's; 4 standard errors. One category has none."""
    likelihood = GaussianLikelihood(randomise(LinearMap(2, 4), 0)).double()
    location = torch.tensor([[0.0, 0.0], [1.0, 0.0], [6.0, 6.0]]).double()
    components = GaussianComponents(location, torch.ones(2).double())
    prior = Mixture(torch.full((3,), -np.log(3)), components)
    exact = min(float((likelihood.map.layer.weight.detach() @ (a - b)).square().sum()) for a, b in pairwise(location))
    found, error = mean_distance(likelihood, prior, 4000, generator("means"))
    assert abs(found - exact) < 4 * error
    assert error < 0.1 * exact
    alone = Mixture(torch.zeros(1), GaussianComponents(location[:1], torch.ones(2).double()))
    assert mean_distance(likelihood, alone, 10, generator("means")) is None


@pytest.mark.parametrize("options", [{"radii": []}, {"radii": [0.0]}, {"starts": 1}, {"steps": -1}])
def test_settings_out_of_range_are_refused(options) -> None:
    with pytest.raises(UserError):
        Identifiability(**options)
    with pytest.raises(UserError):
        identifiability(make_vae(), **options)


@pytest.mark.parametrize("model", ["lidgmvae", "gmvae"])
def test_a_run_and_its_evaluation_have_it_and_tables_too(model, tmp_path) -> None:
    """Of trained parameters, in single precision, from posterior means too."""
    programs = Programs(tmp_path)
    small = ("measures=identifiability", "measures.identifiability.starts=12", "measures.identifiability.steps=30")
    run = programs.train(tiny=(f"model={model}", *small, *TINY))
    found = run.result["identifiability"]
    read = {column.key: column.read(run.result) for column in columns()}
    assert (read["certified"], read["closest"]) == (found["certified"], found["ratio"])
    if model == "gmvae":
        assert found["certified"] is None
        return
    assert found["certified"] == pytest.approx(run.result["inverse_lipschitz"], rel=1e-5)
    assert found["ratio"] >= found["certified"] * (1 - 1e-7)
    again = programs.evaluate(run.folder / "checkpoints" / "best.ckpt", *small)
    assert again.result["identifiability"] == found


def test_a_module_that_holds_a_model_will_do() -> None:
    vae = make_vae()
    found = lid_vae.identifiability(SimpleNamespace(vae=vae), starts=4, steps=2)
    assert found == identifiability(vae, starts=4, steps=2)
