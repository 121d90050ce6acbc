"""Compositions of monotone maps and lifts: the certificate, the inverse, dimensions, and the lift taken from data."""

import copy
from functools import partial

import pytest
import torch
from builders import normal, randomise
from hypothesis import given
from hypothesis import strategies as st

from lid_vae.errors import UserError
from lid_vae.map import (
    ComposedMap,
    GradientNetwork,
    InjectiveMap,
    composed_brenier,
    composed_gradient_network,
    layer_dimensions,
    pca_lift,
    random_lift,
)

MAKERS = {"brenier": composed_brenier, "gradient network": composed_gradient_network}
makers = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


def compose(make, in_features: int = 2, out_features: int = 6, depth: int = 2, hidden_layers: int = 2, **options):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        map_ = make(in_features, out_features, 5, hidden_layers, depth, **options).double()
        map_.align(torch.randn(20, out_features).double())
        return map_


@given(
    make=st.sampled_from(list(MAKERS.values())),
    depth=st.integers(2, 4),
    lift=st.sampled_from(["pad", "random", "pca", "spread"]),
    key=st.integers(0, 10**6),
    spread=st.floats(0.05, 2.0),
    distance=st.floats(1e-3, 30.0),
)
def test_certificate_bounds_distances_from_below(make, depth, lift, key, spread, distance) -> None:
    map_ = randomise(compose(make, depth=depth, lift=lift), key, spread)
    a = 2 * normal(50, 2, key=key)
    b = a + distance * torch.nn.functional.normalize(normal(50, 2, key=f"{key} direction"), dim=1)
    image_a, image_b = map_(a).detach(), map_(b).detach()
    certificate = map_.certificate()
    assert certificate > 0.01**depth
    rounding = 1e-13 * (image_a.norm(dim=1) + image_b.norm(dim=1))
    assert bool(((image_a - image_b).norm(dim=1) >= certificate * distance * (1 - 1e-6) - rounding).all())


@makers
def test_certificate_is_attained_where_the_potentials_are_quadratic(make) -> None:
    map_ = compose(make, depth=3)
    with torch.no_grad():
        for name, parameter in map_.named_parameters():
            if "output_weight" in name or "raw_height" in name:
                parameter.fill_(-1000.0)
        a, b = normal(2, 20, 2)
        ratio = (map_(a) - map_(b)).norm(dim=1) / (a - b).norm(dim=1)
    torch.testing.assert_close(ratio, torch.full_like(ratio, map_.certificate()), rtol=1e-6, atol=0)


@makers
@pytest.mark.parametrize("lift", ["pad", "random", "pca", "spread"])
@pytest.mark.parametrize("depth", [2, 3])
def test_inverse_of_forward(make, lift: str, depth: int) -> None:
    map_ = compose(make, depth=depth, lift=lift)
    map_.align(normal(40, 6, key="data") @ normal(6, 6))
    u = normal(20, 2)
    with torch.no_grad():
        torch.testing.assert_close(map_.inverse(map_(u)), u, atol=1e-5, rtol=0)


def test_inverse_of_the_papers_activations() -> None:
    map_, u = compose(composed_brenier, activation="paper"), normal(20, 2)
    with torch.no_grad():
        torch.testing.assert_close(map_.inverse(map_(u)), u, atol=1e-5, rtol=0)


@makers
def test_composition_is_lift_and_map_in_turn(make) -> None:
    map_, u = randomise(compose(make, depth=3), "in turn"), normal(10, 2)
    expected = map_.maps[0](u)
    for lift, stage in zip(map_.lifts, map_.maps[1:], strict=True):
        expected = stage(lift(expected))
    torch.testing.assert_close(map_(u), expected)


@makers
def test_one_map_of_equal_dimensions_needs_no_lift(make) -> None:
    map_ = compose(make, 3, 3, depth=1)
    assert (len(map_.lifts), map_.hidden_layers) == (0, 2)
    map_.align(normal(20, 3))
    torch.testing.assert_close(map_(normal(4, 3)), map_.maps[0](normal(4, 3)))


@makers
@pytest.mark.parametrize(("depth", "hidden_layers"), [(2, 1), (2, 4), (3, 2)])
def test_counts_and_contract(make, depth: int, hidden_layers: int) -> None:
    map_ = compose(make, depth=depth, hidden_layers=hidden_layers)
    assert isinstance(map_, InjectiveMap)
    assert (map_.in_features, map_.out_features, map_.hidden_layers) == (2, 6, depth * hidden_layers)


@makers
def test_mu_of_the_last_map_alone_starts_where_it_is_told(make) -> None:
    map_ = compose(make, depth=3, strong_convexity=3.0)
    assert [stage.certificate() for stage in map_.maps] == pytest.approx([1.0, 1.0, 3.0])
    assert map_.certificate() == pytest.approx(3.0)


@makers
def test_align_takes_the_principal_directions_into_the_last_lift_alone(make) -> None:
    data = normal(60, 6) @ normal(6, 6, key="mix")
    for lift in ("pca", "random"):
        map_ = compose(make, depth=3, lift=lift)
        before = [stage.weight.clone() for stage in map_.lifts]
        map_.align(data)
        after = [stage.weight for stage in map_.lifts]
        torch.testing.assert_close(after[0], before[0])
        expected = pca_lift(after[1].shape[1], data).weight.double() if lift == "pca" else before[1]
        torch.testing.assert_close(after[1], expected)


@makers
def test_every_parameter_gets_a_gradient(make) -> None:
    map_ = compose(make, depth=3)
    map_(normal(50, 2)).square().sum().backward()
    for name, parameter in map_.named_parameters():
        assert parameter.grad is not None, name
        assert bool((parameter.grad != 0).any()), name


@makers
def test_state_dict_holds_the_aligned_lift(make) -> None:
    source, target = randomise(compose(make), "source"), randomise(compose(make), "target")
    source.align(normal(60, 6))
    target.load_state_dict(source.state_dict())
    u = normal(5, 2)
    torch.testing.assert_close(target(u), source(u), rtol=0, atol=0)
    torch.testing.assert_close(copy.deepcopy(source)(u), source(u), rtol=0, atol=0)


@makers
def test_stacked_parameters_under_vmap(make) -> None:
    maps = [randomise(compose(make, depth=3), key) for key in range(3)]
    for key, map_ in enumerate(maps):
        map_.align(normal(30, 6, key=key))
    parameters, buffers = torch.func.stack_module_state(maps)
    u = normal(3, 4, 2)
    call = partial(torch.func.functional_call, maps[0])
    stacked = torch.func.vmap(lambda *state: call(state[:2], state[2]))(parameters, buffers, u)
    torch.testing.assert_close(stacked, torch.stack([map_(u_k) for map_, u_k in zip(maps, u, strict=True)]))


@makers
def test_works_in_inference_mode(make) -> None:
    map_, u = compose(make), normal(5, 2)
    with torch.inference_mode():
        inside = map_(u)
    torch.testing.assert_close(inside, map_(u))


@makers
def test_output_bias_is_the_last_maps(make) -> None:
    map_, u, bias = compose(make, depth=3), normal(5, 2), normal(6)
    before = map_(u)
    map_.initialise_bias(bias)
    torch.testing.assert_close(map_(u), before + bias)


def test_layer_dimensions() -> None:
    assert layer_dimensions(2, 2, 1) == [2]
    assert layer_dimensions(64, 784, 2) == [64, 784]
    assert layer_dimensions(2, 32, 3) == [2, 8, 32]
    assert layer_dimensions(5, 5, 4) == [5, 5, 5, 5]


@given(st.integers(1, 100), st.integers(0, 900), st.integers(2, 6))
def test_layer_dimensions_never_shrink(small: int, more: int, depth: int) -> None:
    dimensions = layer_dimensions(small, small + more, depth)
    assert (len(dimensions), dimensions[0], dimensions[-1]) == (depth, small, small + more)
    assert dimensions == sorted(dimensions)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((5, 4, 2), "from fewer dimensions to more, got 5 -> 4. Use latent_dimension=4 or less"),
        ((2, 4, 1), "depth=1 cannot take 2 dimensions to 4.*Use depth=2 or more"),
        ((2, 2, 0), "depth=0"),
    ],
)
def test_impossible_dimensions_are_refused(arguments: tuple[int, int, int], message: str) -> None:
    with pytest.raises(UserError, match=message):
        layer_dimensions(*arguments)


def test_parts_that_do_not_meet_are_refused() -> None:
    small, large = GradientNetwork(2, 3, 1), GradientNetwork(5, 3, 1)
    with pytest.raises(UserError, match="2 maps need 1 lifts between them, got 0"):
        ComposedMap([small, large], [])
    with pytest.raises(UserError, match="0 maps"):
        ComposedMap([], [])
    with pytest.raises(UserError, match="A lift 2 -> 4 cannot join maps of 2 and 5 dimensions"):
        ComposedMap([small, large], [random_lift(2, 4)])
    with pytest.raises(UserError, match="A lift 3 -> 5 cannot join"):
        ComposedMap([small, large], [random_lift(3, 5)])


def test_an_unknown_lift_is_refused() -> None:
    with pytest.raises(UserError, match=r"lift=bogus is not known. Use one of pad, random, pca, spread"):
        composed_brenier(2, 4, 3, 1, lift="bogus")


def test_directions_of_data_are_not_made_up() -> None:
    """lift="pca" waits for the data, or for weights that have seen them."""
    with torch.random.fork_rng(devices=[]):
        waiting = composed_brenier(2, 6, 5, 1, lift="pca")
        with pytest.raises(UserError, match=r'lift="pca", whose directions come from the training data: call align'):
            waiting(torch.randn(3, 2))
        aligned = composed_brenier(2, 6, 5, 1, lift="pca")
        aligned.align(torch.randn(20, 6))
        waiting.load_state_dict(aligned.state_dict())
        u = torch.randn(3, 2)
        assert torch.equal(waiting(u), aligned(u))
        assert composed_brenier(2, 6, 5, 1)(u).shape == (3, 6)


@makers
def test_vectors_that_do_not_fit(make) -> None:
    map_ = compose(make)
    with pytest.raises(UserError, match=r"takes vectors of 2 numbers along the last axis, and got the shape \[4, 3\]"):
        map_(torch.zeros(4, 3).double())
    with pytest.raises(UserError, match=r"The inverse of ComposedMap takes vectors of 6 numbers"):
        map_.inverse(torch.zeros(4, 5).double())
