"""What each variant promises: kept combinations pass, broken ones are told the promise, the value and the fix."""

from functools import partial

import pytest
from builders import make_vae, randomise

from lid_vae.errors import UserError
from lid_vae.likelihood import GaussianLikelihood, autoregressive_likelihood
from lid_vae.map import MLP, LinearMap, anchored, composed_brenier, composed_gradient_network
from lid_vae.model import GMVAE, LIDGMVAE, LIDMVAE, LIDSVAE, LIDVAE, SVAE, VAE
from lid_vae.prior import GaussianMixture
from lid_vae.vae import Autoencoder as Model

MAPS = {
    "mlp": lambda: MLP(2, 4, 5, 2),
    "brenier": lambda: composed_brenier(2, 4, 5, 2),
    "gradient network": lambda: composed_gradient_network(2, 4, 5, 2),
    "polar": lambda: composed_brenier(2, 4, 5, 2, shears=2),
    "anchored": lambda: anchored(2, 4, LinearMap),
}
INJECTIVE = ["brenier", "gradient network", "polar", "anchored"]
MIXTURES = ["gaussian", "log_normal", "gamma", "bernoulli"]

KEPT = (
    [(VAE, map_, "standard_normal") for map_ in MAPS]
    + [(LIDVAE, map_, "standard_normal") for map_ in INJECTIVE]
    + [(GMVAE, map_, prior) for map_ in MAPS for prior in MIXTURES]
    + [(LIDMVAE, map_, prior) for map_ in INJECTIVE for prior in MIXTURES]
    + [(LIDGMVAE, map_, "gaussian") for map_ in INJECTIVE]
)
MIXTURE_GIVEN = (
    "has a continuous z with a standard normal prior, got ExponentialFamilyMixture with 3 categories. Use GMVAE"
)
NORMAL_GIVEN = "has a categorical z, got StandardNormalPrior. Use VAE"
MLP_GIVEN = "needs an injective map, got MLP. Use {}, or composed_brenier"
BROKEN = [
    (LIDVAE, "mlp", "standard_normal", "LIDVAE " + MLP_GIVEN.format("VAE")),
    (LIDMVAE, "mlp", "gamma", "LIDMVAE " + MLP_GIVEN.format("GMVAE")),
    (LIDGMVAE, "mlp", "gaussian", "LIDGMVAE " + MLP_GIVEN.format("GMVAE")),
    (VAE, "mlp", "gaussian", "VAE " + MIXTURE_GIVEN),
    (LIDVAE, "brenier", "gamma", "LIDVAE " + MIXTURE_GIVEN),
    (GMVAE, "mlp", "standard_normal", "GMVAE " + NORMAL_GIVEN),
    (LIDMVAE, "brenier", "standard_normal", "LIDMVAE " + NORMAL_GIVEN),
    (LIDGMVAE, "brenier", "standard_normal", "LIDGMVAE " + NORMAL_GIVEN),
    (LIDGMVAE, "brenier", "gamma", "LIDGMVAE has Gaussian components, got ExponentialFamilyMixture. Use LIDMVAE"),
    (LIDGMVAE, "brenier", "bernoulli", "LIDGMVAE has Gaussian components"),
    (SVAE, "mlp", "standard_normal", "SVAE models sequences, and GaussianLikelihood has none. Use VAE"),
    (
        LIDSVAE,
        "brenier",
        "standard_normal",
        "LIDSVAE models sequences, and GaussianLikelihood has none. Use LIDVAE",
    ),
    (LIDSVAE, "mlp", "standard_normal", "LIDSVAE " + MLP_GIVEN.format("SVAE")),
]


def build(map_: str, prior: str) -> Model:
    return make_vae(prior, map_=MAPS[map_]())


@pytest.mark.parametrize(("variant", "map_", "prior"), KEPT)
def test_kept(variant: type, map_: str, prior: str) -> None:
    variant.promise.check(build(map_, prior))


@pytest.mark.parametrize(("variant", "map_", "prior", "message"), BROKEN)
def test_broken_ones_are_refused(variant: type, map_: str, prior: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        variant.promise.check(build(map_, prior))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "Use " in str(caught.value)


def test_the_gaussian_mixture_prior_keeps_lidgmvaes_promise() -> None:
    source = build("brenier", "gaussian")
    LIDGMVAE.promise.check(Model(randomise(GaussianMixture(3, 2), "prior"), source.likelihood, source.posterior))


def test_a_map_injective_in_a_part_of_the_latent_alone_is_refused() -> None:
    vae = make_vae("standard_normal", map_=anchored(2, 4, LinearMap, anchor=1))
    with pytest.raises(UserError, match=r"in all 2 dimensions of the latent.*first 1. Use anchor=2"):
        LIDVAE.promise.check(vae)
    VAE.promise.check(vae)
    assert LIDVAE.promise.certified(vae) is None


@pytest.mark.parametrize(
    ("wiring", "map_", "certified"),
    [
        ("output", partial(anchored, network=LinearMap, anchor=2), "w for every history"),
        ("both", partial(anchored, network=LinearMap, anchor=2), "w for every history"),
        ("output", partial(anchored, network=LinearMap), "w and history"),
        ("output", partial(composed_brenier, width=5, hidden_layers=1), "w and history"),
        ("input", partial(composed_brenier, width=5, hidden_layers=1), None),
        ("input", partial(anchored, network=LinearMap, anchor=2), None),
        ("output", LinearMap, None),
    ],
)
def test_it_says_of_what_the_constant_is(wiring: str, map_, certified: str | None) -> None:
    source = make_vae("standard_normal")
    likelihood = autoregressive_likelihood(map_, 2, 9, embedding=3, hidden=3, wiring=wiring)
    vae = Model(source.prior, likelihood, source.posterior)
    assert LIDSVAE.promise.certified(vae) == SVAE.promise.certified(vae) == certified
    plain = Model(source.prior, GaussianLikelihood(MAPS["anchored"]()), source.posterior)
    assert LIDVAE.promise.certified(plain) == "w"
    assert LIDVAE.promise.certified(source) is None


def test_names_are_the_variants() -> None:
    for variant in (VAE, GMVAE, SVAE, LIDVAE, LIDMVAE, LIDGMVAE, LIDSVAE):
        assert variant.promise.variant == variant.__name__
        assert variant.promise.injective == variant.__name__.startswith("LID")
        own = {name for name in vars(variant) if not name.startswith("_")}
        assert own <= {"promise"}, "a variant declares a promise and overrides nothing"
