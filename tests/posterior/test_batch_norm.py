"""BN-VAE: the floor of the mean KL, statistics of the training set in evaluation, and no buffer that training moves."""

import pytest
import torch
from builders import normal, randomise
from hypothesis import given
from hypothesis import strategies as st
from torch.func import functional_call, stack_module_state, vmap

from lid_vae.distribution import StandardNormal, closed_form_kl
from lid_vae.errors import UserError
from lid_vae.posterior import BatchNormPosterior, MLPEncoder, Posterior, gaussian_family, realnvp_family
from lid_vae.posterior.batch_norm import EPSILON

M, D, N = 3, 6, 40


def encoder(shape):
    return MLPEncoder(shape, 8)


def make(gamma: float = 0.5, key: object = 0, scale: float = 0.7) -> BatchNormPosterior:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        inner = gaussian_family(encoder)((D,), M, None, "real")
    return randomise(BatchNormPosterior(inner, gamma), key, scale)


def mean_kl(posterior: Posterior, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The mean KL from N(0, I), and the part of it that the scales make."""
    q = posterior.distribution(posterior.encode(x))
    square = q.scale.square()
    scales = 0.5 * (square - 1 - square.log()).sum(-1).mean()
    return closed_form_kl(q, StandardNormal(torch.zeros(M).double())).mean(), scales


def floor(posterior: BatchNormPosterior, variance: torch.Tensor) -> torch.Tensor:
    return 0.5 * (posterior.gamma**2 * variance / (variance + EPSILON) + posterior.shift.square()).sum()


@given(gamma=st.floats(0.05, 3.0), key=st.integers(0, 10**6), scale=st.floats(0.1, 1.5))
def test_the_mean_kl_has_a_floor(gamma: float, key: int, scale: float) -> None:
    """Zhu et al. (2020): (d gamma^2 + |shift|^2) / 2, and the scales add what they add, never less than nothing."""
    posterior, x = make(gamma, key, scale), normal(N, D, key=key)
    variance = posterior.posterior.encode(x)["mean"][0].var(0, unbiased=False)
    with torch.no_grad():
        kl, scales = mean_kl(posterior, x)
        torch.testing.assert_close(kl - scales, floor(posterior, variance))
    assert float(scales) >= 0
    assert float(kl) >= float(floor(posterior, variance).detach()) - 1e-12


def test_evaluation_uses_the_whole_training_set() -> None:
    posterior, x = make(), normal(N, D)
    posterior.calibrate(x.split(7))
    inner = posterior.posterior.encode(x)["mean"][0]
    torch.testing.assert_close(posterior.centre, inner.mean(0))
    torch.testing.assert_close(posterior.variance, inner.var(0, unbiased=False))
    training = posterior.encode(x)["mean"]
    posterior.eval()
    torch.testing.assert_close(posterior.encode(x)["mean"], training)
    with torch.no_grad():
        kl, scales = mean_kl(posterior, x)
        torch.testing.assert_close(kl - scales, floor(posterior, posterior.variance))
    torch.testing.assert_close(posterior.encode(x[:1])["mean"], training[:, :1])


def test_training_moves_no_buffer_and_learns_the_shift_alone() -> None:
    posterior, x = make(), normal(N, D)
    before = {name: value.clone() for name, value in posterior.named_buffers()}
    posterior.encode(x)["mean"].sum().backward()
    assert all(torch.equal(value, before[name]) for name, value in posterior.named_buffers())
    torch.testing.assert_close(posterior.shift.grad, torch.full((M,), float(N)).double())
    names = {name.partition(".")[0] for name, _ in posterior.named_parameters()}
    assert names == {"posterior", "shift"}, "gamma is given"


class Means(torch.nn.Module):
    """The means as a forward pass, which is what functional_call calls."""

    def __init__(self, posterior: Posterior) -> None:
        super().__init__()
        self.posterior = posterior

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.posterior.encode(x)["mean"]


def test_stacked_over_seeds() -> None:
    modules = [Means(make(key=key)) for key in (1, 2, 3)]
    x = torch.stack([normal(N, D, key=key) for key in (1, 2, 3)])
    stacked = vmap(lambda state, x: functional_call(modules[0], state, (x,)))(stack_module_state(modules), x)
    torch.testing.assert_close(stacked, torch.stack([module(x[k]) for k, module in enumerate(modules)]))


@pytest.mark.parametrize(
    ("inner", "message"),
    [
        (realnvp_family(encoder, 5)((D,), M, None, "real"), "RealNVP follows the Gaussian.*gaussian_family"),
        (gaussian_family(encoder)((D,), M, None, "positive"), "Exponential follows the Gaussian"),
        (gaussian_family(encoder, "enumerate")((D,), M, 4, "real"), "mixture='conditional'"),
        (gaussian_family(encoder)((D,), M, None, "binary"), "BernoulliPosterior has none"),
    ],
    ids=["realnvp", "positive", "enumerate", "binary"],
)
def test_other_posteriors_are_refused(inner: Posterior, message: str) -> None:
    with pytest.raises(UserError, match=message):
        BatchNormPosterior(inner)


@pytest.mark.parametrize("gamma", [0.0, -1.0, float("nan")])
def test_no_scale_is_refused(gamma: float) -> None:
    with pytest.raises(UserError, match=r"gamma > 0.*Use gamma=0\.5"):
        make(gamma)


def test_a_batch_of_one_is_refused_in_training() -> None:
    with pytest.raises(UserError, match=r"batch_size=64"):
        make().encode(normal(1, D))
