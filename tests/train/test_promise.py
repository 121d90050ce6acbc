"""What each variant promises: kept combinations pass, broken ones are told the promise, the value and the fix."""

import pytest
from builders import make_vae, randomise

from lid_vae.errors import UserError
from lid_vae.map import MLP, composed_brenier, composed_gradient_network
from lid_vae.prior import GaussianMixture
from lid_vae.train import GMVAE, LIDGMVAE, LIDMVAE, LIDSVAE, LIDVAE, SVAE, VAE
from lid_vae.vae import VAE as Model

MAPS = {
    "mlp": lambda: MLP(2, 4, 5, 2),
    "brenier": lambda: composed_brenier(2, 4, 5, 2),
    "gradient network": lambda: composed_gradient_network(2, 4, 5, 2),
}
INJECTIVE = ["brenier", "gradient network"]
MIXTURES = ["gaussian", "log_normal", "gamma", "bernoulli"]

KEPT = (
    [(VAE, map_, "standard_normal") for map_ in MAPS]
    + [(LIDVAE, map_, "standard_normal") for map_ in INJECTIVE]
    + [(GMVAE, map_, prior) for map_ in MAPS for prior in MIXTURES]
    + [(LIDMVAE, map_, prior) for map_ in INJECTIVE for prior in MIXTURES]
    + [(LIDGMVAE, map_, "gaussian") for map_ in INJECTIVE]
)
MIXTURE_GIVEN = (
    "has a continuous z with a standard normal prior, got ExponentialFamilyMixture with 3 categories. Use model="
)
NORMAL_GIVEN = "has a categorical z, got StandardNormalPrior. Use model="
MLP_GIVEN = "needs an injective map, got MLP. Use model={}, or map=brenier"
BROKEN = [
    (LIDVAE, "mlp", "standard_normal", "LIDVAE " + MLP_GIVEN.format("vae")),
    (LIDMVAE, "mlp", "gamma", "LIDMVAE " + MLP_GIVEN.format("gmvae")),
    (LIDGMVAE, "mlp", "gaussian", "LIDGMVAE " + MLP_GIVEN.format("gmvae")),
    (VAE, "mlp", "gaussian", "VAE " + MIXTURE_GIVEN),
    (LIDVAE, "brenier", "gamma", "LIDVAE " + MIXTURE_GIVEN),
    (GMVAE, "mlp", "standard_normal", "GMVAE " + NORMAL_GIVEN),
    (LIDMVAE, "brenier", "standard_normal", "LIDMVAE " + NORMAL_GIVEN),
    (LIDGMVAE, "brenier", "standard_normal", "LIDGMVAE " + NORMAL_GIVEN),
    (LIDGMVAE, "brenier", "gamma", "LIDGMVAE has Gaussian components, got ExponentialFamilyMixture. Use model=lidmvae"),
    (LIDGMVAE, "brenier", "bernoulli", "LIDGMVAE has Gaussian components"),
    (SVAE, "mlp", "standard_normal", "SVAE models sequences, and GaussianLikelihood has none. Use model=vae"),
    (
        LIDSVAE,
        "brenier",
        "standard_normal",
        "LIDSVAE models sequences, and GaussianLikelihood has none. Use model=lidvae",
    ),
    (LIDSVAE, "mlp", "standard_normal", "LIDSVAE " + MLP_GIVEN.format("svae")),
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


def test_names_are_the_variants() -> None:
    for variant in (VAE, GMVAE, SVAE, LIDVAE, LIDMVAE, LIDGMVAE, LIDSVAE):
        assert variant.promise.variant == variant.__name__
        assert variant.promise.injective == variant.__name__.startswith("LID")
        own = {name for name in vars(variant) if not name.startswith("_")}
        assert own <= {"promise"}, "a variant declares a promise and overrides nothing"
