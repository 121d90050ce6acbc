"""Beta-VAE, SA-VAE and Lagging VAE as presets; switched off, each is the plain model bit for bit."""

import pytest
import torch
from runs import Outcome, Programs, measures

from lid_vae.system.checkpoint import load_checkpoint


@pytest.fixture
def programs(tmp_path):
    return Programs(tmp_path)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return Programs(tmp_path_factory.mktemp("plain")).train("model=gmvae")


def weights(run: Outcome) -> dict[str, torch.Tensor]:
    state = load_checkpoint(run.folder / "checkpoints" / "last.ckpt")["state_dict"]
    return {name: value for name, value in state.items() if name.startswith("vae.")}


def equal(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    assert first.keys() == second.keys()
    return all(torch.equal(first[name], second[name]) for name in first)


OFF = {
    "beta = 1": ["model=beta_vae", "objective.beta=1"],
    "no free bits": ["model=gmvae", "objective=free_bits", "objective.free_bits=0"],
    "no pretraining": [
        "model=pretrained_vae",
        "objective.free_bits=0",
        "objective.beta.share=0",
        "objective.beta.then.start=1",
    ],
    "no refinement": ["model=sa_vae", "inference.steps=0"],
    "not aggressive": ["model=lagging_vae", "inference.aggressive=false"],
}


@pytest.mark.parametrize("overrides", OFF.values(), ids=OFF.keys())
def test_switched_off_is_the_plain_model(programs, plain, overrides):
    found = programs.train(*overrides)
    assert measures(found.result) == measures(plain.result)
    assert equal(weights(found), weights(plain))


@pytest.mark.parametrize("model", ["beta_vae", "sa_vae", "lagging_vae", "pretrained_vae"])
def test_switched_on_is_not(programs, plain, model):
    options = ["inference.most=4", "inference.window=2"] if model == "lagging_vae" else []
    found = programs.train(f"model={model}", *options)
    assert found.result["model"] == model
    assert found.result["base_model"] == "gmvae"
    assert not equal(weights(found), weights(plain))


@pytest.mark.parametrize("inference", ["semi_amortized", "aggressive"])
@pytest.mark.parametrize(
    "model", ["lidgmvae", *(pytest.param(model, marks=pytest.mark.slow) for model in ("vae", "lidvae", "lidmvae"))]
)
def test_strategies_combine_with_every_model(programs, inference, model):
    options = ["inference.most=2", "inference.window=1"] if inference == "aggressive" else ["inference.steps=1"]
    result = programs.train(f"model={model}", f"inference={inference}", *options, "trainer.max_epochs=1").result
    assert result["inference"] == inference
    assert result["ll"]["mean"] >= result["elbo"]


def test_evaluation_refines_by_the_objective_of_the_checkpoint(programs):
    """An annealed beta is not among the weights; with that of step 0 the refinement, and all numbers, would differ."""
    run = programs.train("model=sa_vae", "objective=linear_annealing", "inference.steps=1", "trainer.max_epochs=1")
    found = programs.evaluate(run.folder / "checkpoints" / "best.ckpt")
    for name in ("latent", "ll", "elbo"):
        assert measures(found.result)[name] == measures(run.result)[name]
