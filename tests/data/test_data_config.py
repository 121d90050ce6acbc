"""conf/data and lid_vae/data say the same: every option, every default, and a class that can be built."""

import inspect
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import get_class, instantiate
from omegaconf import DictConfig, OmegaConf

from lid_vae.data import ArrayDataModule, TextDataModule

FOLDER = Path(__file__).parents[2] / "conf" / "data"
ARRAYS = ["pinwheel", "digits", "mnist", "fashion_mnist", "omniglot", "images"]
TEXTS = ["ptb", "yahoo", "yelp", "short_yelp", "synthetic_text", "text"]
NAMES = [*ARRAYS, *TEXTS]
OWN = {"images": ["data.path=own.npy"], "text": ["data.path=own.txt"]}


def config(name: str, *overrides: str) -> DictConfig:
    around = OmegaConf.create({"seed": 7, "paths": {"data": "/data/root"}})
    merged = OmegaConf.merge(around, OmegaConf.load(FOLDER / f"{name}.yaml"), OmegaConf.from_dotlist(list(overrides)))
    assert isinstance(merged, DictConfig)
    return merged


@pytest.mark.parametrize("name", NAMES)
def test_options_and_defaults_are_those_of_the_class(name: str) -> None:
    node = config(name, *OWN.get(name, [])).data
    parameters = inspect.signature(get_class(node._target_)).parameters
    assert set(node) - {"_target_"} == set(parameters)
    given_elsewhere = {"root", "train_seed", "path"}
    for option in set(parameters) - given_elsewhere:
        assert node[option] == parameters[option].default, option


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
