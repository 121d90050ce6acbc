"""Anchored maps: the identity that makes them injective for any network, inverse, contexts, contents."""

from functools import partial

import pytest
import torch
from builders import normal, randomise
from hypothesis import given
from hypothesis import strategies as st

from lid_vae.errors import UserError
from lid_vae.map import (
    MLP,
    AnchoredMap,
    BrenierMap,
    ComposedMap,
    LinearMap,
    Map,
    SkipMLP,
    anchored,
    composed_brenier,
    counterpart_mlp,
    pca_lift,
    random_lift,
    spread_lift,
)

LIFTS = ["pad", "random", "pca", "spread"]
NETWORKS = {
    "mlp": partial(MLP, width=7, hidden_layers=2),
    "linear": LinearMap,
    "skip": partial(SkipMLP, width=7, hidden_layers=1),
    "skip of none": partial(SkipMLP, width=7, hidden_layers=0),
    "opaque": lambda in_features, out_features: Opaque(in_features, out_features),
}
BIJECTIONS = {
    "identity": None,
    "brenier": partial(composed_brenier, width=6, hidden_layers=1, depth=2, lift="random"),
    "polar": partial(composed_brenier, width=6, hidden_layers=1, depth=2, lift="random", shears=2),
}


@pytest.fixture(autouse=True)
def double():
    """A lift is orthonormal to the precision in which it is made."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


class Opaque(Map):
    """A network that shows no last layer."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.inner = MLP(in_features, out_features, 7, 1)
        self.in_features, self.out_features, self.hidden_layers = in_features, out_features, 1

    def forward(self, u: torch.Tensor) -> torch.Tensor:
        return self.inner(u).sin()

    def initialise_bias(self, bias: torch.Tensor) -> None:
        self.inner.initialise_bias(bias)


def make(
    network: str = "mlp",
    bijection: str = "identity",
    lift: str = "random",
    in_features: int = 2,
    out_features: int = 6,
    key: object = 0,
    spread: float = 0.7,
    **options,
) -> AnchoredMap:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        map_ = anchored(
            in_features, out_features, NETWORKS[network], lift=lift, bijection=BIJECTIONS[bijection], **options
        )
        map_.align(torch.randn(20, out_features))
    return randomise(map_, key, spread)


def matrix(map_: AnchoredMap) -> torch.Tensor:
    """B."""
    return map_.lift(torch.eye(map_.lift.in_features, dtype=torch.float64)).mT


everything = given(
    network=st.sampled_from(list(NETWORKS)),
    bijection=st.sampled_from(list(BIJECTIONS)),
    lift=st.sampled_from(LIFTS),
    context=st.sampled_from([0, 1, 7]),
    constant=st.one_of(st.none(), st.floats(0.01, 10.0)),
    key=st.integers(0, 10**6),
    spread=st.floats(0.05, 3.0),
)


@everything
def test_along_the_anchor_it_is_the_bijection_times_m(network, bijection, lift, context, constant, key, spread) -> None:
    """B'(g(a) - g(b)) = m (k(a') - k(b')), whatever stands beside a' and b', and whatever h is."""
    options = {"anchor": 2, "inverse_lipschitz": constant}
    map_ = make(network, bijection, lift, 2 + context, key=key, spread=spread, **options)
    a, b = normal(2, 30, 2 + context, key=key)
    with torch.no_grad():
        found = (map_(a) - map_(b)) @ matrix(map_)
        k = map_.bijection or torch.nn.Identity()
        expected = map_.scale() * (k(a[:, :2]) - k(b[:, :2]))
        distance = (map_(a) - map_(b)).norm(dim=1)
        size = 1 + map_.network(a).abs().max() + map_.network(b).abs().max()
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12 * float(size))
    apart = map_.certificate() * (a[:, :2] - b[:, :2]).norm(dim=1)
    assert bool((distance >= apart * (1 - 1e-9) - 1e-12 * size).all())
    if constant is not None:
        assert map_.certificate() == pytest.approx(constant, rel=1e-6)


@everything
def test_it_is_the_formula(network, bijection, lift, context, constant, key, spread) -> None:
    """m B k(v) + (I - B B') h(u) + B a, with the projection that is never formed."""
    map_ = make(network, bijection, lift, 2 + context, key=key, anchor=2, inverse_lipschitz=constant)
    u, b = normal(20, 2 + context, key=key), matrix(map_)
    with torch.no_grad():
        k = u[:, :2] if map_.bijection is None else map_.bijection(u[:, :2])
        aside = map_.network(u) @ (torch.eye(6, dtype=torch.float64) - b @ b.mT)
        expected = map_.scale() * k @ b.mT + aside + map_.anchor_bias @ b.mT
        torch.testing.assert_close(map_(u), expected, rtol=1e-9, atol=1e-9)


@everything
def test_certificate_is_below_every_singular_value(network, bijection, lift, context, constant, key, spread) -> None:
    """Of the Jacobian in what is anchored, for each value of the rest."""
    map_ = make(network, bijection, lift, 2 + context, key=key, anchor=2, inverse_lipschitz=constant)
    u = normal(20, 2 + context, key=key)
    with torch.no_grad():
        jacobian = torch.func.vmap(torch.func.jacfwd(map_))(u)[..., :2]
    assert bool((torch.linalg.svdvals(jacobian)[..., -1] >= map_.certificate() * (1 - 1e-9)).all())


@pytest.mark.parametrize("network", ["mlp", "linear"])
def test_certificate_is_attained_where_the_network_is_constant(network: str) -> None:
    map_ = make(network, out_features=5)
    with torch.no_grad():
        map_.network.read_out().weight.zero_()
        a, b = normal(2, 20, 2)
        ratio = (map_(a) - map_(b)).norm(dim=1) / (a - b).norm(dim=1)
    torch.testing.assert_close(ratio, torch.full_like(ratio, map_.certificate()))


@pytest.mark.parametrize("bijection", BIJECTIONS)
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("lift", LIFTS)
def test_inverse_of_forward(network: str, bijection: str, lift: str) -> None:
    map_, u = make(network, bijection, lift, 5, anchor=2, spread=0.5), normal(3, 10, 5)
    with torch.no_grad():
        found = map_.inverse(map_(u))
    exact = 1e-11 if bijection == "identity" else 1e-6
    torch.testing.assert_close(found, u[..., :2], atol=exact, rtol=0)


@pytest.mark.parametrize("bijection", BIJECTIONS)
@pytest.mark.parametrize("network", NETWORKS)
def test_stacked_parameters_under_vmap(network: str, bijection: str) -> None:
    for options in ({}, {"inverse_lipschitz": 0.5}):
        maps = [make(network, bijection, "pca", key=key, **options) for key in range(3)]
        for key, map_ in enumerate(maps):
            map_.align(normal(30, 6, key=key))
        parameters, buffers = torch.func.stack_module_state(maps)
        u = normal(3, 4, 2)
        call = partial(torch.func.functional_call, maps[0])
        stacked = torch.func.vmap(lambda *state, call=call: call(state[:2], state[2]))(parameters, buffers, u)
        torch.testing.assert_close(stacked, torch.stack([map_(u_k) for map_, u_k in zip(maps, u, strict=True)]))


@pytest.mark.parametrize("bijection", BIJECTIONS)
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("constant", [None, 2.0])
def test_every_parameter_gets_a_gradient(network: str, bijection: str, constant: float | None) -> None:
    map_ = make(network, bijection, inverse_lipschitz=constant)
    map_(normal(50, 2)).square().sum().backward()
    for name, parameter in map_.named_parameters():
        assert parameter.grad is not None, name
        assert bool((parameter.grad != 0).any()), name


def test_the_network_is_contained_but_for_the_anchor() -> None:
    """Aside from B's directions the map is h: what a plain decoder can say there, it can."""
    map_, u = make("mlp", in_features=5, anchor=2), normal(20, 5)
    aside = torch.eye(6, dtype=torch.float64) - matrix(map_) @ matrix(map_).mT
    torch.testing.assert_close(map_(u) @ aside, map_.network(u) @ aside)


def test_a_context_of_more_dimensions_than_the_outputs() -> None:
    map_ = make("linear", in_features=20, anchor=2)
    assert (map_.in_features, map_.out_features, map_.injective_features) == (20, 6, 2)
    assert map_.injective_in(2)
    assert not map_.injective_in(3)
    assert make("linear").injective_in(2)
    assert composed_brenier(2, 4, 3, 1).injective_in(2)
    assert not composed_brenier(2, 4, 3, 1).injective_in(3)


def test_align_takes_the_principal_directions_into_the_anchor() -> None:
    data = normal(60, 6) @ normal(6, 6, key="mix")
    for lift in ("pca", "random"):
        map_ = make(lift=lift)
        before = map_.lift.weight.clone()
        map_.align(data)
        expected = pca_lift(2, data).weight.double() if lift == "pca" else before
        torch.testing.assert_close(map_.lift.weight, expected)


@pytest.mark.parametrize("network", ["mlp", "linear", "skip"])
def test_output_bias_shifts_all_outputs(network: str) -> None:
    map_, u, bias = make(network), normal(5, 2), normal(6)
    map_.initialise_bias(torch.zeros(6, dtype=torch.float64))
    before = map_(u)
    map_.initialise_bias(bias)
    torch.testing.assert_close(map_(u), before + bias)


def test_m_starts_where_it_is_told_and_stays_above_its_floor() -> None:
    map_ = anchored(2, 6, LinearMap, scale=3.0, scale_floor=0.5)
    assert map_.certificate() == pytest.approx(3.0)
    with torch.no_grad():
        map_.raw_scale.fill_(-1000.0)
    assert map_.certificate() == pytest.approx(0.5)


@pytest.mark.parametrize("bijection", BIJECTIONS)
def test_a_given_constant_is_kept_while_the_bijection_learns(bijection: str) -> None:
    map_ = make("mlp", bijection, inverse_lipschitz=0.7)
    assert "raw_scale" not in map_.state_dict()
    optimizer = torch.optim.SGD(map_.parameters(), 1e-3)
    map_(normal(20, 2)).square().sum().backward()
    optimizer.step()
    assert map_.certificate() == pytest.approx(0.7, rel=1e-6)
    map_.set_inverse_lipschitz(0.3)
    assert map_.certificate() == pytest.approx(0.3, rel=1e-6)
    restored = make("mlp", bijection, inverse_lipschitz=5.0)
    restored.load_state_dict(map_.state_dict())
    assert restored.certificate() == map_.certificate()


def test_a_skip_mlp_starts_near_a_linear_map() -> None:
    torch.manual_seed(0)
    map_, u = SkipMLP(30, 40, 50, 1), torch.randn(100, 30)
    straight = u @ map_.output.weight[:, :30].mT + map_.output.bias
    assert float((map_(u) - straight).norm().detach()) < 0.5 * float(straight.norm().detach())
    assert map_(u).shape == (100, 40)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"in_features": 6, "out_features": 6}, r"leaves its network.*6 none is left. Use composed_brenier"),
        (
            {"in_features": 7, "out_features": 6},
            r"more outputs than anchored inputs, got 6 and 7. Use latent_dimension=5",
        ),
        ({"anchor": 3}, r"from 1 to 2, .* got anchor=3"),
        ({"anchor": 0}, r"from 1 to 2, .* got anchor=0"),
        ({"lift": "bogus"}, r"lift=bogus is not known"),
        ({"scale": 0.01}, r"0 < scale_floor < scale, got scale=0\.01.*Use scale=1"),
        ({"scale_floor": 0.0}, r"0 < scale_floor < scale"),
        ({"inverse_lipschitz": 0.0}, r"above zero.*inverse_lipschitz=1"),
        ({"bijection": LinearMap}, r"must be injective, got LinearMap. Use bijection=composed_brenier"),
    ],
)
def test_maps_that_cannot_be_are_refused(options, message: str) -> None:
    arguments = {"in_features": 2, "out_features": 6, "network": LinearMap, **options}
    with pytest.raises(UserError, match=message):
        anchored(**arguments)


def test_parts_that_do_not_meet_are_refused() -> None:
    with pytest.raises(UserError, match="A lift 2 -> 5 cannot anchor a network 2 -> 6"):
        AnchoredMap(LinearMap(2, 6), random_lift(2, 5))
    with pytest.raises(UserError, match="A lift 3 -> 6 cannot anchor a network 2 -> 6"):
        AnchoredMap(LinearMap(2, 6), random_lift(3, 6))
    with pytest.raises(UserError, match="from the 2 anchored dimensions onto as many, got 3 -> 3"):
        AnchoredMap(LinearMap(2, 6), spread_lift(2, 6), BrenierMap(3, 4, 1))
    with pytest.raises(UserError, match="learned"):
        AnchoredMap(LinearMap(2, 6), spread_lift(2, 6)).set_inverse_lipschitz(1.0)


def test_the_classical_decoder_is_a_network_of_it() -> None:
    map_ = anchored(3, 9, partial(counterpart_mlp, width=5, hidden_layers=2, depth=2), anchor=2)
    assert (map_.hidden_layers, type(map_.network)) == (4, MLP)
    assert isinstance(make(bijection="polar").bijection, ComposedMap)


def test_directions_of_data_are_not_made_up() -> None:
    waiting = anchored(2, 6, NETWORKS["mlp"], lift="pca")
    with pytest.raises(UserError, match=r'lift="pca", whose directions come from the training data: call align'):
        waiting(torch.zeros(3, 2))
    waiting.load_state_dict(anchored(2, 6, NETWORKS["mlp"], lift="pca").state_dict())
    assert waiting(torch.zeros(3, 2)).shape == (3, 6)


def test_vectors_that_do_not_fit() -> None:
    map_ = make()
    with pytest.raises(UserError, match=r"AnchoredMap takes vectors of 2 numbers along the last axis"):
        map_(torch.zeros(4, 3, dtype=torch.float64))
    with pytest.raises(UserError, match=r"The inverse of AnchoredMap takes vectors of 6 numbers"):
        map_.inverse(torch.zeros(4, 5, dtype=torch.float64))
