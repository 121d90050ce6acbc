"""conf/data and lid_vae/data say the same: every option, every default, and a class that can be built."""

import inspect
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import get_class, instantiate
from omegaconf import DictConfig, OmegaConf

from lid_vae.data import ArrayDataModule, TextDataModule

FOLDER = Path(__file__).parents[2] / "conf" / "data"
ARRAYS = ["pinwheel", "digits", "mnist", "fashion_mnist", "omniglot", "images", "array"]
TEXTS = ["ptb", "yahoo", "yelp", "short_yelp", "synthetic_text", "text"]
NAMES = [*ARRAYS, *TEXTS]
OWN = {"images": ["data.path=own.npy"], "array": ["data.path=own.npy"], "text": ["data.path=own.txt"]}


def config(name: str, *overrides: str) -> DictConfig:
    around = OmegaConf.create({"seed": 7, "paths": {"data": "/data/root"}})
    own = OmegaConf.load(FOLDER / f"{name}.yaml")
    shared = [OmegaConf.load(FOLDER / f"{base}.yaml") for base in own.defaults if base in NAMES]
    merged = OmegaConf.merge(around, *shared, own, OmegaConf.from_dotlist(list(overrides)))
    assert isinstance(merged, DictConfig)
    return merged


def options_of(kind: type) -> dict[str, object]:
    """Every option of a class with its default: its own, then those that it hands on to the class that it extends."""
    found: dict[str, object] = {}
    for parent in kind.__mro__:
        if "__init__" not in vars(parent):
            continue
        parameters = list(inspect.signature(parent).parameters.values())
        named = {one.name: one.default for one in parameters if one.kind is not one.VAR_KEYWORD}
        found = {**named, **found}
        if len(named) == len(parameters):
            break
    return found


@pytest.mark.parametrize("name", NAMES)
def test_options_and_defaults_are_those_of_the_class(name: str) -> None:
    node = config(name, *OWN.get(name, [])).data
    options = options_of(get_class(node._target_))
    assert set(node) - {"_target_"} == set(options)
    given_elsewhere = {"root", "train_seed", "path"}
    for option in set(options) - given_elsewhere:
        assert node[option] == options[option], option


@pytest.mark.parametrize("name", NAMES)
def test_an_option_that_no_class_names_is_refused(name: str) -> None:
    own = {"path": "own"} if name in OWN else {}
    with pytest.raises(TypeError, match="unexpected keyword argument 'bacth_size'"):
        get_class(config(name).data._target_)(bacth_size=3, **own)


@pytest.mark.parametrize("name", NAMES)
def test_overrides_work_literally(name: str) -> None:
    cfg = config(name, "data.seed=1", "data.train_size=20000", *OWN.get(name, []))
    module = instantiate(cfg.data)
    assert isinstance(module, ArrayDataModule if name in ARRAYS else TextDataModule)
    assert (module.name, module.seed, module.train_seed, module.train_size) == (cfg.data_name, 1, 7, 20_000)
    assert str(module.root) == "/data/root"
    assert (cfg.data_name, cfg.latent_dimension > 0) == (name, True)


def test_categories_are_as_many_as_labels() -> None:
    for name in ("pinwheel", "digits"):
        cfg = config(name)
        module = instantiate(cfg.data)
        module.setup()
        assert cfg.categories == module.label_count
        assert cfg.latent_dimension <= module.features


@pytest.mark.parametrize("name", TEXTS)
def test_text_brings_the_likelihood_and_the_encoder_of_sequences(name: str) -> None:
    with initialize_config_dir(str(FOLDER.parent), version_base="1.3"):
        cfg = compose("train", [f"data={name}", "model=vae", "choices=null", *OWN.get(name, [])])
    assert cfg.likelihood._target_.endswith("autoregressive_likelihood")
    assert cfg.encoder._target_.endswith("LSTMEncoder")
    assert cfg.family.encoder == cfg.encoder
