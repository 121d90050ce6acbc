"""Runs that differ in anything that matters never share a folder; the same run finds its own."""

import json
from copy import deepcopy

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.singleton import Singleton
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from lid_vae.run.store import (
    config_hash,
    describe,
    is_finished,
    preset_config,
    resolve,
    run_folder,
)

CONFIG = {
    "seed": 0,
    "paths": {"data": "data", "runs": "runs"},
    "data": {"root": "data", "train_seed": 0, "seed": 0, "train_size": None},
    "trainer": {"max_epochs": 3, "devices": 1, "gradient_clip": 1.0},
    "callbacks": {"checkpoint": {"dirpath": "runs/checkpoints", "monitor": "bound"}},
    "map": {"width": 128, "sizes": [1, 2]},
}


def leaves(node, path=()):
    if isinstance(node, dict):
        for key, value in node.items():
            yield from leaves(value, (*path, key))
    else:
        yield path


@pytest.mark.parametrize("path", list(leaves(CONFIG)), ids=".".join)
def test_the_hash_changes_with_what_matters_only(path):
    changed = deepcopy(CONFIG)
    node = changed
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = "another"
    ignored = path[0] in ("seed", "paths") or path[-1] in ("root", "train_seed", "devices", "dirpath")
    assert (config_hash(changed) == config_hash(CONFIG)) == ignored


def test_the_hash_is_stable():
    """Written down, because a new release must find the folders of an older one."""
    assert config_hash(CONFIG) == "5ad0e61b"
    assert config_hash({}) == config_hash({"seed": 3, "hydra": {}, "paths": None})


def test_equal_settings_have_equal_hashes():
    reordered = {key: CONFIG[key] for key in reversed(CONFIG)}
    assert config_hash(reordered) == config_hash(CONFIG)
    assert config_hash({"x": 1.0, "y": (1, 2)}) == config_hash({"x": 1, "y": [1, 2]})
    assert config_hash({"x": True}) != config_hash({"x": 1})
    assert config_hash({"x": None}) != config_hash({})
    assert config_hash({"x": "1"}) != config_hash({"x": 1})


def test_hashing_leaves_the_configuration_alone():
    config = {"seed": 1, "data": {"root": "data", "seed": 0}}
    config_hash(config)
    assert config == {"seed": 1, "data": {"root": "data", "seed": 0}}


def test_every_seed_and_place_resolves_alike():
    def resolved(seed, runs):
        config = {
            "seed": seed,
            "paths": {"runs": runs},
            "name": "${paths.runs}/${seed}",
            "hydra": {"x": 1},
            "ckpt": "???",
        }
        return resolve(OmegaConf.create(config))

    assert resolved(7, "/scratch") == resolved(0, None)
    assert resolved(7, "/scratch")["name"] == "runs/0"
    config = OmegaConf.create({"seed": 7})
    resolve(config)
    assert config.seed == 7


def test_folder_names():
    folder = run_folder("runs", "default", "lidgmvae", "mnist", "gaussian", "aaaaaaaa", "aaaaaaaa", 3)
    assert folder.as_posix() == "runs/default/lidgmvae-mnist-gaussian/seed-3"
    folder = run_folder("runs", "default", "lidgmvae", "mnist", "gaussian", "bbbbbbbb", "aaaaaaaa", 0)
    assert folder.as_posix() == "runs/default/lidgmvae-mnist-gaussian-bbbbbbbb/seed-0"


@given(st.text(), st.text(), st.text(), st.text())
def test_any_name_makes_a_safe_folder(experiment, model, data, family):
    folder = run_folder("/root", experiment, model, data, family, "a", "a", 0)
    assert len(folder.parts) == 5  # no separator, no empty part
    for part in folder.parts[2:]:
        assert not set(part) & set('=/\\:*?"<>|\0\n ')
        assert not part.startswith(".")


def test_finished_means_the_same_configuration(tmp_path):
    folder = tmp_path / "seed-0"
    assert not is_finished(folder, "aaaaaaaa")
    assert "not begun" in describe(folder, "aaaaaaaa")
    folder.mkdir()
    assert "not finished" in describe(folder, "aaaaaaaa")
    result = folder / "result.json"
    result.write_text(json.dumps({"config_hash": "aaaaaaaa"}))
    assert is_finished(folder, "aaaaaaaa")
    assert "is finished" in describe(folder, "aaaaaaaa")
    assert not is_finished(folder, "bbbbbbbb")
    assert "another configuration" in describe(folder, "bbbbbbbb")
    for damaged in ('{"config_hash": "aaaa', "[]", "{}", ""):
        result.write_text(damaged)
        assert not is_finished(folder, "aaaaaaaa")
        assert "damaged" in describe(folder, "aaaaaaaa")


@pytest.fixture
def conf(tmp_path):
    files = {
        "train.yaml": """
defaults: [_self_, {data: pinwheel}, {model: vae}, {family: gaussian}, {experiment: null}]
seed: 0
name: "${hydra:runtime.choices.model}"
trainer: {max_epochs: 3}
""",
        "data/pinwheel.yaml": "{train_size: null, train_seed: '${seed}'}",
        "data/mnist.yaml": "{train_size: 60000}",
        "model/vae.yaml": "depth: 2",
        "model/gmvae.yaml": "depth: 3",
        "family/gaussian.yaml": "name: gaussian",
        "experiment/long.yaml": "# @package _global_\ntrainer: {max_epochs: 9}",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


CHOICES = {"model": "gmvae", "data": "mnist", "family": "gaussian", "experiment": None, "hydra/launcher": "basic"}


def test_preset_outside_a_program(conf):
    before = GlobalHydra.instance().hydra, HydraConfig.instance().cfg
    config = preset_config(CHOICES, conf=conf)
    assert config["model"] == {"depth": 3}
    assert config["data"] == {"train_size": 60000}
    assert config["name"] == "gmvae"
    assert config["trainer"] == {"max_epochs": 3}
    assert "hydra" not in config
    assert (GlobalHydra.instance().hydra, HydraConfig.instance().cfg) == before
    assert preset_config({**CHOICES, "experiment": "long"}, conf=conf)["trainer"] == {"max_epochs": 9}


def test_preset_inside_a_program_and_in_its_child_processes(conf):
    """A joblib child gets Hydra's singletons pickled, and no call to initialize."""
    expected = preset_config(CHOICES, conf=conf)
    with initialize_config_dir(str(conf), version_base="1.3"):
        running = compose("train", ["trainer.max_epochs=5", "seed=4", "model=gmvae"], return_hydra_config=True)
        HydraConfig.instance().set_config(running)
        hydra = GlobalHydra.instance().hydra
        try:
            assert preset_config(CHOICES) == expected
            assert GlobalHydra.instance().hydra is hydra
            assert HydraConfig.get().runtime.choices.data == "pinwheel"
            state, here = Singleton.get_state(), dict(Singleton._instances)
            try:
                Singleton.set_state(state)
                assert preset_config(CHOICES) == expected
            finally:
                Singleton._instances = here
            # Only trainer.max_epochs matters of what this run changed; the seed does not.
            resolved = resolve(running)
            assert config_hash(resolved) != config_hash(preset_config(HydraConfig.get().runtime.choices))
            resolved["trainer"]["max_epochs"] = 3
            assert config_hash(resolved) == config_hash(preset_config(HydraConfig.get().runtime.choices))
        finally:
            HydraConfig.instance().cfg = None
