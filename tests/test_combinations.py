"""Every model x data x family x objective x inference strategy trains and evaluates, or is refused in a paragraph."""

import re
from heapq import heapify, heappop, heappush
from itertools import combinations, product
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.errors import InstantiationException
from making import recipe, take_two_steps
from omegaconf import DictConfig, OmegaConf

from lid_vae.command_line.options import in_options
from lid_vae.errors import UserError
from lid_vae.run.build import build_data, build_module

CONF = str(Path(__file__).parents[1] / "conf")
MODELS = ["vae", "gmvae", "lidvae", "lidgmvae", "lidmvae"]
COMPONENTS = ["gaussian", "log_normal", "gamma", "bernoulli"]
DATA = ["pinwheel", "digits"]
FAMILIES = ["family=gaussian", "family=realnvp"]
MIXTURES = ["conditional", "enumerate"]
# Floors low enough that every KL is paid for at the start.
OBJECTIVES = [
    "objective=elbo",
    "objective=elbo objective.beta=0.2",
    "objective=importance_weighted",
    "objective=dreg",
    "objective=linear_annealing",
    "objective=cyclical_annealing",
    "objective=free_bits objective.free_bits=0.01",
    "objective=free_bits objective.free_bits=1e-9 objective.per=dimension",
    "objective=autoencoder_pretraining objective.free_bits=0.01",
]
WEIGHTED = ("objective=importance_weighted", "objective=dreg")
INFERENCES = [
    "inference=amortized",
    "inference=semi_amortized inference.steps=2 inference.learning_rate=0.1",
    "inference=aggressive inference.window=1 inference.most=2",
]
POSTERIORS = [None, "batch_norm"]
MAPS = [None, "mlp", "brenier", "gradient_network"]
SMALL = {
    "pinwheel": ["data.per_class=40", "data.valid_size=20", "data.test_size=30", "data.batch_size=16"],
    "digits": ["data.train_size=60", "data.batch_size=16"],
}


def configure(*overrides: str) -> DictConfig:
    with initialize_config_dir(CONF, version_base="1.3"):
        return compose("train", ["choices=null", "width=32", *overrides])


def two_steps(overrides: list[str], data_name: str) -> dict:
    cfg = configure(*overrides, f"data={data_name}", *SMALL[data_name])
    data = build_data(cfg.data)
    module = build_module(*recipe(cfg), data, list(data.image_shape or (data.features,)), data.label_count)
    return take_two_steps(module, data)


# Of couplings that see the features of x.
CONTEXTUAL = [
    "model=lidgmvae",
    "model=gmvae family.mixture=enumerate objective=importance_weighted",
    "model=lidmvae prior.component=gamma",
    "model=vae objective=dreg",
    *[f"model=lidvae {inference}" for inference in INFERENCES[1:]],
]


def sound(measures: dict, mixture: str | None) -> None:
    assert measures["ll"]["mean"] >= measures["elbo"] - 1e-9
    z = measures["latent"]["z"]
    assert 0 <= z["au"] <= 1
    assert z["mi"] <= z["mi_upper"] + 1e-9
    if "w" in measures["latent"]:
        assert z["mi_upper"] <= z["kl"] + 1e-9
        assert sum(z["usage"]) == pytest.approx(1.0)


def all_combinations():
    for row in product(MODELS, DATA, FAMILIES, MIXTURES, OBJECTIVES, INFERENCES, POSTERIORS):
        model, _, _, mixture, *_ = row
        for component in COMPONENTS if model == "lidmvae" else [None]:
            if mixture == "enumerate" and model in ("vae", "lidvae"):
                continue  # no categories to enumerate: the option has no bearing
            yield *row, component


def covering(rows, strength):
    """A greedy subset in which every set of ``strength`` values that occurs together in ``rows`` still does.

    What a row would add can only fall as others are taken, so that a count made earlier bounds the one of now.
    """
    rows = list(rows)

    def groups(row):
        return set(combinations(enumerate(row), strength))

    missing = set().union(*map(groups, rows))
    queue = [(-len(groups(row)), number) for number, row in enumerate(rows)]
    heapify(queue)
    while missing:
        number = heappop(queue)[1]
        found = groups(rows[number]) & missing
        if queue and -len(found) > queue[0][0]:
            heappush(queue, (-len(found), number))
            continue
        missing -= found
        yield rows[number]


def refusals(row) -> list[str]:
    """What the choices of a row do not allow; the first that the program comes to is what it says."""
    model, _, family, mixture, objective, inference, posterior, component = row
    gaussian = component in (None, "gaussian") and family == "family=gaussian"
    found = []
    if component == "bernoulli" and family == "family=realnvp":
        found.append("becomes a factorised Bernoulli")
    if posterior == "batch_norm" and not (gaussian and mixture == "conditional"):
        found.append("BatchNormPosterior n")
    if component == "bernoulli" and objective in WEIGHTED:
        found.append("Bernoulli latent has not|DReG needs reparametrised draws")
    if component == "bernoulli" and "semi_amortized" in inference:
        found.append("Bernoulli latent has no reparametrised gradient to refine by")
    if "dimension" in objective and not (gaussian and (mixture == "enumerate" or model in ("vae", "lidvae"))):
        found.append(r"objective\.per=dimension")
    return found


def check(row) -> None:
    model, data, family, mixture, objective, inference, posterior, component = row
    overrides = [f"model={model}", family, f"family.mixture={mixture}", *objective.split(), *inference.split()]
    if component is not None:
        overrides.append(f"prior.component={component}")
    if posterior is not None:
        overrides.append(f"normalization={posterior}")
    reasons = refusals(row)
    if not reasons and component == "bernoulli":
        with pytest.raises(UserError) as caught:
            two_steps(overrides, data)
        assert "Use objective.samples=4." in told(caught.value, overrides, data)
    if component == "bernoulli" and objective not in WEIGHTED:
        overrides.append("objective.samples=4")
    if not reasons:
        sound(two_steps(overrides, data), mixture)
        return
    with pytest.raises((UserError, InstantiationException)) as caught:
        two_steps(overrides, data)
    assert re.search("|".join(reasons), told(caught.value, overrides, data))


def told(error: BaseException, overrides: list[str], data_name: str) -> str:
    """What the user reads of an error of ``two_steps`` on the command line."""
    config = OmegaConf.to_container(configure(*overrides, f"data={data_name}", *SMALL[data_name]), resolve=True)
    return in_options(user_error(error), config)


def user_error(error: BaseException | None) -> UserError:
    """What was raised: Hydra wraps what its constructors raise."""
    while error is not None and not isinstance(error, UserError):
        error = error.__cause__
    assert error is not None
    return error


ALLOWED = [row for row in all_combinations() if not refusals(row)]
REFUSED = [row for row in all_combinations() if refusals(row)]
KINDS = {tuple(refusals(row)): row for row in reversed(REFUSED) if len(refusals(row)) == 1}
CHOICES = list(dict.fromkeys([*covering(ALLOWED, 1), *covering(REFUSED, 1), *KINDS.values()]))
PAIRS = [*covering(ALLOWED, 2), *covering(REFUSED, 2)]
TRIPLES = [*covering(ALLOWED, 3), *covering(REFUSED, 3)]


@pytest.mark.parametrize("row", CHOICES, ids=lambda row: "-".join(map(str, row)))
def test_every_choice(row):
    check(row)


@pytest.mark.slow
@pytest.mark.parametrize("row", PAIRS, ids=lambda row: "-".join(map(str, row)))
def test_every_pair_of_choices(row):
    check(row)


@pytest.mark.full
@pytest.mark.parametrize("row", TRIPLES, ids=lambda row: "-".join(map(str, row)))
def test_every_triple_of_choices(row):
    check(row)


@pytest.mark.parametrize("model", ["lidvae", "lidgmvae", "lidmvae"])
@pytest.mark.parametrize("depth", [3, 4])
@pytest.mark.parametrize("map_", ["brenier", "gradient_network"])
def test_deeper_forms(model, depth, map_):
    sound(two_steps([f"model={model}", f"map={map_}", f"map.depth={depth}"], "digits"), None)


@pytest.mark.parametrize("model", ["lidvae", "lidgmvae", "lidmvae"])
@pytest.mark.parametrize(
    ("map_", "data"),
    [
        ("map=polar", "pinwheel"),
        ("map=polar map.shear_first=false map.shear_bound=null", "digits"),
        ("map=gradient_network map.shears=2 map.inverse_lipschitz=0.5", "digits"),
        ("map=anchored", "digits"),
        ("map=anchored map/network=skip_mlp map/bijection=polar map.inverse_lipschitz=0.5", "digits"),
    ],
)
def test_polar_and_anchored_maps(model, map_, data):
    sound(two_steps([f"model={model}", *map_.split()], data), None)


@pytest.mark.parametrize("lift", ["pad", "random", "pca"])
def test_lifts(lift):
    sound(two_steps(["model=lidgmvae", f"map.lift={lift}"], "digits"), None)


def test_convolutional_encoder():
    sound(two_steps(["model=gmvae", "encoder=convolutional"], "digits"), None)


REFUSED = [
    (["model=lidgmvae", "map=mlp"], "LIDGMVAE needs an injective map, got MLP"),
    (["model=lidvae", "map=mlp"], "LIDVAE needs an injective map, got MLP"),
    (["model=lidmvae", "map=linear"], "LIDMVAE needs an injective map, got LinearMap"),
    (["model=gmvae", "prior=standard_normal"], "GMVAE has a categorical z"),
    (["model=vae", "prior=gaussian_mixture"], "VAE has a continuous z"),
    (["model=lidgmvae", "prior=exponential_family_mixture"], "LIDGMVAE has Gaussian components"),
    (["model=lidgmvae", "latent_dimension=3"], "Use latent_dimension=2 or less"),
    (["model=lidgmvae", "latent_dimension=1", "map.depth=1"], "map.depth=2 or more"),
    (["model=lidgmvae", "map.lift=svd"], "map.lift=svd is not known"),
    (
        ["model=lidgmvae", "map=anchored"],
        "of 2 none is left. Use composed_brenier, or a smaller latent_dimension. (On the command line: map=brenier.)",
    ),
    (
        ["model=lidvae", "map=polar", "latent_dimension=1", "map.depth=2", "family=gaussian"],
        "Couplings twist two",
    ),
    (["model=lidgmvae", "map=polar", "map.shear_bound=0"], "map.shear_bound=0"),
    (["model=lidgmvae", "family.couplings=1"], "family.couplings=1"),
    (["model=lidgmvae", "likelihood=bernoulli"], "Use likelihood=gaussian"),
    (["model=lidgmvae", "objective.beta=-1"], "objective.beta=-1"),
    (["model=lidgmvae", "encoder=convolutional"], "Use MLPEncoder. (On the command line: encoder=mlp.)"),
]


@pytest.mark.parametrize(("overrides", "message"), REFUSED, ids=[" ".join(row[0]) for row in REFUSED])
def test_refused(overrides, message):
    with pytest.raises((UserError, InstantiationException)) as caught:
        two_steps(overrides, "pinwheel")
    assert message in told(caught.value, overrides, "pinwheel")


@pytest.mark.parametrize("data_name", DATA)
@pytest.mark.parametrize("options", CONTEXTUAL)
def test_a_flow_for_each_example_trains_and_is_measured(options: str, data_name: str) -> None:
    measured = two_steps([*options.split(), "family.context=true"], data_name)
    sound(measured, None)
    last = measured["latent"].get("w", measured["latent"]["z"])
    assert last["mi_draws"] <= measured["examples"]
    assert last["mi"] <= last["mi_upper"] + 3 * last["mi_se"]
