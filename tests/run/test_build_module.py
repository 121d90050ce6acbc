"""Building: weights are a function of the seed alone, global generators are left alone, and parts must fit."""

from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from making import recipe

from lid_vae.errors import UserError
from lid_vae.noise import generator
from lid_vae.run.build import build_data, build_module
from lid_vae.run.plan import validation_interval
from lid_vae.run.record import evaluate_split, summary

CONF = str(Path(__file__).parents[2] / "conf")
SMALL = ["choices=null", "width=8", "data.per_class=40", "data.valid_size=20", "data.test_size=30"]


def build(*overrides):
    with initialize_config_dir(CONF, version_base="1.3"):
        cfg = compose("train", [*SMALL, *overrides])
    data = build_data(cfg.data)
    return build_module(*recipe(cfg), data, [data.features], data.label_count), data


def test_weights_are_a_function_of_the_seed():
    torch.manual_seed(1)
    zero, _ = build("seed=0")
    torch.manual_seed(2)
    torch.rand(5)
    again, _ = build("seed=0")
    one, _ = build("seed=1")
    states = [module.state_dict() for module in (zero, again, one)]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    assert any(not torch.equal(states[0][key], states[2][key]) for key in states[0])


def test_building_leaves_the_global_generator_alone():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    module, data = build()
    evaluate_split(module, data, "valid", 2)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_seed_leaves_the_data_alone():
    (_, zero), (_, one), (_, other) = build("seed=0"), build("seed=1"), build("data.seed=1")
    assert zero.checksum == one.checksum != other.checksum


def test_evaluation_repeats_and_leaves_training_mode_off():
    module, data = build()
    first, second = (evaluate_split(module, data, "test", 4) for _ in range(2))
    assert first == second
    assert not module.training
    assert first["examples"] == 30


@pytest.mark.parametrize(
    ("epochs", "interval", "expected"),
    [(40, 5, 5), (7, 5, 1), (9, 5, 3), (3, 5, 3), (1, 5, 1), (100, 1, 1), (12, 5, 4)],
)
def test_the_last_epoch_is_validated(epochs, interval, expected):
    assert validation_interval(epochs, interval) == expected
    assert epochs % expected == 0


def test_more_categories_than_classes_must_be_meant():
    with pytest.raises(UserError, match=r"categories=6 are more than the 5 classes .* extra_categories=true"):
        build("categories=6")
    assert build("categories=6", "extra_categories=true")[0].vae.prior.categories == 6
    assert build("data.classes=3", "categories=3")[0].vae.prior.categories == 3
    with pytest.raises(UserError, match="categories=5 are more than the 3 classes"):
        build("data.classes=3")


def test_the_summary_names_what_there_is():
    z = {"au": 1.0, "kl": 1.5, "mi": 1.25}
    result = {"model": "vae", "data": "mnist", "split": "test", "latent": {"z": z}, "accuracy": None}
    result["ll"] = {"mean": -90.0, "se": 0.5, "samples": 10}
    line = summary(result)
    assert line == "vae on mnist, test, nats: AU 1.00  KL 1.500  MI 1.250  LL -90.000 +- 0.500 (10 samples)"
    result |= {"latent": {"z": z, "w": {"au": 0.5, "kl": 2.0}}, "accuracy": 0.75}
    assert summary(result) == f"{line}  accuracy 0.750  [w: AU 0.50, KL 2.00]"


@pytest.mark.parametrize("model", ["svae", "linear_svae", "lidsvae", "lidsvae map=polar", "anchored_lidsvae"])
def test_a_model_of_text_begins_near_the_frequencies_of_the_words(make, model):
    """Its first logits are small: of each word it knows how often it comes, but for a quarter of a nat."""
    words = [f"model={model.partition(' ')[0]}", *model.split()[1:]]
    module, data = make(
        "data=synthetic_text", *words, "data.words=1000", "data.sentences=3000", "width=50", "likelihood.hidden=50"
    )
    x = data.train.batch(torch.arange(100)).x
    with torch.no_grad():
        w = module.vae.prior().sample(100, generator("w"))
        begin = -module.vae.likelihood.eval().symbol_log_prob(x, w).sum() / (x > 0).sum()
    assert begin < -data.mean().log()[x[x > 0] - 1].mean() + 0.25
