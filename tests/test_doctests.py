"""The examples in docstrings say what the program says: every module of lid_vae that has any, in one process."""

import doctest
import importlib
from pathlib import Path

import pytest
import torch

import lid_vae.data
import lid_vae.metrics

ROOT = Path(__file__).parents[1]
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((ROOT / "lid_vae").rglob("*.py"))
    if ">>> " in path.read_text()
}
# Bases, which are not made by themselves, and what is a part of another's example.
NO_EXAMPLE = {"ArrayDataModule", "DataModule", "TextDataModule", "Batch", "Split", "TrainStream", "Vocabulary"}


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In an empty folder, where an example may write, with the names that its room gives away, and from one seed."""
    module = importlib.import_module(name)
    room = importlib.import_module(".".join(name.split(".")[:2]))
    names = {"torch": torch, **{public: getattr(room, public) for public in getattr(room, "__all__", ())}}
    monkeypatch.chdir(tmp_path)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        outcome = doctest.testmod(module, extraglobs=names, optionflags=doctest.FAIL_FAST)
    assert outcome.failed == 0
    assert outcome.attempted == MODULES[name].read_text().count(">>> "), "an example is not found where it stands"


@pytest.mark.parametrize("room", [lid_vae.metrics, lid_vae.data], ids=["metrics", "data"])
def test_whoever_starts_with_a_class_finds_an_example(room) -> None:
    public = {name: getattr(room, name) for name in room.__all__}
    classes = {name for name, kind in public.items() if isinstance(kind, type)} - NO_EXAMPLE
    assert {name for name in classes if ">>> " not in (public[name].__doc__ or "")} == set()


@pytest.mark.parametrize(
    "name",
    [
        *("prior.StandardNormalPrior", "prior.GaussianMixture", "prior.ExponentialFamilyMixture", "prior.VampPrior"),
        *("map.BrenierMap", "map.GradientNetwork", "map.ComposedMap", "map.AnchoredMap", "map.MLP", "map.LinearMap"),
        *("map.composed_brenier", "map.composed_gradient_network"),
        *("likelihood.GaussianLikelihood", "likelihood.OptimalGaussianLikelihood", "likelihood.BernoulliLikelihood"),
        *("likelihood.bernoulli_likelihood", "likelihood.autoregressive_likelihood"),
        *("posterior.gaussian_family", "posterior.realnvp_family", "posterior.AmortizedPosterior"),
        *("objective.ELBO", "objective.FreeBits", "objective.ImportanceWeighted", "objective.DReG"),
        *("vae.Autoencoder", "measure.Evaluator"),
    ],
)
def test_parts_of_a_model_have_an_example(name: str) -> None:
    room, _, part = name.partition(".")
    assert ">>> " in getattr(importlib.import_module(f"lid_vae.{room}"), part).__doc__


@pytest.mark.parametrize("name", ["ppca.PPCA", "gmm.GaussianMixture", "mean_field.MeanField"])
def test_classical_models_have_an_example(name: str) -> None:
    module, _, kind = name.partition(".")
    assert ">>> " in getattr(importlib.import_module(f"lid_vae.classical.{module}"), kind).__doc__
