"""Additive couplings: inverse, volume, and a Lipschitz constant that no weights take beyond the cap."""

import pytest
import torch
from builders import normal, randomise
from hypothesis import given
from hypothesis import strategies as st

from lid_vae.errors import UserError
from lid_vae.map import AdditiveCouplings

FEATURES = [2, 3, 5, 8]


def make(features: int = 3, count: int = 3, bound: float | None = 1.0, key: object = 0, spread: float = 1.0):
    return randomise(AdditiveCouplings(features, count, 6, bound), key, spread)


def jacobians(couplings: AdditiveCouplings, u: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return torch.func.vmap(torch.func.jacfwd(couplings))(u)


@pytest.mark.parametrize("bound", [None, 0.5])
@pytest.mark.parametrize("features", FEATURES)
@pytest.mark.parametrize("count", [1, 2, 3])
def test_inverse_of_forward(features: int, count: int, bound: float | None) -> None:
    couplings, u = make(features, count, bound), 3 * normal(2, 20, features)
    torch.testing.assert_close(couplings.inverse(couplings(u)), u, atol=1e-11, rtol=1e-11)
    torch.testing.assert_close(couplings(couplings.inverse(u)), u, atol=1e-11, rtol=1e-11)


@pytest.mark.parametrize("features", FEATURES)
def test_volume_is_kept_and_each_half_moved(features: int) -> None:
    couplings, u = make(features), normal(20, features)
    torch.testing.assert_close(torch.linalg.det(jacobians(couplings, u)), torch.ones(20, dtype=torch.float64))
    assert bool((couplings(u) != u).all())


def test_one_coupling_leaves_the_first_half() -> None:
    couplings, u = make(5, 1), normal(20, 5)
    assert torch.equal(couplings(u)[:, :2], u[:, :2])


@pytest.mark.parametrize("bound", [None, 1.0])
def test_the_identity_at_the_start_with_a_constant_of_one(bound: float | None) -> None:
    couplings, u = AdditiveCouplings(3, 2, 16, bound), normal(10, 3).float()
    assert torch.equal(couplings(u), u)
    assert couplings.inverse_lipschitz().item() == 1.0
    couplings(u).square().sum().backward()
    (-couplings.inverse_lipschitz()).backward()
    for name, parameter in couplings.named_parameters():
        assert bool(torch.isfinite(parameter.grad).all()), name
    assert bool((couplings.outer[0].weight.grad != 0).any())


@given(
    features=st.sampled_from(FEATURES),
    count=st.integers(1, 4),
    bound=st.one_of(st.none(), st.floats(0.01, 20.0)),
    key=st.integers(0, 10**6),
    spread=st.floats(0.01, 30.0),
)
def test_certificate_is_below_every_singular_value(features, count, bound, key, spread) -> None:
    couplings = make(features, count, bound, key, spread)
    smallest = torch.linalg.svdvals(jacobians(couplings, normal(40, features, key=key)))[..., -1]
    # Rounding in a Jacobian of large entries.
    largest = torch.linalg.svdvals(jacobians(couplings, normal(40, features, key=key)))[..., 0]
    assert bool((smallest >= couplings.inverse_lipschitz() * (1 - 1e-9) - 1e-13 * largest).all())


@given(
    scale=st.lists(st.floats(-25.0, 25.0), min_size=4, max_size=4),
    features=st.sampled_from(FEATURES),
    bound=st.floats(0.01, 5.0),
)
def test_the_cap_holds_for_any_weights(scale, features, bound) -> None:
    """Of two couplings, each layer's weights times a power of ten of its own."""
    couplings = make(features, 1, bound)
    second = make(features, 2, bound)
    with torch.no_grad():
        for power, layer in zip(scale, [*second.inner, *second.outer], strict=True):
            layer.weight.mul_(10.0**power)
        couplings.inner[0].weight.mul_(10.0 ** scale[0])
        couplings.outer[0].weight.mul_(10.0 ** scale[1])
    assert bool((second.lipschitz() <= bound).all())
    u = normal(30, features, key="points")
    first = couplings.first
    shift = jacobians(couplings, u)[:, first:, :first]
    norms = torch.linalg.matrix_norm(shift, 2)
    assert bool((norms <= bound * (1 + 1e-9)).all())
    assert bool((norms <= couplings.lipschitz()[0] * (1 + 1e-9)).all())


def test_the_bound_is_attained_where_all_units_are_on() -> None:
    """All weights positive: t is linear far to the right, and its slope there is L; capped, the cap."""
    for bound, expected in ((None, 1.0), (0.25, 0.25)):
        couplings = make(2, 1, bound)
        with torch.no_grad():
            couplings.inner[0].weight.fill_(1.0)
            couplings.outer[0].weight.fill_(1 / 6)
        (jacobian,) = jacobians(couplings, torch.full((1, 2), 100.0, dtype=torch.float64))
        assert couplings.lipschitz()[0].item() == pytest.approx(expected)
        assert float(jacobian[1, 0]) == pytest.approx(expected)
        assert float(torch.linalg.svdvals(jacobian)[-1]) == pytest.approx(couplings.inverse_lipschitz().item())


@given(key=st.integers(0, 10**6), features=st.sampled_from(FEATURES))
def test_no_looser_than_the_product_of_the_layers_norms(key, features) -> None:
    couplings = make(features, 3, None, key)
    product = [
        torch.linalg.matrix_norm(a.weight, 2) * torch.linalg.matrix_norm(c.weight, 2)
        for a, c in zip(couplings.outer, couplings.inner, strict=True)
    ]
    slack = (features / 2 + 1) ** (1 / 128)
    assert bool((couplings.lipschitz() <= torch.stack(product) * slack).all())


def test_below_the_cap_nothing_is_scaled() -> None:
    free, capped = make(4, 3, None, spread=0.1), make(4, 3, 50.0, spread=0.1)
    assert bool((free.lipschitz() < 50).all())
    u = normal(10, 4)
    assert torch.equal(capped(u), free(u))
    assert torch.equal(capped.lipschitz(), free.lipschitz())


def test_capped_weights_learn_on() -> None:
    couplings = make(4, 2, 0.1, spread=3.0)
    assert couplings.lipschitz().tolist() == [0.1, 0.1]
    couplings(normal(30, 4)).square().sum().backward()
    for name, parameter in couplings.named_parameters():
        assert bool((parameter.grad != 0).any()), name


@pytest.mark.parametrize("bound", [None, 0.5])
def test_stacked_parameters_under_vmap(bound: float | None) -> None:
    modules = [make(3, 2, bound, key) for key in range(3)]
    parameters, buffers = torch.func.stack_module_state(modules)
    u = normal(3, 4, 3)
    stacked = torch.func.vmap(lambda p, b, u: torch.func.functional_call(modules[0], (p, b), u))(parameters, buffers, u)
    torch.testing.assert_close(stacked, torch.stack([module(u_k) for module, u_k in zip(modules, u, strict=True)]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1, 2, 8), r"need two dimensions at least, got features=1"),
        ((2, -1, 8), r"of at least 1, got count=-1 and width=8. Use count=2"),
        ((2, 2, 0), r"of at least 1, got count=2 and width=0"),
        ((2, 2, 8, 0.0), r"bound=0\.0 could not move: it must be above zero.*Use bound=1, or None"),
        ((2, 2, 8, float("nan")), r"bound=nan"),
    ],
)
def test_couplings_that_cannot_be_are_refused(arguments: tuple, message: str) -> None:
    with pytest.raises(UserError, match=message):
        AdditiveCouplings(*arguments)
