"""The log-probability of a symbol equals the textbook's composition, and so do its first two derivatives."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lid_vae.likelihood.categorical import minimal_logits
from lid_vae.likelihood.minimal_log_prob import minimal_log_prob


def reference(free, symbol):
    return torch.log_softmax(minimal_logits(free), -1).gather(-1, symbol.unsqueeze(-1)).squeeze(-1)


def example(*shape, scale=1.0, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    free = torch.randn(*shape, generator=generator, dtype=torch.float64).mul(scale).to(dtype)
    return free, torch.randint(0, shape[-1] + 1, shape[:-1], generator=generator)


@given(
    rows=st.integers(0, 4), free=st.integers(1, 6), scale=st.sampled_from([0.1, 1, 30, 300]), seed=st.integers(0, 99)
)
def test_it_is_the_softmax_with_a_constant(rows, free, scale, seed):
    logits, symbol = example(2, rows, free, scale=scale, seed=seed)
    torch.testing.assert_close(minimal_log_prob(logits, symbol), reference(logits, symbol), rtol=1e-12, atol=1e-12)


def test_all_probabilities_sum_to_one():
    free, _ = example(5, 7, scale=3)
    total = sum(minimal_log_prob(free, torch.full((5,), symbol)).exp() for symbol in range(8))
    torch.testing.assert_close(total, torch.ones(5, dtype=torch.float64))


def test_both_derivatives():
    free, symbol = example(2, 3, 4)
    symbol[0, 0], symbol[1, 2] = 4, 0  # the constant, and a free one
    free.requires_grad_()
    assert torch.autograd.gradcheck(lambda free: minimal_log_prob(free, symbol), free)
    assert torch.autograd.gradgradcheck(lambda free: minimal_log_prob(free, symbol), free)


def test_a_gradient_of_torch_func_within_one_of_autograd():
    """As SA-VAE nests them."""
    free, symbol = example(3, 4)
    found = []
    for log_prob in (minimal_log_prob, reference):
        shift = torch.linspace(-1, 1, 4, dtype=torch.float64, requires_grad=True)
        inner = torch.func.grad(lambda value, of=log_prob, shift=shift: of(value * free + shift, symbol).sum())
        outer = inner(torch.tensor(0.7, dtype=torch.float64)).square()
        found.append(torch.autograd.grad(outer, shift)[0])
    torch.testing.assert_close(*found)


@pytest.mark.parametrize("scale", [1, 30, 1000])
def test_single_precision(scale):
    free, symbol = example(50, 200, scale=scale, dtype=torch.float32)
    exact = reference(free.double(), symbol)
    torch.testing.assert_close(minimal_log_prob(free, symbol).double(), exact, rtol=1e-6, atol=2e-6)
    free.requires_grad_()
    (found,) = torch.autograd.grad(minimal_log_prob(free, symbol).sum(), free)
    (expected,) = torch.autograd.grad(reference(free.double(), symbol).sum(), free)
    # logits of up to four times the scale, rounded to 24 bits, are what is exponentiated
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6 + 4 * scale * 2**-23)


def test_logits_of_half_the_precision():
    """As under ``trainer.precision=bf16-mixed``."""
    free, symbol = example(20, 50, dtype=torch.bfloat16)
    free.requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        found = minimal_log_prob(free, symbol)
        (gradient,) = torch.autograd.grad(found.sum(), free)
    exact = free.detach().double().requires_grad_()
    torch.testing.assert_close(found.double(), reference(exact, symbol), rtol=1e-2, atol=1e-2)
    (expected,) = torch.autograd.grad(reference(exact, symbol).sum(), exact)
    assert gradient.dtype is torch.bfloat16
    torch.testing.assert_close(gradient.double(), expected, rtol=1e-2, atol=1e-2)
