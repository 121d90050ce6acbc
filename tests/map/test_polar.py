"""Polar maps: couplings before monotone maps. Certificate, inverse, where they stand, and what stays as it was."""

from functools import partial

import pytest
import torch
from builders import normal, randomise
from hypothesis import given
from hypothesis import strategies as st

from lid_vae.errors import UserError
from lid_vae.map import (
    AdditiveCouplings,
    BrenierMap,
    ComposedMap,
    composed_brenier,
    composed_gradient_network,
    layer_dimensions,
)

MAKERS = {"brenier": composed_brenier, "gradient network": composed_gradient_network}
makers = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
SHAPES = [(2, 2), (3, 3), (2, 5), (3, 7), (5, 5)]


def compose(make=composed_brenier, in_features=2, out_features=6, depth=2, shears=2, **options) -> ComposedMap:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return make(in_features, out_features, 5, 1, depth, shears=shears, **options).double()


def smallest_singular_values(map_: ComposedMap, u: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return torch.linalg.svdvals(torch.func.vmap(torch.func.jacfwd(map_))(u))[..., -1]


@given(
    make=st.sampled_from(list(MAKERS.values())),
    shape=st.sampled_from(SHAPES),
    depth=st.integers(2, 4),
    shears=st.integers(1, 3),
    bound=st.one_of(st.none(), st.floats(0.05, 5.0)),
    first=st.booleans(),
    constant=st.one_of(st.none(), st.floats(0.01, 10.0)),
    key=st.integers(0, 10**6),
    spread=st.floats(0.05, 2.0),
)
def test_certificate_is_below_every_singular_value(
    make, shape, depth, shears, bound, first, constant, key, spread
) -> None:
    options = {"shear_bound": bound, "shear_first": first, "inverse_lipschitz": constant}
    map_ = randomise(compose(make, *shape, depth, shears, **options), key, spread)
    smallest = smallest_singular_values(map_, 2 * normal(20, shape[0], key=key))
    assert bool((smallest >= map_.certificate() * (1 - 1e-6) - 1e-12).all())
    if constant is not None:
        assert map_.certificate() == pytest.approx(constant, rel=1e-6)


def test_certificate_is_attained_by_linear_shears_and_quadratic_potentials() -> None:
    """One coupling whose units are all on, before a map of which mu alone is left."""
    map_ = compose(out_features=2, depth=1, shears=1, shear_bound=None)
    with torch.no_grad():
        for name, parameter in map_.named_parameters():
            if "output_weight" in name:
                parameter.fill_(-1000.0)
        map_.couplings["0"].inner[0].weight.fill_(1.0)
        map_.couplings["0"].outer[0].weight.fill_(0.3)
    (found,) = smallest_singular_values(map_, torch.full((1, 2), 50.0, dtype=torch.float64))
    assert float(found) == pytest.approx(map_.certificate(), rel=1e-6)


@makers
@pytest.mark.parametrize("constant", [None, 0.5])
@pytest.mark.parametrize("shape", SHAPES)
def test_inverse_of_forward(make, shape: tuple[int, int], constant: float | None) -> None:
    map_ = randomise(compose(make, *shape, 3, inverse_lipschitz=constant), "inverse", 0.5)
    u = normal(20, shape[0])
    with torch.no_grad():
        torch.testing.assert_close(map_.inverse(map_(u)), u, atol=1e-5, rtol=0)


@makers
def test_no_couplings_are_the_maps_alone(make) -> None:
    """With nothing drawn at random for what is not there, and no parameter more."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        plain = make(2, 6, 5, 1, 3)
        after = torch.randn(3)
        torch.manual_seed(0)
        none = make(2, 6, 5, 1, 3, shears=0, shear_first=False, shear_bound=7.0, shear_width=3)
        assert torch.equal(torch.randn(3), after)
    assert plain.state_dict().keys() == none.state_dict().keys()
    assert all(torch.equal(value, none.state_dict()[name]) for name, value in plain.state_dict().items())
    u = normal(10, 2).float()
    torch.testing.assert_close(none(u), plain(u), rtol=1e-6, atol=1e-6)
    assert none.certificate() == plain.certificate()


@makers
@pytest.mark.parametrize("constant", [None, 2.0])
def test_at_the_start_couplings_change_nothing(make, constant: float | None) -> None:
    plain = compose(make, depth=3, shears=0, inverse_lipschitz=constant)
    polar = compose(make, depth=3, inverse_lipschitz=constant)
    u = normal(10, 2)
    assert all(torch.equal(couplings(u[:, :2]), u[:, :2]) for couplings in [polar.couplings["0"], polar.couplings["1"]])
    torch.testing.assert_close(polar(u), plain(u), rtol=1e-13, atol=1e-13)
    assert polar.certificate() == pytest.approx(plain.certificate(), rel=1e-14)


@makers
def test_composition_is_coupling_lift_and_map_in_turn(make) -> None:
    map_, u = randomise(compose(make, depth=3), "in turn", 0.5), normal(10, 2)
    expected = map_.maps[0](map_.couplings["0"](u))
    for k in (1, 2):
        expected = map_.maps[k](map_.lifts[k - 1](map_.couplings[str(k)](expected)))
    torch.testing.assert_close(map_(u), expected)
    product = torch.stack([part.inverse_lipschitz() for part in [*map_.maps, *map_.couplings.values()]]).prod()
    torch.testing.assert_close(map_.inverse_lipschitz(), product)


def test_where_couplings_stand_and_how_large_they_are() -> None:
    map_ = compose(in_features=3, out_features=48, depth=3, shears=2, shear_width=9, shear_bound=0.5)
    actives = [3, *layer_dimensions(3, 48, 3)[:2]]
    assert {key: part.features for key, part in map_.couplings.items()} == dict(zip("012", actives, strict=True))
    assert {part.inner[0].out_features for part in map_.couplings.values()} == {9}
    assert {part.bound for part in map_.couplings.values()} == {0.5}
    assert [*compose(depth=3, shear_first=False).couplings] == ["1", "2"]
    assert compose().couplings["0"].inner[0].out_features == 5
    # The first two maps of this one have a single active direction, and nothing to twist.
    assert [*compose(in_features=1, out_features=64, depth=3).couplings] == ["2"]


@pytest.mark.parametrize("constant", [None, 2.0])
def test_every_parameter_gets_a_gradient(constant: float | None) -> None:
    map_ = randomise(compose(depth=3, inverse_lipschitz=constant), "gradient", 0.5)
    map_(normal(50, 2)).square().sum().backward()
    for name, parameter in map_.named_parameters():
        assert parameter.grad is not None, name
        assert bool((parameter.grad != 0).any()), name


def test_a_given_constant_is_kept_while_the_couplings_learn() -> None:
    map_ = compose(depth=3, inverse_lipschitz=0.7)
    optimizer = torch.optim.Adam(map_.parameters(), 0.05)
    for step in range(5):
        optimizer.zero_grad()
        (map_(normal(50, 2)) - normal(50, 6, key="target")).square().sum().backward()
        optimizer.step()
        if step == 2:
            map_.set_inverse_lipschitz(0.3)
    assert map_.certificate() == pytest.approx(0.3, rel=1e-6)
    assert map_.couplings["1"].inverse_lipschitz().item() < 0.99
    assert bool((smallest_singular_values(map_, normal(50, 2)) >= 0.3 * (1 - 1e-6)).all())
    # Each map has the same mu, and with the couplings' constants their product is the given one.
    with torch.no_grad():
        shares = torch.stack(list(map_._shares()))
        couplings = torch.stack([part.inverse_lipschitz() for part in map_.couplings.values()]).prod()
    torch.testing.assert_close(shares, shares[:1].expand(3))
    assert float(shares.prod() * couplings) == pytest.approx(0.3, rel=1e-6)


@makers
@pytest.mark.parametrize("options", [{}, {"shear_bound": None}, {"inverse_lipschitz": 0.5}])
def test_stacked_parameters_under_vmap(make, options) -> None:
    maps = [randomise(compose(make, depth=3, **options), key, 0.5) for key in range(3)]
    parameters, buffers = torch.func.stack_module_state(maps)
    u = normal(3, 4, 2)
    call = partial(torch.func.functional_call, maps[0])
    stacked = torch.func.vmap(lambda *state: call(state[:2], state[2]))(parameters, buffers, u)
    torch.testing.assert_close(stacked, torch.stack([map_(u_k) for map_, u_k in zip(maps, u, strict=True)]))


def test_state_dict_holds_the_couplings() -> None:
    source, target = randomise(compose(), "source"), randomise(compose(), "target")
    target.load_state_dict(source.state_dict())
    assert torch.equal(target(normal(5, 2)), source(normal(5, 2)))


def test_couplings_twist_what_gradients_cannot() -> None:
    """A rotation by a quarter: Brenier maps' Jacobians have positive traces, three linear shears are a rotation."""
    map_ = compose(out_features=2, depth=1, shears=3, shear_bound=None)
    plain = compose(out_features=2, depth=1, shears=0)
    with torch.no_grad():
        for name, parameter in map_.named_parameters():
            if "output_weight" in name:
                parameter.fill_(-1000.0)
        for k, slope in enumerate((1.0, -1.0, 1.0)):
            map_.couplings["0"].inner[k].weight.fill_(1.0)
            map_.couplings["0"].inner[k].bias.fill_(1e4)  # where every unit is on, whatever the couplings before did
            map_.couplings["0"].outer[k].weight.fill_(slope / 5)
            map_.couplings["0"].outer[k].bias.fill_(-1e4 * slope)
        u = normal(20, 2)
        twisted = torch.func.vmap(torch.func.jacfwd(map_))(u)
        straight = torch.func.vmap(torch.func.jacfwd(plain))(u)
    quarter = torch.tensor([[0.0, -1.0], [1.0, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(twisted, quarter.expand(20, 2, 2), atol=1e-6, rtol=0)
    assert bool((straight.diagonal(dim1=-2, dim2=-1).sum(-1) > 0).all())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"in_features": 1},
            r"twist two dimensions at least.*Use shears=0, or latent_dimension=2",
        ),
        (
            {"out_features": 2, "depth": 1, "shear_first": False},
            r"between two maps alone, and depth=1.*Use shear_first=True",
        ),
        ({"shears": -1}, r"of at least 1, got count=-1"),
        ({"shear_width": 0}, r"got count=2 and width=0"),
        ({"shear_bound": 0.0}, r"bound=0\.0"),
    ],
)
def test_couplings_without_a_place_are_refused(options, message: str) -> None:
    with pytest.raises(UserError, match=message):
        compose(**options)


def test_couplings_that_do_not_meet_their_map_are_refused() -> None:
    maps = [BrenierMap(2, 3, 1)]
    for k, features in ((0, 3), (1, 2), (-1, 2)):
        with pytest.raises(UserError, match="cannot stand before map"):
            ComposedMap(maps, [], couplings={k: AdditiveCouplings(features, 1, 4)})
