"""The experiments of the tables: fair by construction, swept from their own files, alive after a failure."""

import json
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from runs import Programs

from lid_vae.errors import UserError
from lid_vae.run.store import config_hash, resolve
from lid_vae.train.ensemble import Ensemble

CONF = Path(__file__).parents[1] / "conf"
TABLES = ["table2_pinwheel", "table2_mnist", "table_fashion_mnist", "table_omniglot", "table_digits"]
MODELS = ["gmvae", "sa_vae", "lagging_vae", "beta_vae", "lidgmvae"]
TEXT_MODELS = ["language_model", "linear_language_model", "svae", "linear_svae"]
# Where the five models differ; all else of a table's configuration is shared.
OWN = {"model", "map", "objective", "inference", "choices", "optimizer", "learning_rates"}


def configure(*overrides: str) -> DictConfig:
    before = HydraConfig.instance().cfg
    try:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            config = compose("train", list(overrides), return_hydra_config=True)
        HydraConfig.instance().set_config(config)
        sweeper = OmegaConf.to_container(config.hydra.sweeper, resolve=True)
        return OmegaConf.create({**resolve(config), "sweeper": sweeper})
    finally:
        HydraConfig.instance().cfg = before


@pytest.mark.parametrize("table", TABLES)
def test_the_models_of_a_table_share_all_that_is_not_their_own(table):
    configs = {model: configure(f"experiment={table}", f"model={model}") for model in MODELS}
    assert configs["gmvae"].sweeper.params == {"seed": "0-9", "model": ",".join(MODELS)}
    assert configs["gmvae"].sweeper.finish.experiment == table
    shared = [{k: v for k, v in config.items() if k not in OWN} for config in configs.values()]
    assert all(other == shared[0] for other in shared)
    assert (shared[0]["depth"], shared[0]["hidden_layers"]) == (2, 4)
    for config in configs.values():
        assert [config.map[key] for key in ("width", "depth", "hidden_layers")] == [config.width, 2, 4]
        assert {k: v for k, v in config.optimizer.items() if k != "lr"} == {
            k: v for k, v in configs["gmvae"].optimizer.items() if k != "lr"
        }
    assert [config.map._target_ for config in configs.values()][:4] == ["lid_vae.map.counterpart_mlp"] * 4
    own = {name: configs[name] for name in ("sa_vae", "lagging_vae", "beta_vae")}
    assert own["sa_vae"].inference._target_.endswith("SemiAmortized")
    assert own["lagging_vae"].inference._target_.endswith("Aggressive")
    assert own["beta_vae"].objective.beta == 0.2


def test_maps_stand_beside_the_classical_models_at_one_budget():
    """As in the other tables, but for the depth of polar maps, whose couplings are layers as well."""
    models = configure("experiment=table2_pinwheel_maps").sweeper.params["model"].split(",")
    assert models == [*MODELS, "polar_lidgmvae"]
    configs = {model: configure("experiment=table2_pinwheel_maps", f"model={model}") for model in models}
    shared = [{k: v for k, v in config.items() if k not in OWN} for config in configs.values()]
    assert all(other == shared[0] for other in shared)
    assert (shared[0]["trainer"]["max_epochs"], shared[0]["hidden_layers"]) == (80, 1)
    assert [config.map.depth for config in configs.values()] == [4] * 5 + [3]
    assert all(config.optimizer.lr == config.learning_rates[model] for model, config in configs.items())
    brenier, polar = (dict(configs[model].map) for model in ("lidgmvae", "polar_lidgmvae"))
    assert {key for key in brenier if brenier[key] != polar[key]} == {"depth", "shears"}
    assert configs["polar_lidgmvae"].model == configs["lidgmvae"].model
    assert polar["shear_bound"] == 1


@pytest.mark.parametrize("table", ["table_text_synthetic", "table_text_ptb", "table_text_yahoo", "table_text_yelp"])
def test_the_models_of_a_table_of_text_share_all_that_is_not_their_own(table):
    models = configure(f"experiment={table}").sweeper.params["model"].split(",")
    assert models == [*TEXT_MODELS, "sa_vae", "lagging_vae", "beta_vae", "lidsvae"]
    configs = {model: configure(f"experiment={table}", f"model={model}") for model in models}
    own = OWN | {"family", "likelihood"}  # those of a language model have no latent
    shared = [{k: v for k, v in config.items() if k not in own} for config in configs.values()]
    assert all(other == shared[0] for other in shared)
    maps = {model: config.map._target_.rpartition(".")[2] for model, config in configs.items()}
    assert [maps.pop(model) for model in TEXT_MODELS] == ["counterpart_mlp", "LinearMap"] * 2
    assert set(maps.values()) == {"counterpart_mlp", "composed_brenier"}
    wiring = {model: config.likelihood.pop("wiring") for model, config in configs.items()}
    for model, config in configs.items():
        latent = "language_model" not in model
        assert wiring[model] == ("output" if latent else "none")
        assert config.likelihood == configs["lidsvae"].likelihood
        assert (config.family == configs["lidsvae"].family) == latent
        assert config.optimizer.lr == configs[model].learning_rates[model]


@pytest.mark.parametrize("table", [*TABLES, "table2_pinwheel_maps"])
def test_a_search_is_the_table_on_the_common_grid_and_on_seeds_of_its_own(table):
    search, plain = configure(f"experiment={table}_search"), configure(f"experiment={table}")
    assert search.sweeper.params == {
        "seed": "100-101",
        "model": plain.sweeper.params["model"],
        "optimizer.lr": "0.001,0.003,0.01,0.03",
    }
    assert {k: v for k, v in search.items() if k not in ("sweeper", "choices", "samples")} == {
        k: v for k, v in plain.items() if k not in ("sweeper", "choices", "samples")
    }
    rates = [float(rate) for rate in search.sweeper.params["optimizer.lr"].split(",")]
    assert all(rate in rates for rate in plain.learning_rates.values())


def test_a_model_takes_its_own_rate_which_alone_names_its_runs(tmp_path):
    rates = ("learning_rates.gmvae=0.01", "learning_rates.lidgmvae=0.001")
    first, second = (configure("experiment=table2_pinwheel", "model=gmvae", *rates[:n]) for n in (1, 2))
    assert first.optimizer.lr == 0.01
    assert configure("experiment=table2_pinwheel", "model=vae", *rates).optimizer.lr == 0.003
    hashes = [config_hash({k: v for k, v in config.items() if k != "sweeper"}) for config in (first, second)]
    assert hashes[0] == hashes[1], "the rate of another model is no part of this run"


def test_the_depth_of_the_decoder_is_swept_from_one_to_four():
    config = configure("experiment=depth", "depth=3", "model=lidgmvae")
    assert config.sweeper.params["depth"] == "1,2,3,4"
    assert (config.map.depth, config.map.hidden_layers) == (3, 2)


def test_refused_a_sweep_over_experiments_that_have_sweeps_of_their_own(tmp_path):
    outcome = Programs(tmp_path).train("-m", "experiment=table2_pinwheel,table_digits", tiny=())
    assert outcome.status == 1
    assert "experiment=table_digits has a sweep of its own over seed, model" in outcome.err
    assert not (tmp_path / "runs").exists()


def test_refused_an_unknown_experiment(tmp_path):
    paragraph = Programs(tmp_path).train("-m", "experiment=table2_pinweel").paragraph
    assert "Did you mean experiment=table2_pinwheel?" in paragraph


@pytest.mark.slow
def test_a_sweep_survives_a_failure_and_ends_with_the_table(tmp_path, monkeypatch):
    programs = Programs(tmp_path)
    options = ("experiment=table2_pinwheel", "-m", "model=gmvae,lidgmvae", "seed=0-1", "trainer.max_epochs=1")
    options += ("hydra/launcher=basic",)
    fails = []

    def step(self, batch, batch_index, training_step=Ensemble.training_step):
        (module,) = (member.module for member in self.members)
        if fails and module.seed == 1 and module.promise.variant == "GMVAE":
            raise UserError("The sky fell.\nOn our heads.")
        return training_step(self, batch, batch_index)

    monkeypatch.setattr(Ensemble, "training_step", step)
    fails.append(True)
    outcome = programs.train(*options)
    assert outcome.status == 1
    assert "1 of 4 runs failed; the others are finished:" in outcome.err
    failure = outcome.err.splitlines()[-2]
    assert "model=gmvae" in failure
    assert "seed=1: The sky fell." in failure
    folder = tmp_path / "runs" / "table2_pinwheel"
    (failure,) = folder.rglob("failed.json")
    assert failure.parent.name == "seed-1"
    assert json.loads(failure.read_text())["error"] == "The sky fell."
    assert len(list(folder.rglob("result.json"))) == 3
    assert str(folder / "report") in outcome.out

    fails.clear()
    again = programs.train(*options)
    assert again.status == 0, again.err
    assert again.out.count("Finished before") == 3
    assert not list(folder.rglob("failed.json"))
    assert len(list(folder.rglob("result.json"))) == 4
