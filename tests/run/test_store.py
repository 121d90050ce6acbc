"""Runs that differ in anything that matters never share a folder; the same run finds its own."""

import json
import re
from copy import deepcopy
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from lid_vae.run import names
from lid_vae.run.store import (
    CONF,
    Presets,
    config_hash,
    is_finished,
    own_presets,
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
    folder.mkdir()
    result = folder / "result.json"
    result.write_text(json.dumps({"config_hash": "aaaaaaaa"}))
    assert is_finished(folder, "aaaaaaaa")
    assert not is_finished(folder, "bbbbbbbb")
    for damaged in ('{"config_hash": "aaaa', "[]", "{}", ""):
        result.write_text(damaged)
        assert not is_finished(folder, "aaaaaaaa")


@pytest.fixture
def conf(tmp_path):
    files = {
        "train.yaml": """
defaults: [_self_, {data: pinwheel}, {model: vae}, {family: gaussian}, {experiment: null}]
seed: 0
trainer: {max_epochs: 3}
choices: {model: "${hydra:runtime.choices.model}", family: "${hydra:runtime.choices.family}"}
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


def singletons():
    return GlobalHydra.instance().hydra, HydraConfig.instance().cfg


def test_presets_outside_a_program(conf):
    before = singletons()
    presets = own_presets(conf)
    config = presets.config(CHOICES)
    assert config["model"] == {"depth": 3}
    assert config["data"] == {"train_size": 60000}
    assert config["choices"] == {"model": "gmvae", "family": "gaussian"}
    assert config["trainer"] == {"max_epochs": 3}
    assert "hydra" not in config
    assert presets.config({**CHOICES, "experiment": "long"})["trainer"] == {"max_epochs": 9}
    assert singletons() == before, "Hydra's global state is left as it was"


def test_presets_inside_a_program(conf):
    expected = own_presets(conf).config(CHOICES)
    with initialize_config_dir(str(conf), version_base="1.3"):
        running = compose("train", ["trainer.max_epochs=5", "seed=4", "model=gmvae"], return_hydra_config=True)
        presets = Presets.of(GlobalHydra.instance().config_loader(), running.hydra)
        assert presets.config(CHOICES) == expected
        # Only trainer.max_epochs matters of what this run changed; the seed does not.
        resolved, choices = resolve(running), running.hydra.runtime.choices
        assert config_hash(resolved) != config_hash(presets.config(choices))
        resolved["trainer"]["max_epochs"] = 3
        assert config_hash(resolved) == config_hash(presets.config(choices))


PRESETS = sorted(
    f"{group}={path.stem}"
    for group in ("model", "data", "family", "experiment")
    for path in (CONF / group).glob("*.yaml")
)


@pytest.mark.parametrize(
    "choice",
    [
        pytest.param(choice, marks=() if choice in ("model=sa_vae", "experiment=table_digits") else pytest.mark.slow)
        for choice in PRESETS
    ],
)
def test_who_only_chooses_has_the_preset(choice):
    """So that nothing has to be composed to know it: a fifth of a second before the first line."""
    words = [choice, "seed=[0,1]", "paths.runs=elsewhere"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        running = compose("train", words, return_hydra_config=True)
        presets = Presets.of(GlobalHydra.instance().config_loader(), running.hydra)
        assert presets.untouched
        resolved = resolve(running)
        assert config_hash(resolved) == config_hash(presets.config(resolved["choices"]))


@pytest.mark.parametrize("word", ["samples=3", "map=polar", "+model.x=1", "~data", "seed_of=1", "learning_rates.vae=1"])
def test_who_changes_anything_may_have_another(word):
    hydra = OmegaConf.create({"overrides": {"hydra": [], "task": ["model=vae", word]}})
    assert not Presets.of(own_presets().loader, hydra).untouched


MOVED = [
    ("lid_vae.model.LIDGMVAE", "lid_vae.module.LIDGMVAE", {}),
    ("lid_vae.train.LIDGMVAE", "lid_vae.module.LIDGMVAE", {}),
    ("lid_vae.train.hooks.Restart", "lid_vae.module.restart.Restart", {"share": 0.2}),
    (
        "lid_vae.train.hooks.Best",
        "pytorch_lightning.callbacks.ModelCheckpoint",
        {"filename": "best", "monitor": "valid/bound", "mode": "max"},
    ),
]


@pytest.mark.parametrize(("now", "first", "options"), MOVED)
def test_a_part_that_has_moved_leaves_the_hash_as_it_was(now, first, options):
    dropped = {"enable_version_counter": False} if "Checkpoint" in first else {}
    assert config_hash({"x": [{"_target_": now, **options}]}) == config_hash(
        {"x": [{"_target_": first, **options, **dropped}]}
    )
    assert config_hash({"x": {"_target_": now, **options}}) != config_hash({"x": {"_target_": "another", **options}})


def test_a_new_option_at_its_default_leaves_the_hash_as_it_was(monkeypatch):
    part = {"_target_": "lid_vae.map.composed_brenier", "depth": 2}
    before = config_hash({"map": part})
    monkeypatch.setitem(names._FIRST, part["_target_"], names.Former(part["_target_"], new={"shears": 0}))
    assert config_hash({"map": {**part, "shears": 0}}) == before
    assert config_hash({"map": {**part, "shears": 2}}) != before


def test_grey_images_have_the_hashes_that_they_had_before_colour():
    part = {"_target_": "lid_vae.data.Images", "path": "own.npy"}
    before = config_hash({"data": part})
    assert config_hash({"data": {**part, "colour": False}}) == before
    assert config_hash({"data": {**part, "colour": True}}) != before


@pytest.mark.parametrize("map_", ["brenier", "gradient_network"])
def test_shears_at_their_defaults_leave_the_hashes_of_earlier_runs_as_they_were(map_):
    """``tests/folders`` holds such runs; ``first`` are the options that maps had when hashes were first written."""
    first = {"_target_", "_partial_", "width", "hidden_layers", "depth", "lift", "skips", "activation", "sharpness"}
    first |= {"curvature", "strong_convexity", "strong_convexity_floor", "inverse_lipschitz"}
    config = own_presets().config({"model": "lidgmvae"})
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config["map"] = OmegaConf.to_container(compose("train", [f"map={map_}"]).map, resolve=True)
    earlier = {**config, "map": {key: value for key, value in config["map"].items() if key in first}}
    assert config["map"]["shears"] == 0
    assert "shears" not in earlier["map"]
    assert config_hash(config) == config_hash(earlier)
    for option, value in (("shears", 2), ("shear_first", False), ("shear_bound", None), ("shear_width", 64)):
        assert config_hash({**config, "map": {**config["map"], option: value}}) != config_hash(config)


def test_hydras_singletons_are_set_nowhere():
    """A configuration is filled in from its own node ``hydra``; no process swaps the state of a running program."""
    package = Path(__file__).parents[2] / "lid_vae"
    for path in package.rglob("*.py"):
        source = path.read_text()
        assert not re.search(r"set_config\(|Singleton|\.instance\(\)\.cfg\s*=", source), path


def test_below_the_plan_nothing_takes_a_configuration():
    package = Path(__file__).parents[2] / "lid_vae"
    above = {"run/plan.py", "run/store.py", "run/evaluation.py", "launch/sweeper.py", "launch/launcher.py"}
    above |= {"launch/chunk.py", "launch/manifest.py", "command_line/program.py", "command_line/report.py"}
    above |= {"model/compose.py", "command_line/help.py"}
    found = {str(path.relative_to(package)) for path in package.rglob("*.py") if "DictConfig" in path.read_text()}
    assert found <= above


def test_an_option_that_is_renamed_leaves_the_hash_as_it_was():
    """The configuration of a BN-VAE as the revision before the renaming resolved it, and as it is today."""
    today = own_presets().config({"model": "bn_vae", "family": "gaussian", "data": "pinwheel"})
    today = {**today, "choices": {**today["choices"], "model": "counterpart"}}
    former = _named(today, {now: first for first, now in names.OPTIONS.items()})
    former["choices"]["model"] = "classical"
    assert former["posterior"]["gamma"] == 0.5
    assert former["classical"] == "GMVAE"
    assert config_hash(former) == config_hash(today)
    assert names.current(former) == names.current(today) == today


def _named(config, words):
    renamed = {words.get(key, key): value for key, value in config.items()}
    return {**renamed, "choices": {words.get(key, key): value for key, value in config["choices"].items()}}
