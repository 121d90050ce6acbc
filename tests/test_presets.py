"""Beta-VAE, SA-VAE and Lagging VAE as presets; switched off, each is the plain model bit for bit."""

import pytest
import torch
from runs import Outcome, Programs, measures

from lid_vae.checkpoint import load_checkpoint


@pytest.fixture
def programs(tmp_path):
    return Programs(tmp_path)


def weights(run: Outcome) -> dict[str, torch.Tensor]:
    state = load_checkpoint(run.folder / "checkpoints" / "last.ckpt")["state_dict"]
    return {name: value for name, value in state.items() if name.startswith("vae.")}


def equal(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    assert first.keys() == second.keys()
    return all(torch.equal(first[name], second[name]) for name in first)


OFF = {
    "beta = 1": ["model=beta_vae", "objective.beta=1"],
    "no refinement": ["model=sa_vae", "inference.steps=0"],
    "not aggressive": ["model=lagging_vae", "inference.aggressive=false"],
}


@pytest.mark.parametrize("overrides", OFF.values(), ids=OFF.keys())
def test_switched_off_is_the_plain_model(programs, overrides):
    plain, found = programs.train("model=gmvae"), programs.train(*overrides)
    assert measures(found.result) == measures(plain.result)
    assert equal(weights(found), weights(plain))


@pytest.mark.parametrize("model", ["beta_vae", "sa_vae", "lagging_vae"])
def test_switched_on_is_not(programs, model):
    options = ["inference.most=4", "inference.window=2"] if model == "lagging_vae" else []
    plain, found = programs.train("model=gmvae"), programs.train(f"model={model}", *options)
    assert found.result["model"] == model
    assert found.result["base_model"] == "gmvae"
    assert not equal(weights(found), weights(plain))


@pytest.mark.parametrize("inference", ["semi_amortized", "aggressive"])
@pytest.mark.parametrize("model", ["vae", "lidvae", "lidgmvae", "lidmvae"])
def test_strategies_combine_with_every_model(programs, inference, model):
    options = ["inference.most=2", "inference.window=1"] if inference == "aggressive" else ["inference.steps=1"]
    result = programs.train(f"model={model}", f"inference={inference}", *options, "trainer.max_epochs=1").result
    assert result["inference"] == inference
    assert result["ll"]["mean"] >= result["elbo"]
