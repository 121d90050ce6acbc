"""Golden curves: the bounds of the first twenty training steps, in float64, as this repository has recorded them.

A change of the code that is not to change the numbers leaves these tests green; one that is to change them writes the
curves anew, in a commit that says why:

    python tests/test_golden.py

Every option with a bearing on the numbers is given here, so that new defaults change nothing.
"""

import json
import sys
from functools import cache
from pathlib import Path
from unittest.mock import patch

import pytest
import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from making import recipe

from lid_vae.data.array.array_data_module import ArrayDataModule
from lid_vae.run.build import build_data, build_module
from lid_vae.train.step.take_step import take_step

CONF = str(Path(__file__).parents[1] / "conf")
GOLDEN = Path(__file__).parent / "golden"
STEPS = 20
# Another processor's instructions change the last bits of a sum (1e-16), which twenty steps multiply by 1e3 at most.
TOLERANCE = 1e-9

COMMON = """
    choices=null seed=3 width=16 depth=2 hidden_layers=2 component_size=1.5
    encoder=mlp encoder.hidden_layers=2
    family=realnvp family.couplings=2 family.hidden_layers=1 family.mixture=conditional
    objective=elbo objective.beta=1 objective.samples=1 inference=amortized
    schedule=warmup_cosine schedule.warmup=0.2 schedule.end=0.01
    optimizer._target_=torch.optim.Adam optimizer.lr=0.005 optimizer.fused=true gradient_clip=20
    data.seed=0 data.train_size=400 data.valid_size=50 data.test_size=50 data.batch_size=64
"""
PINWHEEL = """
    data=pinwheel data.classes=5 data.per_class=100 data.radial=0.3 data.tangential=0.05 data.rate=0.25 data.scale=5
    categories=5 latent_dimension=2 likelihood=gaussian likelihood.scale=0.3 likelihood.scale_floor=0.01
"""
DIGITS = "data=digits data.binarise=dynamic categories=10 latent_dimension=8 likelihood=bernoulli"
BRENIER = """
    map=brenier map.lift=pca map.skips=none map.activation=softplus map.sharpness=10 map.curvature=0.5
    map.strong_convexity=1 map.strong_convexity_floor=0.01
"""
GRADIENT_NETWORK = """
    map=gradient_network map.lift=pca map.sharpness=4 map.curvature=0.5
    map.strong_convexity=1 map.strong_convexity_floor=0.01
"""
MLP = "map=mlp"
SENTENCES = """
    data=synthetic_text data.source=generated data.sentences=400 data.words=60 data.length=6 data.minimum_count=1
    data.vocabulary_size=null data.max_length=null latent_dimension=2
    likelihood=autoregressive likelihood.embedding=12 likelihood.hidden=10 likelihood.layers=1 likelihood.wiring=output
    likelihood.dropout=0 likelihood.word_dropout=0 encoder=lstm encoder.layers=1 encoder.pooling=last encoder.dropout=0
"""
LSTM = "family=lstm family.mixture=conditional"
LSTM_REALNVP = "family=lstm_realnvp family.couplings=2 family.hidden_layers=1 family.mixture=conditional"
SPREAD = BRENIER.replace("map.lift=pca", "map.lift=spread")
CURVES = {
    "vae-pinwheel": f"model=vae {PINWHEEL} {MLP}",
    "gmvae-pinwheel": f"model=gmvae prior.code=regular {PINWHEEL} {MLP}",
    "lidvae-pinwheel": f"model=lidvae {PINWHEEL} {BRENIER}",
    "lidgmvae-pinwheel": f"model=lidgmvae prior.code=regular {PINWHEEL} {BRENIER}",
    "lidmvae-pinwheel": f"model=lidmvae prior.component=gamma prior.code=regular {PINWHEEL} {BRENIER}",
    "lidgmvae-digits": f"model=lidgmvae prior.code=learned {DIGITS} {BRENIER}",
    "lidgmvae-digits-gradient_network": f"model=lidgmvae prior.code=learned {DIGITS} {GRADIENT_NETWORK}",
    "svae-synthetic_text": f"model=svae {SENTENCES} {LSTM} {MLP}",
    "lidsvae-synthetic_text": f"model=lidsvae {SENTENCES} {LSTM} {SPREAD}",
    "lidsvae-synthetic_text-lstm_realnvp": f"model=lidsvae {SENTENCES} {LSTM_REALNVP} {SPREAD}",
    "lidgmvae-pinwheel-enumerate": f"model=lidgmvae prior.code=regular {PINWHEEL} {BRENIER} family.mixture=enumerate",
}
# Baselines, switched off: each is the plain model bit for bit, here and in every recorded bound.
OFF = {
    "beta 1": "objective=elbo objective.beta=1",
    "free bits 0": "objective=free_bits objective.free_bits=0 objective.per=total",
    "annealed from 1": "objective=linear_annealing objective.beta.start=1 objective.beta.end=1",
    "no pretraining": """
        objective=autoencoder_pretraining objective.free_bits=0 objective.beta.share=0 objective.beta.then.start=1
    """,
    "no refinement": "inference=semi_amortized inference.steps=0",
    "not aggressive": "inference=aggressive inference.aggressive=false",
}
PLAIN = ("vae-pinwheel", "gmvae-pinwheel")


def joined(common: str, overrides: str) -> list[str]:
    """Both, less the choices of ``common`` that ``overrides`` makes otherwise, with their options."""
    names = [{text.partition("=")[0] for text in options.split()} for options in (common, overrides)]
    again = names[0] & names[1]
    kept = [text for text in common.split() if not {text.partition("=")[0], text.partition(".")[0]} & again]
    return [*kept, *overrides.split()]


@cache
def plain(name: str) -> list[float]:
    return curve(CURVES[name])


def curve(overrides: str) -> list[float]:
    """The bound of each step, in nats per example, by the program's own training loop."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with initialize_config_dir(CONF, version_base="1.3"):
            cfg = compose("train", joined(COMMON, overrides))
        data = build_data(cfg.data)
        if isinstance(data, ArrayDataModule):
            exact = data.training_array().double()  # sums over the data, too, are to be exact enough
            data.training_array = lambda: exact
        module = build_module(*recipe(cfg), data, data.shape, data.label_count)
        bounds = []

        def record(*arguments):
            value = take_step(*arguments)
            bounds.append(float(value.mean()))
            return value

        trainer = pl.Trainer(
            accelerator="cpu",
            devices=1,
            precision="64-true",
            max_epochs=STEPS,
            limit_train_batches=1,
            limit_val_batches=0,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        with patch("lid_vae.train.training.take_step", record):
            trainer.fit(module, datamodule=data)
        assert all(parameter.dtype == torch.float64 for parameter in module.parameters())
        return bounds
    finally:
        torch.set_default_dtype(before)


@pytest.mark.parametrize("name", CURVES)
def test_the_curve_is_as_recorded(name):
    bounds = plain(name)
    assert len(bounds) == STEPS
    assert bounds == pytest.approx(json.loads((GOLDEN / f"{name}.json").read_text()), rel=TOLERANCE)


@pytest.mark.parametrize("off", OFF)
@pytest.mark.parametrize("name", PLAIN)
def test_a_baseline_switched_off_is_the_plain_curve(name, off):
    assert curve(f"{CURVES[name]} {OFF[off]}") == plain(name)


def test_there_is_a_curve_for_every_file():
    assert {path.stem for path in GOLDEN.glob("*.json")} == set(CURVES)


if __name__ == "__main__":
    torch.set_num_threads(1)
    GOLDEN.mkdir(exist_ok=True)
    for name, overrides in CURVES.items():
        (GOLDEN / f"{name}.json").write_text(json.dumps(curve(overrides), indent=1) + "\n")
        print(f"{GOLDEN / name}.json", file=sys.stderr)
