"""Activations: the slope is the derivative of the value; convex; increasing where a layer stands before them."""

import pytest
import torch
from builders import normal, randomise

from lid_vae.map.convex.activation import ConvexActivation, LeakyReLU, SharpSoftplus, SquaredLeakyReLU

GRID = torch.linspace(-4, 4, 2001, dtype=torch.float64)
ACTIVATIONS = [
    SquaredLeakyReLU(),
    LeakyReLU(),
    SharpSoftplus(1, 10.0).double(),
    randomise(SharpSoftplus(1, 1.0), "sharpness"),
]


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_slope_is_the_derivative_of_the_value(activation: ConvexActivation) -> None:
    a = (3 * normal(200, 1)).requires_grad_()
    (derivative,) = torch.autograd.grad(activation.value(a).sum(), a)
    torch.testing.assert_close(activation.slope(a), derivative)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_convex(activation: ConvexActivation) -> None:
    slope = activation.slope(GRID[:, None])
    assert bool((slope[1:] >= slope[:-1]).all())
    assert bool((slope[1:] > slope[:-1]).any())


@pytest.mark.parametrize("activation", ACTIVATIONS[1:])
def test_increasing_where_it_follows_a_layer(activation: ConvexActivation) -> None:
    assert bool((activation.slope(GRID[:, None]) >= 0).all())


def test_each_unit_has_its_own_sharpness_and_the_limit_is_relu() -> None:
    activation = SharpSoftplus(2, 1.0).double()
    with torch.no_grad():
        activation.log_sharpness.copy_(torch.tensor([0.0, 9.0]))
    value = activation.value(GRID[:, None].expand(-1, 2))
    torch.testing.assert_close(value[:, 1], GRID.relu(), atol=1e-4, rtol=0)
    torch.testing.assert_close(value[:, 0], torch.log1p(GRID.exp()))
