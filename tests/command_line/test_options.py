"""From the library's words to the command line's: which option an argument is, and which choice makes a class."""

import importlib
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from lid_vae.command_line import options
from lid_vae.command_line.options import in_options
from lid_vae.data import Pinwheel
from lid_vae.errors import UserError
from lid_vae.likelihood import autoregressive_likelihood
from lid_vae.map import anchored, composed_brenier, counterpart_mlp
from lid_vae.objective import ELBO, Cyclical
from lid_vae.posterior import LSTMEncoder, MLPEncoder, gaussian_family
from lid_vae.prior import GaussianMixture
from lid_vae.system.files import read_json
from lid_vae.train.hooks import Best, EarlyStopping

CONFIG = {
    "width": 8,
    "sharpness": 10.0,
    "map": {"_target_": "lid_vae.map.composed_brenier", "width": 8, "sharpness": 10.0, "shears": 0, "shear_width": 8},
    "encoder": {"_target_": "lid_vae.posterior.MLPEncoder", "width": 8, "hidden_layers": 2},
    "family": {
        "_target_": "lid_vae.posterior.gaussian_family",
        "encoder": {"_target_": "lid_vae.posterior.MLPEncoder", "width": 8, "hidden_layers": 2},
        "mixture": "conditional",
    },
    "prior": {"_target_": "lid_vae.prior.GaussianMixture", "code": "regular", "size": 1.0},
    "likelihood": {
        "_target_": "lid_vae.likelihood.autoregressive_likelihood",
        "embedding": 8,
        "hidden": 8,
        "layers": 1,
    },
    "objective": {
        "_target_": "lid_vae.objective.ELBO",
        "beta": {"_target_": "lid_vae.objective.Cyclical", "share": 0.5},
        "samples": 1,
    },
    "optimizer": {"_target_": "torch.optim.Adam", "lr": 0.001},
    "callbacks": {
        "checkpoint": {"_target_": "lid_vae.train.hooks.Best", "mode": "max"},
        "early_stopping": {"_target_": "lid_vae.train.hooks.EarlyStopping", "mode": "max", "patience": 10},
    },
}
ANCHORED = {
    "map": {
        "_target_": "lid_vae.map.anchored",
        "scale": 1.0,
        "inverse_lipschitz": None,
        "bijection": {"_target_": "lid_vae.map.composed_brenier", "sharpness": 10.0, "inverse_lipschitz": None},
        "network": {"_target_": "lid_vae.map.counterpart_mlp"},
    }
}


def told(call: Callable[[], Any], config: dict[str, Any] = CONFIG) -> str:
    with pytest.raises(UserError) as caught:
        call()
    return in_options(caught.value, config)


def says(text: str) -> Callable[[], None]:
    """An error of the training, in these words, of which no recipe was called."""

    def fail() -> None:
        raise UserError(text)

    fail = type(fail)(
        fail.__code__, {"__name__": "lid_vae.train.training", "UserError": UserError}, closure=fail.__closure__
    )
    return fail


brenier = partial(composed_brenier, 2, 4, 8, 1)
network = partial(counterpart_mlp, width=8, hidden_layers=1)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: brenier(sharpness=-1.0), "needs sharpness > 0, got map.sharpness=-1.0. Use map.sharpness=10."),
        (
            lambda: brenier(shears=-2),
            "got map.shears=-2 and map.shear_width=8. Use map.shears=2 and map.shear_width=64.",
        ),
        (lambda: MLPEncoder((4,), width=8, hidden_layers=0), "got encoder.hidden_layers=0."),
        (lambda: gaussian_family(MLPEncoder, "both")((4,), 2, None, "real"), "family.mixture=both is not known."),
        (lambda: GaussianMixture(3, 2, code="bogus"), "prior.code=bogus is not known."),
        (lambda: ELBO(samples=0), "got objective.samples=0."),
        (lambda: ELBO(beta=Cyclical(share=2.0)), "objective.beta.share=2.0"),
        (lambda: Best("here", mode="up"), "callbacks.checkpoint.mode=up is"),
        (lambda: EarlyStopping(mode="up"), "callbacks.early_stopping.mode=up is"),
        (
            lambda: autoregressive_likelihood(network, 2, 9, embedding=0, hidden=3),
            "got likelihood.embedding=0, likelihood.hidden=3 and likelihood.layers=1.",
        ),
    ],
)
def test_a_refused_argument_is_the_option_of_the_innermost_recipe(call: Callable[[], Any], words: str) -> None:
    assert words in told(call)


def test_a_recipe_inside_another_has_its_own_name() -> None:
    inner = partial(composed_brenier, width=8, hidden_layers=1)
    whole = partial(anchored, 2, 4, network=network)
    assert "got map.bijection.sharpness=-1.0." in told(
        lambda: whole(bijection=partial(inner, sharpness=-1.0)), ANCHORED
    )
    for call, words in (
        (lambda: whole(bijection=partial(inner, inverse_lipschitz=0.0)), "got map.bijection.inverse_lipschitz=0.0."),
        (lambda: whole(inverse_lipschitz=0.0), "got map.inverse_lipschitz=0.0."),
    ):
        assert words in told(call, ANCHORED)
    message = told(lambda: whole(bijection=network), ANCHORED)
    assert message.endswith("Use map/bijection=brenier.")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("got component='gamma'.", "got prior.component=gamma."),
        ("component='gamma', 'log_normal' or 'gaussian'.", "prior.component=gamma, log_normal or gaussian."),
        ("aggressive=False and wiring=output.", "inference.aggressive=false and likelihood.wiring=output."),
        ("anchor=None, or", "map.anchor=null, or"),
        ("shear_bound=1, or None for any.", "map.shear_bound=1, or null for any."),
        ("Lower lr=, or", "Lower optimizer.lr=, or"),
        ("width=8 and hidden_layers=1", "width=8 and hidden_layers=1"),
        ("sharpness=-1 is wrong", "sharpness=-1 is wrong"),
        ("bogus=1, x.mixture=2 and --mixture=3", "bogus=1, x.mixture=2 and --mixture=3"),
        ("ELBO is none.", "ELBO is none."),
        (
            "No. Use ELBO, or FreeBits.",
            "No. Use ELBO, or FreeBits. (On the command line: objective=elbo, objective=free_bits.)",
        ),
        ("Use MLP, not an MLP.", "Use MLP, not an MLP. (On the command line: map=mlp.)"),
        ("Use LIDVAE.", "Use LIDVAE. (On the command line: model=lidvae.)"),
    ],
)
def test_other_words_are_those_of_the_only_option_of_that_name(text: str, expected: str) -> None:
    assert told(says(text)) == expected


def test_refused_names_in_prose_are_options_where_a_recipe_was_called(tmp_path) -> None:
    config = {"data": {"_target_": "lid_vae.data.Pinwheel", "train_size": 60, "root": "data"}}
    data = Pinwheel(root=str(tmp_path), per_class=10, train_size=60)
    words = told(data.setup, config)
    assert "data.train_size=60 asks for more than there is" in words
    assert "Choose data.train_size of at most 50" in words


def test_classes_are_the_choices_that_make_them() -> None:
    assert told(lambda: LSTMEncoder((8, 8), 9, 8)).endswith("Use MLPEncoder. (On the command line: encoder=mlp.)")


def test_errors_of_the_program_are_left_alone(tmp_path) -> None:
    with pytest.raises(UserError) as caught:
        read_json(tmp_path / "mixture='a'" / "absent.json")
    assert in_options(caught.value, CONFIG) == str(caught.value)


def test_a_path_of_the_users_is_left_alone() -> None:
    config = {**CONFIG, "data": {"path": "a, mixture=1/b"}}
    assert told(says("No a, mixture=1/b with mixture='x'."), config) == "No a, mixture=1/b with family.mixture=x."


def test_the_words_that_are_known_here_exist() -> None:
    """Of each table: classes, what makes them, and the option by which a recipe knows an argument."""
    rooms = [importlib.import_module(f"lid_vae.{room}") for room in ("map", "likelihood", "posterior")]
    known = {name for room in rooms for name in dir(room)}
    choices, groups = options._read(options.CONF)
    for name, maker in options._MAKERS.items():
        assert {name, maker} <= known | {"RealNVP"}
        assert choices[name] == choices[maker]
    named = {new for names in options._OTHER_NAMES.values() for new in names.values()}
    assert named - {"validation_samples", "paths.data"} <= set(groups)
    assert choices["ELBO"] == "objective=elbo"
    assert choices["gaussian_family"] == "family=gaussian"
