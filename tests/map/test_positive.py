"""Positive weights: the parametrisation, and an initialisation that keeps pre-activations standard through depth."""

import pytest
import torch
from builders import normal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lid_vae.map import ConvexPotential
from lid_vae.map.convex.positive import MANY, convex_initialisation, inverse_softplus, positive, softplus


@given(st.floats(1e-10, 1e4))
def test_inverse_softplus(value: float) -> None:
    raw = inverse_softplus(torch.tensor(value, dtype=torch.float64))
    assert float(positive(raw)) == pytest.approx(value, rel=1e-6)


@given(st.floats(-600.0, 600.0))
def test_positive_has_a_value_and_a_slope_everywhere(raw: float) -> None:
    a = torch.tensor(raw, dtype=torch.float64, requires_grad=True)
    positive(a).backward()
    assert float(positive(a).detach()) > 0
    assert float(a.grad) > 0


def test_softplus_and_its_slope_to_the_last_digits() -> None:
    a = torch.linspace(-60, 60, 1201, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(softplus(a).sum(), a)
    torch.testing.assert_close(softplus(a), torch.logaddexp(a, torch.zeros_like(a)), rtol=1e-15, atol=0)
    torch.testing.assert_close(slope, torch.sigmoid(a), rtol=1e-15, atol=0)


@pytest.fixture(params=[False, True], ids=["eager", "compiled"])
def compiling(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compilation has a third formula, whose operations it fuses; here it is only said to be going on."""
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: request.param)


@pytest.mark.usefixtures("compiling")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.floats(-80.0, 200.0), st.integers(0, 10**6))
def test_softplus_of_many_numbers_in_single_precision(centre: float, key: int) -> None:
    """Another formula than PyTorch's from some size on; its oracle is the double precision of the same numbers."""
    a = (centre + 3 * normal(MANY, key=key)).float()
    exact = torch.nn.functional.softplus(a.double(), threshold=700)
    torch.testing.assert_close(softplus(a).double(), exact, rtol=4e-7, atol=1e-37)
    assert bool((positive(a) > 0).all())


def test_softplus_of_many_numbers_at_the_ends() -> None:
    a = torch.tensor([0.0, -0.0, float("inf"), -float("inf"), 1e30, -1e30, -85.0]).repeat(MANY)
    exact = torch.nn.functional.softplus(a.double(), threshold=700)
    torch.testing.assert_close(softplus(a).double(), exact, rtol=1e-6, atol=0)
    assert bool(softplus(torch.full((MANY,), float("nan"))).isnan().all())


@pytest.mark.usefixtures("compiling")
@pytest.mark.parametrize("size", [MANY // 2, 2 * MANY])
def test_slopes_of_softplus_in_single_precision(size: int) -> None:
    """First and second derivatives, backward, forward and vectorised over rows, on both sides of the change."""
    a = 4 * normal(2, size).float()
    slope, curvature = torch.sigmoid(a), torch.sigmoid(a) * torch.sigmoid(-a)
    total = torch.func.grad(lambda b: softplus(b).sum())
    torch.testing.assert_close(total(a), slope)
    torch.testing.assert_close(torch.func.vmap(total)(a), slope)
    torch.testing.assert_close(
        torch.func.vmap(torch.func.grad(lambda b: total(b).sum()))(a), curvature, atol=1e-6, rtol=1e-5
    )
    leaf = a.clone().requires_grad_()
    (first,) = torch.autograd.grad(softplus(leaf).sum(), leaf, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), leaf)
    torch.testing.assert_close(first, slope)
    torch.testing.assert_close(second, curvature, atol=1e-6, rtol=1e-5)
    value, tangent = torch.func.jvp(softplus, (a,), (torch.full_like(a, 2.0),))
    torch.testing.assert_close(value, softplus(a))
    torch.testing.assert_close(tangent, 2 * slope)


@pytest.mark.parametrize("units", [64, 400])
def test_initialisation_has_its_fixed_point(units: int) -> None:
    """Standard pre-activations of pairwise correlation 1/2 have a next layer of the same kind.

    The weights' tails are too heavy for their sample variance (a logarithm of variance 5), so their two moments are
    those of the log-normal with the sampled logarithms' mean and variance; the activations are sampled.
    """
    torch.manual_seed(0)
    raw, bias = convex_initialisation(units, units)
    log_weight = positive(raw.double()).log()
    mean = float((log_weight.mean() + log_weight.var() / 2).exp())
    variance = float(log_weight.var().expm1()) * mean**2
    relu = ((torch.randn(20000, 1) + torch.randn(20000, units)) / 2**0.5).relu()
    shared = mean**2 * float(relu.sum(1).var())  # the covariance of two units of the next layer
    own = units * variance * float(relu.square().mean())
    assert shared == pytest.approx(0.5, rel=0.1)
    assert shared + own == pytest.approx(1.0, rel=0.2)
    assert bias + mean * float(relu.sum(1).mean()) == pytest.approx(0.0, abs=0.1)


def test_signals_pass_as_many_layers_as_table_2_has() -> None:
    """Loose: the heavy tails leave most layers below variance 1, but units neither saturate nor explode."""
    torch.manual_seed(0)
    network = ConvexPotential(10, 200, 4, skips="none")
    with torch.no_grad():
        sharpness = [network._activation(k).sharpness() for k in range(4)]
        layers = network._layers(torch.randn(300, 10), dict(network.input_weight.items()), sharpness)
        layers = [t / factor for t, factor in zip(layers, sharpness, strict=True)]
    for pre in layers:
        assert abs(float(pre.mean())) < 1
        assert 0.02 < float(pre.var(0).mean()) < 4


def test_the_hessian_starts_near_the_curvature() -> None:
    torch.manual_seed(0)
    for curvature in (0.5, 2.0):
        network = ConvexPotential(6, 300, 2, curvature=curvature)
        hessian = torch.func.vmap(torch.func.jacrev(network.gradient))(normal(40, 6).float())
        average = float(hessian.diagonal(dim1=-2, dim2=-1).mean().detach())
        assert 0.4 * curvature < average < 2.5 * curvature
