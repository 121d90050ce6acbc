"""The VampPrior: a sum of the model's own q, measures under it, and what it refuses."""

import copy
import re
from collections.abc import Callable
from math import log

import pytest
import torch
from builders import data, infer, normal, randomise
from hydra.errors import InstantiationException
from hypothesis import given
from hypothesis import strategies as st
from making import make
from runs import Programs, measures
from test_combinations import INFERENCES, sound, told, two_steps

from lid_vae.distribution import FlowGaussian, Mixture
from lid_vae.errors import UserError
from lid_vae.likelihood import GaussianLikelihood
from lid_vae.map import MLP
from lid_vae.metrics import MutualInformation
from lid_vae.noise import generator
from lid_vae.objective import ELBO
from lid_vae.posterior import BatchNormPosterior, MLPEncoder, gaussian_family, realnvp_family
from lid_vae.prior import VampPrior
from lid_vae.system.checkpoint import load_checkpoint
from lid_vae.vae import Autoencoder

assert make
FAMILIES = ["gaussian", "realnvp"]
families = pytest.mark.parametrize("family", FAMILIES)


def encoder(shape) -> MLPEncoder:
    return MLPEncoder(shape, 6)


def vamp_vae(
    family: str = "gaussian", key: object = 0, pseudo_inputs: int = 7, categorical: bool = False
) -> Autoencoder:
    """2 latent and 4 observed dimensions, in float64 with random parameters."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        prior = VampPrior(2, 4, pseudo_inputs, categorical)
        build = (
            gaussian_family(encoder)
            if family == "gaussian"
            else realnvp_family(encoder, 5, context=family == "context")
        )
        posterior = build((4,), 2, prior.categories, prior.support)
        vae = Autoencoder(prior, GaussianLikelihood(MLP(2, 4, 6, 1), 0.5), posterior)
    return randomise(vae, key, 0.5)


def q_of_pseudo_inputs(vae: Autoencoder) -> FlowGaussian:
    return vae.posterior.distribution(vae.posterior.encode(vae.prior.pseudo_inputs))


@given(family=st.sampled_from(FAMILIES), key=st.integers(0, 10**6), pseudo_inputs=st.integers(1, 9))
def test_the_density_is_the_mean_of_those_of_q(family: str, key: int, pseudo_inputs: int) -> None:
    vae = vamp_vae(family, key, pseudo_inputs)
    w = normal(3, 5, 2, key=key)
    with torch.no_grad():
        q = q_of_pseudo_inputs(vae)
        one_by_one = [
            FlowGaussian(q.mean[:, c : c + 1], q.scale[:, c : c + 1], None, q.flow).log_prob(w.reshape(15, 1, 1, 2))
            for c in range(pseudo_inputs)
        ]
        expected = torch.logsumexp(torch.stack(one_by_one), 0).reshape(3, 5) - log(pseudo_inputs)
        torch.testing.assert_close(vae.prior().log_prob(w), expected)


@families
def test_at_all_of_the_data_the_divergence_is_the_mutual_information(family: str) -> None:
    """The aggregate posterior as the prior: KL(q || p) = I_q(x; w), on the same draws exactly."""
    vae = vamp_vae(family, pseudo_inputs=30)
    x = data(vae, 30)
    with torch.no_grad():
        vae.prior.pseudo_inputs.copy_(x)
        q, noise = infer(vae, x, 1)
        terms = vae.terms(x, q, noise)
        natural, normaliser = q.natural()
        information = MutualInformation()
        information.update(q.statistic(terms.sample.base[0, 0]), natural, normaliser)
        divergence = (terms.log_posterior - terms.log_prior)[0, 0]
        torch.testing.assert_close(divergence, information.values()[0])
        assert float(information.compute()) > 0.05, "or the identity says nothing"


def test_single_precision_agrees_with_double() -> None:
    """The squares are multiplied out; with a scale of 1e-3 they cancel to six places of a million."""
    vae = vamp_vae()
    with torch.no_grad():
        vae.posterior.head.bias[2:] = -7.0
        w = vae.prior().sample(50, generator("w"))
        double, single = vae.prior().log_prob(w), vae.float().prior().log_prob(w.float())
    torch.testing.assert_close(single, double.float(), rtol=0.01, atol=0.02)


@families
def test_moments(family: str) -> None:
    """Of draws: 200,000, within five standard errors (false alarms 2e-6); with a flow the prior's own count as well."""
    p = vamp_vae(family).prior()
    w = p.sample(200_000, generator("moments")).detach()
    assert p.mean.shape == p.variance.shape == (2,)
    draws = 200_000 if family == "gaussian" else 9_000
    error = (w.var(0) / draws + w.var(0) / 200_000).sqrt()
    assert bool(((w.mean(0) - p.mean).abs() < 5 * error).all())
    spread = (w - w.mean(0)).square().var(0)
    error = (spread / draws + spread / 200_000).sqrt()
    assert bool(((w.var(0) - p.variance).abs() < 5 * error).all())


def test_marginals() -> None:
    """The density of one dimension is the integral of the whole over the other."""
    p = vamp_vae().prior()
    grid = torch.linspace(-40, 40, 20_001, dtype=torch.float64)
    for d in range(2):
        w = torch.zeros(len(grid), 2).double()
        w[:, 1 - d], w[:, d] = grid, 0.3
        total = p.log_prob(w).exp().sum() * (grid[1] - grid[0])
        torch.testing.assert_close(p.elementwise_log_prob(w)[0, d].exp(), total)
    with pytest.raises(UserError, match="gaussian_family"):
        vamp_vae("realnvp").prior().elementwise_log_prob(torch.zeros(1, 2).double())


@pytest.mark.parametrize("categorical", [False, True])
def test_draws_have_the_density(categorical: bool) -> None:
    """E_p[r / p] = 1 for a narrower r: 100,000 draws, within five standard errors (false alarms 6e-7)."""
    p = vamp_vae(categorical=categorical).prior()
    with torch.no_grad():
        w = p.sample(100_000, generator("draws"))
        scale = 0.5 * p.variance.sqrt()
        r = torch.distributions.Normal(p.mean, scale, validate_args=False).log_prob(w).sum(-1)
        ratio = (r - p.log_prob(w)).exp()
    assert abs(float(ratio.mean()) - 1) < 5 * float(ratio.std()) / 100_000**0.5


def test_categories_sum_to_the_average() -> None:
    apart, together = vamp_vae(categorical=True), vamp_vae()
    together.load_state_dict(apart.state_dict())
    w = normal(20, 2)
    p, average = apart.prior(), together.prior()
    assert isinstance(p, Mixture)
    torch.testing.assert_close(p.log_prob(w), average.log_prob(w))
    torch.testing.assert_close(p.mean, average.mean)
    torch.testing.assert_close(p.variance, average.variance)
    torch.testing.assert_close(p.elementwise_log_prob(w), average.elementwise_log_prob(w))
    assert apart.prior.separation() > 0
    assert together.prior.separation() is None
    with torch.no_grad():
        apart.prior.pseudo_inputs[1] = apart.prior.pseudo_inputs[0]
    assert apart.prior.separation() == 0


@families
def test_parameters_stay_with_their_owners(family: str) -> None:
    vae = vamp_vae(family)
    assert [name for name, _ in vae.prior.named_parameters()] == ["pseudo_inputs"]
    assert not {id(p) for p in vae.model_parameters()} & {id(p) for p in vae.posterior_parameters()}
    assert len(vae.state_dict()) == len({name.removeprefix("prior.") for name in vae.state_dict()})
    vae.prior().log_prob(normal(10, 2)).sum().backward()
    for parameter in [*vae.prior.parameters(), *vae.posterior.parameters()]:
        assert bool((parameter.grad != 0).any()), "the prior's density depends on the encoder"


def test_a_copy_follows_its_own_posterior() -> None:
    vae = vamp_vae()
    other = copy.deepcopy(vae)
    w = normal(10, 2)
    before = vae.prior().log_prob(w).detach()
    randomise(other.posterior, "other")
    assert torch.equal(vae.prior().log_prob(w), before)
    assert not torch.allclose(other.prior().log_prob(w), before)


def test_the_bound_takes_the_divergence_by_samples() -> None:
    vae = vamp_vae()
    x = data(vae)
    q, noise = infer(vae, x, 3)
    assert vae.terms(x, q, noise).kl is None
    torch.testing.assert_close(ELBO()(vae, x, q, noise), ELBO(closed_form=False)(vae, x, q, noise))


def test_training_begins_at_training_examples() -> None:
    x = normal(20, 4).float()
    starts = []
    for seed in (0, 0, 1):
        prior = VampPrior(2, 4, 6)
        prior.initialise(x, seed)
        starts.append(prior.pseudo_inputs.detach())
        matches = (starts[-1][:, None] == x[None]).all(-1)
        assert bool((matches.sum(1) == 1).all())
        assert bool((matches.sum(0) <= 1).all()), "each example once"
    assert torch.equal(starts[0], starts[1])
    assert not torch.equal(starts[0], starts[2])


PARTS: dict[str, tuple[Callable[[], object], str]] = {
    "too many": (lambda: VampPrior(2, 4, 6).initialise(torch.zeros(5, 4), 0), r"pseudo_inputs=5 or fewer"),
    "none": (lambda: VampPrior(2, 4, 0), "pseudo_inputs=0"),
    "no model": (lambda: VampPrior(2, 4, 6)(), "has none yet"),
    "enumerated": (
        lambda: Autoencoder(
            VampPrior(2, 4, 3, True),
            GaussianLikelihood(MLP(2, 4, 6, 1)),
            gaussian_family(encoder, "enumerate")((4,), 2, 3, "real"),
        ),
        "mixture='conditional'",
    ),
    "of a batch": (
        lambda: Autoencoder(
            VampPrior(2, 4, 3),
            GaussianLikelihood(MLP(2, 4, 6, 1)),
            BatchNormPosterior(gaussian_family(encoder)((4,), 2, None, "real")),
        ),
        "Use the posterior that it normalises",
    ),
    "a flow between categories": (lambda: vamp_vae("realnvp", categorical=True).prior(), "Use gaussian_family"),
    "a flow for each x": (lambda: vamp_vae("context").prior(), "needs one flow for all x.* context=False"),
}


@pytest.mark.parametrize("name", PARTS)
def test_refused(name: str) -> None:
    build, message = PARTS[name]
    with pytest.raises(UserError, match=message):
        build()


VAMP = "prior=vamp_prior prior.pseudo_inputs=20"
MIXTURE = "prior=vamp_mixture family=gaussian"
COMBINED = [
    *[f"model=vae {VAMP} {rest}" for rest in ("family=gaussian", *INFERENCES)],
    *[f"model=lidvae {VAMP} {rest}" for rest in ("family=gaussian", "objective=importance_weighted")],
    f"model=lidvae {VAMP} objective=autoencoder_pretraining objective.free_bits=0",
    *[f"model=gmvae {MIXTURE} {rest}" for rest in INFERENCES],
    f"model=lidmvae {MIXTURE}",
]


@pytest.mark.parametrize("data_name", ["pinwheel", "digits"])
@pytest.mark.parametrize("options", COMBINED)
def test_trains_and_is_measured(options: str, data_name: str) -> None:
    measured = two_steps(options.split(), data_name)
    sound(measured, None)
    assert ("kl_by_dimension" in measured["latent"].get("w", measured["latent"]["z"])) is ("family=gaussian" in options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("model=lidgmvae prior=vamp_prior prior.pseudo_inputs=20", r"Use VAE or LIDVAE.*model=vae, model=lidvae"),
        ("model=lidgmvae prior=vamp_mixture family=gaussian", r"Use LIDMVAE.*model=lidmvae"),
        ("model=vae prior=vamp_prior prior.pseudo_inputs=1000", r"prior\.pseudo_inputs=1000"),
        (
            "model=vae prior=vamp_prior prior.pseudo_inputs=20 family=gaussian "
            "objective=free_bits objective.free_bits=1e-9 objective.per=dimension",
            r"Use objective\.per=total",
        ),
    ],
)
def test_refused_with_the_reason(options: str, message: str) -> None:
    with pytest.raises((UserError, InstantiationException)) as caught:
        two_steps(options.split(), "pinwheel")
    assert re.search(message, told(caught.value, options.split(), "pinwheel"))


def test_text_is_refused(make) -> None:
    with pytest.raises(UserError, match="sequences of"):
        make("data=synthetic_text", "model=svae", "prior=vamp_prior", "prior.pseudo_inputs=5")


def test_a_run_and_its_evaluation_agree(tmp_path) -> None:
    programs = Programs(tmp_path)
    run = programs.train("model=lidvae", "prior=vamp_prior", "prior.pseudo_inputs=30", "trainer.max_epochs=1")
    found = programs.evaluate(run.folder / "checkpoints" / "best.ckpt")
    for name in ("latent", "ll", "elbo"):
        assert measures(found.result)[name] == measures(run.result)[name]
    state = load_checkpoint(run.folder / "checkpoints" / "best.ckpt")["state_dict"]
    assert state["vae.prior.pseudo_inputs"].shape == (30, 2)
