"""Sequences go through every strategy, objective and command of the program, or are refused in a paragraph."""

from contextlib import nullcontext
from itertools import product

import pytest
import torch
from builders import normal, randomise
from hydra.errors import InstantiationException
from making import recipe, take_two_steps
from omegaconf import DictConfig, OmegaConf
from runs import TINY, Programs, measures
from test_combinations import INFERENCES, OBJECTIVES, configure, covering, user_error

from lid_vae.command_line.options import in_options
from lid_vae.errors import UserError
from lid_vae.inference import SemiAmortized
from lid_vae.likelihood import autoregressive_likelihood
from lid_vae.map import MLP
from lid_vae.objective import ELBO
from lid_vae.posterior import AmortizedPosterior, LSTMEncoder
from lid_vae.prior import StandardNormalPrior
from lid_vae.run.build import build_data, build_module
from lid_vae.run.record import evaluate_split
from lid_vae.symbols import PADDING
from lid_vae.system.checkpoint import load_checkpoint
from lid_vae.train.ensemble import Ensemble
from lid_vae.vae import Autoencoder

SMALL = (
    "data=synthetic_text",
    "data.sentences=60",
    "data.valid_size=20",
    "data.test_size=20",
    "data.words=40",
    "data.length=5",
    "data.batch_size=16",
    "width=8",
)
RUN = (*SMALL, *(option for option in TINY if not option.startswith("data.")), "trainer.max_epochs=2")
MODELS = [
    "model=svae",
    "model=svae likelihood.wiring=input",
    "model=svae map=skip_mlp",
    "model=svae likelihood.wiring=both likelihood.layers=2",
    "model=lidsvae",
    "model=lidsvae likelihood.wiring=both map.lift=pad",
    "model=lidsvae map=gradient_network",
    "model=lidsvae map=polar",
    "model=lidsvae map=anchored map/network=linear likelihood.hidden=60",
    "model=lidsvae map=anchored map/network=skip_mlp map/bijection=polar likelihood.wiring=both",
    "model=svae likelihood.word_dropout=0.3 likelihood.dropout=0.2 encoder.dropout=0.2",
]
FAMILIES = ["family=lstm", "family=lstm_realnvp encoder.pooling=mean", "family=lstm encoder.layers=2"]
POSTERIORS = [None, "normalization=batch_norm"]


def combinations():
    for row in product(MODELS, FAMILIES, OBJECTIVES, INFERENCES, POSTERIORS):
        _, family, objective, _, posterior = row
        flow = "realnvp" in family
        if (flow and posterior) or (flow and "per=dimension" in objective):
            continue  # refused, as for images
        yield row


@pytest.mark.parametrize("row", list(covering(combinations(), 2)), ids=lambda row: " ".join(filter(None, row)))
def test_strategies_objectives_and_families_take_sequences(row) -> None:
    cfg = configure(*SMALL, *" ".join(filter(None, row)).split())
    data = build_data(cfg.data)
    module = build_module(*recipe(cfg), data, data.shape, data.label_count)
    found = take_two_steps(module, data)
    assert found["ll"]["mean"] >= found["elbo"] - 1e-9
    z = found["latent"]["z"]
    assert 0 <= z["au"] <= 1
    # The bounds of the information hold in expectation: of twenty sentences whose q hardly differ, up to noise.
    assert z["mi"] <= z["mi_upper"] + 4 * z["mi_se"] + 1e-9
    assert found["perplexity"] == pytest.approx(
        float(torch.tensor(-found["ll"]["mean"] * found["examples"] / found["symbols"]).exp()), rel=1e-5
    )


@pytest.mark.parametrize("preset", ["sa_vae", "lagging_vae", "beta_vae", "pretrained_vae"])
def test_presets_stand_on_svae(preset: str) -> None:
    cfg = configure(f"model={preset}", *SMALL)
    data = build_data(cfg.data)
    module = build_module(*recipe(cfg), data, data.shape, data.label_count)
    assert type(module).__name__ == "SVAE"
    assert module.vae.prior.categories is None


def test_a_language_models_likelihood_is_exact() -> None:
    cfg = configure("model=language_model", *SMALL)
    data = build_data(cfg.data)
    module = build_module(*recipe(cfg), data, data.shape, data.label_count)
    randomise(module.vae, "language model", 0.5)
    found = evaluate_split(module, data, "test", samples=4)
    total = sum(
        float(module.vae.likelihood(torch.zeros(len(b.x), 2).double()).log_prob(b.x).sum().detach())
        for b in data.batches("test")
    )
    assert found["ll"]["mean"] == pytest.approx(total / len(data.test), rel=1e-9)
    assert found["elbo"] == pytest.approx(found["ll"]["mean"], rel=1e-9)
    assert found["latent"]["z"]["kl"] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("wiring", ["output", "input", "both"])
def test_refinement_differentiates_twice_through_an_lstm(wiring: str) -> None:
    symbols = 7
    likelihood = autoregressive_likelihood(
        lambda in_features, out_features: MLP(in_features, out_features, 6, 1),
        2,
        symbols,
        embedding=3,
        hidden=4,
        wiring=wiring,
    )
    posterior = AmortizedPosterior(LSTMEncoder((symbols,), 3, 4), 2)
    vae = randomise(Autoencoder(StandardNormalPrior(2), likelihood, posterior), "refinement", 0.5)
    x = torch.tensor([[3, 2, 7, PADDING], [1, 5, 4, 7]])
    noise, strategy, objective = normal(2, 1, 2, 2), SemiAmortized(steps=3, learning_rate=0.3), ELBO(samples=2)

    def bound() -> torch.Tensor:
        return objective(vae, x, strategy.posterior(vae, objective, x, noise), noise).sum()

    names = [
        "likelihood.history.lstm.weight_hh_l0",
        "posterior.encoder.lstm.weight_ih_l0",
        "likelihood.map.output.bias",
    ]
    weights = [vae.get_parameter(name) for name in names]
    gradients = torch.autograd.grad(bound(), weights)
    for weight, gradient in zip(weights, gradients, strict=True):
        direction, step = normal(*weight.shape, key="direction"), 1e-5
        ends = []
        with torch.no_grad():
            for sign in (1, -1):
                weight.add_(sign * step * direction)
                ends.append(bound().detach())
                weight.sub_(sign * step * direction)
        torch.testing.assert_close((gradient * direction).sum(), (ends[0] - ends[1]) / (2 * step), rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize(("wiring", "once"), [("output", True), ("input", False), ("both", False)])
def test_refinement_computes_a_history_that_no_latent_enters_once(wiring, once, monkeypatch) -> None:
    likelihood = autoregressive_likelihood(
        lambda in_features, out_features: MLP(in_features, out_features, 6, 1),
        2,
        7,
        embedding=3,
        hidden=4,
        wiring=wiring,
    )
    posterior = AmortizedPosterior(LSTMEncoder((7,), 3, 4), 2)
    vae = randomise(Autoencoder(StandardNormalPrior(2), likelihood, posterior), "refinement", 0.5)
    x = torch.tensor([[3, 2, 7, PADDING], [1, 5, 4, 7]])
    noise, strategy = normal(2, 1, 2, 2), SemiAmortized(steps=3, learning_rate=0.3)
    calls = []
    likelihood.history.register_forward_hook(lambda *_: calls.append(1))

    def gradients() -> tuple[torch.Tensor, ...]:
        refined = strategy.refine(vae, ELBO(samples=2), x, vae.posterior.encode(x), noise)
        return torch.autograd.grad(sum(value.square().sum() for value in refined.values()), list(vae.parameters()))

    kept = gradients()
    assert len(calls) == (1 if once else 3)
    assert likelihood._kept is None
    monkeypatch.setattr(likelihood, "keeping", lambda x: nullcontext())
    for found, expected in zip(kept, gradients(), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-15)


def test_a_run_resumes_bit_for_bit_dropout_and_all(tmp_path, monkeypatch) -> None:
    options = (*RUN, "model=lidsvae", "likelihood.word_dropout=0.3", "likelihood.dropout=0.2", "encoder.dropout=0.2")
    whole = Programs(tmp_path / "whole").train(*options, tiny=())
    halved = Programs(tmp_path / "halved")
    training_step = Ensemble.training_step

    def broken(self, batch, batch_index):
        if self.step == 4:
            raise RuntimeError("a power cut")
        return training_step(self, batch, batch_index)

    with monkeypatch.context() as patch:
        patch.setattr(Ensemble, "training_step", broken)
        assert halved.train(*options, tiny=()).status != 0
    torch.rand(7)  # whatever else the process draws
    again = halved.train(*options, tiny=())
    assert measures(again.result) == measures(whole.result)


def test_train_evaluate_and_seeds_one_after_the_other(tmp_path) -> None:
    programs = Programs(tmp_path)
    run = programs.train(*RUN, "model=lidsvae", tiny=())
    assert run.result["base_model"] == "lidsvae"
    assert (run.folder / "latents.png").exists()
    checkpoint = load_checkpoint(run.folder / "checkpoints" / "best.ckpt")
    assert checkpoint["lid_vae"]["vocabulary"][0] == "<unk>"
    assert checkpoint["lid_vae"]["vocabulary"][-1] == "<eos>"
    again = programs.evaluate(run.folder / "checkpoints" / "best.ckpt")
    assert again.status == 0, again.err
    assert again.result["ll"] == run.result["ll"]
    sweep = programs.train("-m", *RUN, "model=svae", "seed=0-1", tiny=())
    assert sweep.status == 0, sweep.err
    assert (
        "Seeds 0-1 train one after the other: LSTM (likelihood.history.lstm) has no rule for vectorising" in sweep.out
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("model=lidgmvae", "prior=gaussian_mixture"), "LIDGMVAE models vectors, and these data are sequences of"),
        (("model=lidvae",), "Use LIDSVAE, whose likelihood has a history; inverse_lipschitz=1"),
        (("model=lidvae",), "(On the command line: model=lidsvae.)"),
        (("model=vae",), "(On the command line: model=svae, normalization=batch_norm.)"),
        (("model=lidsvae", "likelihood.wiring=input"), "Use likelihood.wiring=output (the paper's) or both"),
        (("model=lidsvae", "map=mlp"), "LIDSVAE needs an injective map, got MLP. Use SVAE"),
        (
            ("model=svae", "encoder=mlp"),
            "which MLPEncoder does not read. Use LSTMEncoder. (On the command line: encoder=lstm.)",
        ),
        (("model=lidsvae", "likelihood.hidden=60"), "Use likelihood.hidden=37 or less, or a larger vocabulary"),
    ],
)
def test_refused_on_sequences(options: tuple, message: str) -> None:
    cfg = configure(*SMALL, *options)
    data = build_data(cfg.data)
    with pytest.raises((UserError, InstantiationException)) as caught:  # Hydra wraps what a part says when it is built
        build_module(*recipe(cfg), data, data.shape, data.label_count)
    assert message in told(caught.value, cfg)


def told(error: BaseException, cfg: DictConfig) -> str:
    """What the user reads of it on the command line."""
    return in_options(user_error(error), OmegaConf.to_container(cfg, resolve=True))


@pytest.mark.parametrize(("model", "use"), [("lidsvae", "lidvae"), ("svae", "vae")])
def test_refused_without_sequences(model: str, use: str) -> None:
    cfg = configure(f"model={model}", "data=digits")
    data = build_data(cfg.data)
    with pytest.raises((UserError, InstantiationException)) as caught:
        build_module(*recipe(cfg), data, data.shape, data.label_count)
    assert f"Use {use.upper()} for data without an order" in told(caught.value, cfg)
    assert f"(On the command line: model={use}, data=synthetic_text, " in told(caught.value, cfg)


def test_refused_an_encoder_of_sequences_for_vectors() -> None:
    cfg = configure("model=vae", "data=pinwheel", "encoder=lstm")
    data = build_data(cfg.data)
    with pytest.raises((UserError, InstantiationException)) as caught:
        build_module(*recipe(cfg), data, data.shape, data.label_count)
    message = told(caught.value, cfg)
    assert "VAE models vectors, which LSTMEncoder does not read. Use MLPEncoder, or ConvolutionalEncoder" in message
    assert "(On the command line: encoder=mlp, encoder=convolutional.)" in message


def test_refused_the_vocabulary_of_another_corpus(tmp_path) -> None:
    data = build_data(configure(*SMALL).data)
    with pytest.raises(UserError, match="is from another corpus than synthetic_text"):
        data.check_vocabulary(["<unk>", "other", "<eos>"])
