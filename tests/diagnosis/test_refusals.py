"""What does not fit is refused in words that say what to write instead."""

import pytest
import torch
from builders import data as data_of
from builders import make_vae, normal
from foreign_models import Diffusers, Pythae, Tutorial
from torch import nn
from torch.distributions import Categorical, Normal

from lid_vae.diagnosis import CollapseMonitor, diagnose
from lid_vae.errors import UserError

X = normal(40, 3)
PRIOR = Normal(0.0, 1.0)


def encode(x: torch.Tensor) -> Normal:
    return Normal(0.5 * x, torch.full_like(x, 0.8))


def f(x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
    return Normal(z, 1.0).log_prob(x).sum(-1)


GOOD = {"encode": encode, "log_likelihood": f, "prior": PRIOR, "data": X, "samples": 4}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"prior": None}, r"needs the prior p\(z\).*prior=Normal\(0, 1\)"),
        ({"encode": None}, "needs a model"),
        ({"data": None}, "needs data"),
        ({"samples": 1}, "samples=1"),
        ({"likelihood": "bernoulli"}, "go with a model"),
        ({"model": Tutorial()}, "a model or its parts, not both"),
        ({"prior": 3.0}, "must be a distribution.*it is a float"),
        ({"prior": lambda: 3.0}, "must be a distribution"),
        ({"prior": Normal(torch.zeros(5), 1.0)}, r"shape \[3\] and the prior, Normal, of shape \[5\]"),
        ({"prior": Categorical(torch.ones(3))}, "must agree"),
        ({"encode": lambda x: x}, "must return a distribution"),
        ({"encode": lambda x: Normal(x.sum(0), 1.0)}, "first axis must be the batch"),
        ({"encode": lambda x: Normal(x, x, validate_args=False)}, r"scale of -.*\(0.5 \* log_variance\).exp\(\)"),
        ({"encode": lambda x: Normal(x, x)}, r"logarithm of the variance.*\(0.5 \* log_variance\).exp\(\)"),
        ({"encode": lambda x: Normal(x, 0 * x, validate_args=False)}, "scale of 0"),
        ({"encode": lambda x: Normal(x * torch.nan, 1.0, validate_args=False)}, "loc that is not a finite number"),
        ({"encode": lambda x: Normal(nn.Linear(7, 2).double()(x), 1.0)}, r"encode refuses a batch of shape \[40, 3\]"),
        ({"encode": lambda x: Categorical(torch.ones(40, 2, 3))}, r"\[2\] categorical variables"),
        ({"encode": lambda x: Categorical(torch.ones(40, 3))}, "Take a categorical prior of 3 categories"),
        ({"log_likelihood": lambda x, z: f(x, z)[0]}, "keep the axis of the draws"),
        ({"log_likelihood": lambda x, z: Normal(z, 1.0).log_prob(x)}, "sum over the dimensions of x"),
        ({"log_likelihood": lambda x, z: f(x, z).T}, "the draws come first"),
        ({"log_likelihood": lambda x, z: f(x, z).T, "data": X[:2]}, "the draws come first|log_likelihood must return"),
        ({"log_likelihood": lambda x, z: float(f(x, z).sum())}, "returned a float"),
        ({"log_likelihood": lambda x, z: f(x, z) * torch.nan}, "NaN or infinity"),
        ({"log_likelihood": lambda x, z: z @ torch.ones(9, 9).double()}, "log_likelihood refuses x of shape"),
    ],
)
def test_parts_are_refused(change: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        diagnose(**{**GOOD, **change})


class Two(nn.Module):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return x, x


class Undecoded(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = Tutorial(3)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return self.inner(x)


class Short(Undecoded):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return self.inner(x)[0][:, :1], *self.inner(x)[1:]


BINARY = (X > 0).double()


class Vamp(Pythae):
    model_name = "VAMP"


@pytest.mark.parametrize(
    ("model", "x", "options", "words"),
    [
        (Two(), X, {"likelihood": "gaussian"}, "Two is not recognised"),
        (Short(), X, {"likelihood": "gaussian"}, "is not recognised.*returns shapes"),
        (Undecoded(), X, {"likelihood": "gaussian"}, "neither decode nor decoder"),
        (Tutorial(3), X, {}, "Name it: .*bernoulli, bernoulli_logits, gaussian"),
        (Pythae(Tutorial(3)), X, {}, 'reconstruction_loss="bce", which is likelihood="bernoulli"'),
        (Pythae(Tutorial(3), "mse"), X, {}, 'likelihood="gaussian" with scale=1'),
        (Vamp(Tutorial(3)), X, {"likelihood": "gaussian"}, "pythae's VAMP"),
        (Diffusers(), normal(9, 1, 4, 4), {}, "Name it"),
        (Tutorial(3), X, {"likelihood": "poisson"}, "'poisson' is none of"),
        (Tutorial(3), X, {"likelihood": "gaussian", "scale": 0.0}, "above zero; got 0"),
        (Tutorial(3), X, {"likelihood": "bernoulli"}, "out of a Bernoulli's range"),
        (Tutorial(3), 255 * BINARY, {"likelihood": "bernoulli"}, "Divide bytes by 255"),
        (Tutorial(3, end=nn.Identity()), BINARY, {"likelihood": "bernoulli"}, "bernoulli_logits"),
        (Tutorial(5), X, {"likelihood": "gaussian"}, r"Tutorial refuses a batch of shape \[40, 3\]"),
        (encode, X, {}, "needs a torch.nn.Module"),
        (make_vae(), normal(9, 4), {"likelihood": "gaussian"}, "has its own likelihood"),
        (make_vae(likelihood="bernoulli"), 3 + normal(9, 4), {}, "Bernoulli likelihood takes values from 0 to 1"),
        (make_vae(), X, {}, r"refuses a batch of shape \[40, 3\]"),
    ],
)
def test_models_are_refused(model: nn.Module, x: torch.Tensor, options: dict, words: str) -> None:
    with pytest.raises(UserError, match=words):
        diagnose(model, x, samples=4, **options)


def test_own_models_in_training_precision_take_images_and_arrays() -> None:
    """Not refused: other shapes and precisions of what the model takes."""
    vae = make_vae().float()
    x = data_of(vae, 20)
    first = diagnose(vae, x.float(), samples=4)
    assert diagnose(vae, x.reshape(-1, 1, 2, 2), samples=4).rows() == first.rows()
    assert diagnose(vae, x.numpy(), samples=4).rows() == first.rows()


def test_monitors_are_refused() -> None:
    with pytest.raises(UserError, match="every=0"):
        CollapseMonitor(every=0)
    with pytest.raises(UserError, match="needs the prior"):
        CollapseMonitor(encode=encode)
