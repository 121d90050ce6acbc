"""A given inverse-Lipschitz constant (IL-LIDVAE): the certificate is the setting, and every pair of points obeys it."""

import pytest
import torch
from builders import normal, randomise
from hypothesis import given
from hypothesis import strategies as st

from lid_vae.errors import UserError
from lid_vae.map import ComposedMap, composed_brenier, composed_gradient_network

MAKERS = {"brenier": composed_brenier, "gradient network": composed_gradient_network}
makers = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


def compose(make, constant: float | None, depth: int = 2) -> ComposedMap:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return make(2, 6, 5, 2, depth, inverse_lipschitz=constant)


@given(
    make=st.sampled_from(list(MAKERS.values())),
    depth=st.integers(2, 4),
    constant=st.floats(1e-3, 30.0),
    key=st.integers(0, 10**6),
    spread=st.floats(0.05, 2.0),
    distance=st.floats(1e-3, 30.0),
)
def test_no_pair_is_nearer_than_the_setting_allows(make, depth, constant, key, spread, distance) -> None:
    map_ = randomise(compose(make, 1.0, depth), key, spread)
    map_.set_inverse_lipschitz(constant)
    assert map_.certificate() == pytest.approx(constant, rel=1e-12)
    a = 2 * normal(50, 2, key=key)
    b = a + distance * torch.nn.functional.normalize(normal(50, 2, key=f"{key} direction"), dim=1)
    image_a, image_b = map_(a).detach(), map_(b).detach()
    rounding = 1e-13 * (image_a.norm(dim=1) + image_b.norm(dim=1))
    assert bool(((image_a - image_b).norm(dim=1) >= constant * distance * (1 - 1e-12) - rounding).all())


@makers
@pytest.mark.parametrize("constant", [0.05, 1.0, 3.0])
def test_the_setting_is_attained_where_the_potentials_vanish(make, constant: float) -> None:
    map_ = compose(make, constant, 3).double()
    with torch.no_grad():
        for name, parameter in map_.named_parameters():
            if "output_weight" in name or "raw_height" in name:
                parameter.fill_(-1000.0)
        a, b = normal(2, 20, 2)
        ratio = (map_(a) - map_(b)).norm(dim=1) / (a - b).norm(dim=1)
    torch.testing.assert_close(ratio, torch.full_like(ratio, constant), rtol=1e-6, atol=0)
    assert map_.certificate() == pytest.approx(constant, rel=1e-6)


@makers
def test_nothing_learns_a_given_constant(make) -> None:
    learned, fixed = compose(make, None), compose(make, 2.0)
    missing = {name for name, _ in learned.named_parameters()} - {name for name, _ in fixed.named_parameters()}
    assert missing == {"maps.0.raw_strong_convexity", "maps.1.raw_strong_convexity"}
    optimizer = torch.optim.SGD(fixed.parameters(), 1e-3)
    fixed(normal(20, 2).float()).square().sum().backward()
    optimizer.step()
    assert fixed.certificate() == pytest.approx(2.0, rel=1e-6)


@makers
def test_the_constant_travels_in_the_state(make) -> None:
    map_, restored = compose(make, 3.0), compose(make, 1.0)
    map_.set_inverse_lipschitz(0.7)
    restored.load_state_dict(map_.state_dict())
    assert restored.certificate() == map_.certificate() == pytest.approx(0.7, rel=1e-6)


@makers
@pytest.mark.parametrize("constant", [0.0, -1.0, float("nan")])
def test_constants_that_are_not_positive_are_refused(make, constant: float) -> None:
    with pytest.raises(UserError, match=r"above zero.*inverse_lipschitz=1"):
        compose(make, constant)
    with pytest.raises(UserError, match="above zero"):
        compose(make, 1.0).set_inverse_lipschitz(constant)


@makers
def test_setting_a_learned_constant_is_refused(make) -> None:
    with pytest.raises(UserError, match=r"learned.*inverse_lipschitz=1"):
        compose(make, None).set_inverse_lipschitz(1.0)
