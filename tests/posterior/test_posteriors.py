"""Encoders, posteriors and the families that build them: shapes, noise, gradients, and what is refused."""

from collections.abc import Sequence
from functools import partial
from math import prod

import pytest
import torch
from builders import normal, randomise
from torch import nn

from lid_vae.distribution import BernoulliApproximation, Exponential, FlowGaussian
from lid_vae.errors import UserError
from lid_vae.noise import generator
from lid_vae.posterior import (
    AmortizedPosterior,
    BernoulliPosterior,
    ConvolutionalEncoder,
    Encoder,
    MLPEncoder,
    RealNVP,
    gaussian_family,
    realnvp_family,
)

M, K, D, B = 3, 4, 6, 5


def encoder(shape: Sequence[int]) -> Encoder:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return MLPEncoder(shape, 8)


FAMILIES = {"gaussian": gaussian_family(encoder), "realnvp": realnvp_family(encoder, width=5)}
ENUMERATED = {
    "gaussian": gaussian_family(encoder, "enumerate"),
    "realnvp": realnvp_family(encoder, width=5, mixture="enumerate"),
}
POSTERIORS = [
    pytest.param(family((D,), M, K, support), id=f"{name} {kind} {support}")
    for kind, families in (("conditional", FAMILIES), ("enumerate", ENUMERATED))
    for name, family in families.items()
    for support in ("real", "positive", "binary")
    if not (name == "realnvp" and support == "binary")
]
posteriors = pytest.mark.parametrize("posterior", POSTERIORS)


@posteriors
def test_contract(posterior) -> None:
    posterior.double()
    categories = posterior.categories or 1
    noise = posterior.draw_noise(7, B, generator("noise"))
    assert noise.shape == (7, categories, B, M)
    assert noise.dtype == torch.float64
    torch.testing.assert_close(posterior.draw_noise(7, B, generator("noise")), noise, rtol=0, atol=0)
    q = posterior.distribution(posterior.encode(normal(B, D)))
    sample = q.sample(noise)
    assert sample.w.shape == sample.base.shape == noise.shape
    assert sample.log_prob.shape == noise.shape[:-1]
    assert (q.log_category is None) == (posterior.categories is None)
    if q.log_category is not None:
        torch.testing.assert_close(q.log_category.exp().sum(0), torch.ones(B).double())
    w = sample.w.detach()
    assert {"real": True, "positive": bool((w > 0).all()), "binary": bool(((w == 0) | (w == 1)).all())}[
        posterior.support
    ]
    assert q.reparametrised == (posterior.support != "binary")


@posteriors
def test_every_example_is_encoded_for_itself(posterior) -> None:
    posterior.double()
    x = normal(B, D)
    together, alone = posterior.encode(x), posterior.encode(x[2:3])
    for name, parameter in together.items():
        torch.testing.assert_close(parameter[:, 2:3], alone[name])
    assert set(together) == set(alone)


@posteriors
def test_every_parameter_learns(posterior) -> None:
    randomise(posterior, "learns", 0.7)
    posterior.zero_grad()
    q = posterior.distribution(posterior.encode(normal(40, D)))
    sample = q.sample(posterior.draw_noise(2, 40, generator("noise")))
    value = sample.w.cos().sum() + sample.log_prob.sum()
    if q.log_category is not None:
        value = value + q.log_category[0].sum()
    value.backward()
    for name, parameter in posterior.named_parameters():
        assert parameter.grad is not None, name
        assert bool((parameter.grad != 0).any()), name


@posteriors
def test_state_dict_restores_q(posterior) -> None:
    randomise(posterior, "source", 0.5)
    state = {name: tensor.clone() for name, tensor in posterior.state_dict().items()}
    x = normal(B, D)
    before = posterior.encode(x)
    randomise(posterior, "target", 0.5)
    posterior.load_state_dict(state)
    for name, parameter in posterior.encode(x).items():
        torch.testing.assert_close(parameter, before[name], rtol=0, atol=0)


def test_scales_start_near_one_and_stay_positive() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        posterior = gaussian_family(lambda shape: MLPEncoder(shape, 64))((D,), M, None, "real").double()
    q = posterior.distribution(posterior.encode(normal(200, D)))
    assert 0.9 < float(q.scale.mean().detach()) < 1.1
    assert float(q.mean.abs().max().detach()) < 3
    far = posterior.distribution({"mean": torch.zeros(1, 1, M), "raw_scale": torch.full((1, 1, M), -200.0)})
    assert float(far.scale.min()) >= 0.99e-4


def test_bernoulli_noise_is_uniform_and_gaussian_noise_normal() -> None:
    """20000 numbers: mean and variance within 4.5 standard errors, false alarms 1e-5."""
    uniform = BernoulliPosterior(encoder((D,)), M).draw_noise(20000 // M, 1, generator("noise")).flatten()
    assert abs(float(uniform.mean()) - 0.5) < 4.5 * (1 / 12 / len(uniform)) ** 0.5
    assert 0 <= float(uniform.min()) < float(uniform.max()) < 1
    gaussian = AmortizedPosterior(encoder((D,)), M).draw_noise(20000 // M, 1, generator("noise")).flatten()
    assert abs(float(gaussian.mean())) < 4.5 / len(gaussian) ** 0.5
    assert abs(float(gaussian.var()) - 1) < 4.5 * (2 / len(gaussian)) ** 0.5


@pytest.mark.parametrize(
    ("family", "support", "flow"),
    [
        ("gaussian", "real", []),
        ("gaussian", "positive", [Exponential]),
        ("realnvp", "real", [RealNVP]),
        ("realnvp", "positive", [RealNVP, Exponential]),
    ],
)
def test_families_follow_the_support(family: str, support: str, flow: list[type]) -> None:
    posterior = FAMILIES[family]((D,), M, K, support)
    assert [type(bijection) for bijection in posterior.flow] == flow
    assert (posterior.support, posterior.categories) == (support, None)
    assert isinstance(posterior.distribution(posterior.encode(torch.randn(B, D))), FlowGaussian)
    assert ENUMERATED[family]((D,), M, K, support).categories == K
    assert ENUMERATED[family]((D,), M, None, support).categories is None


def test_the_gaussian_family_becomes_bernoulli_for_binary_latents() -> None:
    posterior = FAMILIES["gaussian"]((D,), M, K, "binary")
    assert isinstance(posterior, BernoulliPosterior)
    assert isinstance(posterior.distribution(posterior.encode(torch.randn(B, D))), BernoulliApproximation)


def test_families_pass_their_options_on() -> None:
    posterior = realnvp_family(encoder, width=9, couplings=3, hidden_layers=2)((D,), M, None, "real")
    (flow,) = posterior.flow
    assert len(flow.couplings) == 3
    for coupling in flow.couplings:
        assert [layer.out_features for layer in coupling.network if isinstance(layer, nn.Linear)][:-1] == [9, 9]


@pytest.mark.parametrize(("hidden_layers", "width"), [(1, 8), (3, 5)])
def test_mlp_encoder(hidden_layers: int, width: int) -> None:
    layers = MLPEncoder((4, 3), width, hidden_layers)
    linear = [module for module in layers.modules() if isinstance(module, nn.Linear)]
    assert [layer.out_features for layer in linear] == [width] * hidden_layers
    assert linear[0].in_features == 12
    assert layers(torch.randn(B, 12)).shape == (B, width)


@pytest.mark.parametrize("shape", [(8, 8), (28, 28), (9, 13), (3, 8, 9)])
def test_convolutional_encoder(shape: tuple[int, ...]) -> None:
    layers = randomise(ConvolutionalEncoder(shape, 7, channels=2), "convolution", 0.3)
    x = normal(B, prod(shape))
    features = layers(x)
    assert features.shape == (B, 7)
    torch.testing.assert_close(layers(x[1:2]), features[1:2])
    assert float((layers(x.roll(1, -1)) - features).abs().max().detach()) > 0
    features.sum().backward()
    assert all(bool((parameter.grad != 0).any()) for parameter in layers.parameters())


def test_convolutions_see_rows_and_columns() -> None:
    """A number in the first row, moved to the next column, must move along the first row of the feature map."""
    layers = ConvolutionalEncoder((8, 16), 5, channels=1)
    image = torch.zeros(1, 128)
    image[0, 10] = 1.0  # row 0, column 10
    seen = []
    layers.convolutions[0].register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    layers(image)
    assert seen[0].shape == (1, 1, 8, 16)
    assert float(seen[0][0, 0, 0, 10]) == 1.0


def test_realnvp_for_binary_latents_is_refused() -> None:
    with pytest.raises(UserError, match=r"cannot serve binary latents .*Use gaussian_family"):
        FAMILIES["realnvp"]((D,), M, K, "binary")


@pytest.mark.parametrize("make", [gaussian_family, partial(realnvp_family, width=5)])
def test_an_unknown_mixture_is_refused(make) -> None:
    with pytest.raises(UserError, match=r"mixture=bogus is not known. Use conditional or enumerate"):
        make(encoder, mixture="bogus")((D,), M, K, "real")


def test_meaningless_encoders_are_refused() -> None:
    with pytest.raises(UserError, match="at least one hidden layer, got hidden_layers=0"):
        MLPEncoder((D,), 8, 0)
    for shape in ((64,), (7, 28), (3, 7, 8), (1, 3, 8, 8)):
        with pytest.raises(UserError, match=r"at least 8 x 8 pixels, got \[.*Use MLPEncoder"):
            ConvolutionalEncoder(shape, 8)
