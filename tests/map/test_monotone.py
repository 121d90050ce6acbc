"""Brenier maps and gradient networks: gradients of strongly convex functions, for every value of their parameters."""

import copy

import pytest
import torch
from builders import MONOTONE, make_monotone, normal, randomise
from hypothesis import example, given
from hypothesis import strategies as st

from lid_vae.errors import UserError
from lid_vae.map import BrenierMap, GradientNetwork, pad_lift, random_lift

kinds = pytest.mark.parametrize("kind", MONOTONE)
anything = {
    "kind": st.sampled_from(MONOTONE),
    "hidden_layers": st.integers(1, 4),
    "key": st.integers(0, 10**6),
    "spread": st.floats(0.05, 3.0),
}


@given(**anything)
@example(kind="softplus all", hidden_layers=4, key=0, spread=1.0)
@example(kind="paper none", hidden_layers=1, key=0, spread=3.0)
def test_closed_form_gradient_is_autograds(kind: str, hidden_layers: int, key: int, spread: float) -> None:
    map_ = randomise(make_monotone(kind, hidden_layers=hidden_layers), key, spread)
    u = (2 * normal(4, 5, 3, key=key)).requires_grad_()
    (oracle,) = torch.autograd.grad(map_.potential(u).sum(), u)
    assert float((map_(u) - oracle).detach().abs().max() / oracle.abs().max()) < 1e-13


@given(**anything)
def test_forward_of_a_lifted_input(kind: str, hidden_layers: int, key: int, spread: float) -> None:
    map_ = randomise(make_monotone(kind, features=5, hidden_layers=hidden_layers, active=2), key, spread)
    lift = random_lift(2, 5).double()
    u = 2 * normal(7, 2, key=key)
    torch.testing.assert_close(map_(u, lift), map_(lift(u)), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(map_.gradient(u, lift), map_.gradient(lift(u)), rtol=1e-9, atol=1e-9)


@given(**anything, distance=st.floats(1e-3, 30.0))
def test_strongly_monotone(kind: str, hidden_layers: int, key: int, spread: float, distance: float) -> None:
    map_ = randomise(make_monotone(kind, hidden_layers=hidden_layers), key, spread)
    a = 2 * normal(50, 3, key=key)
    b = a + distance * torch.nn.functional.normalize(normal(50, 3, key=f"{key} direction"), dim=1)
    rise = ((map_(a) - map_(b)) * (a - b)).sum(1)
    rounding = 1e-14 * (map_(a).norm(dim=1) + map_(b).norm(dim=1)) * distance
    assert map_.certificate() > 0.01
    assert bool((rise >= map_.certificate() * distance**2 * (1 - 1e-12) - rounding).all())


@given(**anything, share=st.floats(0.0, 1.0))
def test_potential_is_strongly_convex_along_segments(
    kind: str, hidden_layers: int, key: int, spread: float, share: float
) -> None:
    map_ = randomise(make_monotone(kind, hidden_layers=hidden_layers), key, spread)
    a, b = 3 * normal(2, 50, 3, key=key)
    chord = (1 - share) * map_.potential(a) + share * map_.potential(b)
    sag = 0.5 * map_.certificate() * share * (1 - share) * (a - b).square().sum(1)
    size = map_.potential(a).abs() + map_.potential(b).abs()
    assert bool((map_.potential((1 - share) * a + share * b) <= chord - sag + 1e-12 * size).all())


@kinds
def test_jacobian_is_symmetric_and_at_least_mu(kind: str) -> None:
    map_ = randomise(make_monotone(kind), "jacobian")
    jacobian = torch.func.vmap(torch.func.jacfwd(map_))(normal(20, 3)).detach()
    torch.testing.assert_close(jacobian, jacobian.mT)
    assert float(torch.linalg.eigvalsh(jacobian).min()) >= map_.certificate() * (1 - 1e-9)


@given(**anything)
def test_inverse_of_forward_is_within_the_certified_distance(
    kind: str, hidden_layers: int, key: int, spread: float
) -> None:
    map_ = randomise(make_monotone(kind, hidden_layers=hidden_layers), key, spread)
    u = 2 * normal(3, 4, 3, key=key)
    with torch.no_grad():
        x = map_(u)
        found = map_.inverse(x)
        residual = (map_(found) - x).norm(dim=-1)
    assert bool((residual <= 1e-6 * (1 + x.norm(dim=-1))).all())
    assert bool(((found - u).norm(dim=-1) <= residual / map_.certificate() * (1 + 1e-9) + 1e-12).all())


@kinds
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_inverse_of_forward(kind: str, dtype: torch.dtype) -> None:
    map_ = make_monotone(kind).to(dtype)
    u = normal(20, 3).to(dtype)
    with torch.no_grad():
        torch.testing.assert_close(map_.inverse(map_(u)), u, atol=1e-5 if dtype == torch.float64 else 1e-3, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("kind", "hidden_layers"), [("softplus last", 3), ("paper all", 1), ("gradient network", 3), ("softplus none", 1)]
)
def test_onto_where_the_gradient_is_continuous(kind: str, hidden_layers: int, dtype: torch.dtype) -> None:
    map_, x = make_monotone(kind, hidden_layers=hidden_layers).to(dtype), 5 * normal(20, 3).to(dtype)
    with torch.no_grad():
        torch.testing.assert_close(map_(map_.inverse(x)), x, atol=1e-5 if dtype == torch.float64 else 1e-3, rtol=0)


def test_a_point_in_a_gap_of_the_papers_image_is_refused() -> None:
    map_ = make_monotone("paper none")
    with torch.no_grad(), pytest.raises(UserError, match=r"with activation=paper the image has gaps"):
        map_.inverse(5 * normal(4, 3))


@pytest.mark.parametrize("kind", ["softplus last", "gradient network"])
def test_the_inverse_in_float32_stops_where_rounding_does(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    map_ = make_monotone(kind).float()
    x = map_(normal(20, 3).float()).detach()
    calls, forward = [], map_.forward
    monkeypatch.setattr(map_, "forward", lambda u: calls.append(0) or forward(u))
    map_.inverse(x)
    assert len(calls) < 60  # two a step, of at most 200


def test_inverse_of_what_is_not_finite_is_refused() -> None:
    with pytest.raises(UserError, match="did not converge"):
        make_monotone("softplus last").inverse(torch.full((1, 3), torch.nan, dtype=torch.float64))


@kinds
@pytest.mark.parametrize("hidden_layers", [1, 3])
def test_every_parameter_gets_a_gradient(kind: str, hidden_layers: int) -> None:
    map_ = make_monotone(kind, hidden_layers=hidden_layers)
    map_(normal(50, 3)).square().sum().backward()
    for name, parameter in map_.named_parameters():
        if kind.startswith("paper") and name in ("network.bias.1", "network.bias.2"):
            assert parameter.grad is None, "a leaky ReLU's slope is piecewise constant, so its threshold cannot learn"
            continue
        assert parameter.grad is not None, name
        assert bool((parameter.grad != 0).any()), name


@kinds
def test_state_dict_holds_every_tensor(kind: str) -> None:
    source, target = randomise(make_monotone(kind), "source"), randomise(make_monotone(kind), "target")
    u = normal(5, 3)
    assert not torch.allclose(source(u), target(u))
    target.load_state_dict(source.state_dict())
    torch.testing.assert_close(target(u), source(u), rtol=0, atol=0)
    torch.testing.assert_close(copy.deepcopy(source)(u), source(u), rtol=0, atol=0)
    tensors = {id(tensor) for module in source.modules() for tensor in vars(module).values() if torch.is_tensor(tensor)}
    assert not tensors, "a tensor outside parameters and buffers is lost in a checkpoint"


@kinds
@pytest.mark.parametrize("lifted", [False, True])
def test_stacked_parameters_under_vmap(kind: str, lifted: bool) -> None:
    maps = [randomise(make_monotone(kind, features=4, active=2), key) for key in range(3)]
    parameters, buffers = torch.func.stack_module_state(maps)
    lift = pad_lift(2, 4).double() if lifted else None
    u = normal(3, 6, 2 if lifted else 4)

    def run(parameters: dict, buffers: dict, u: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(maps[0], (parameters, buffers), (u, lift))

    expected = torch.stack([map_(u_k, lift) for map_, u_k in zip(maps, u, strict=True)])
    torch.testing.assert_close(torch.func.vmap(run)(parameters, buffers, u), expected)

    def loss(parameters: dict, buffers: dict, u: torch.Tensor) -> torch.Tensor:
        return run(parameters, buffers, u).square().sum()

    gradients = torch.func.vmap(torch.func.grad(loss))(parameters, buffers, u)
    for k, map_ in enumerate(maps):
        map_(u[k], lift).square().sum().backward()
        for name, parameter in map_.named_parameters():
            expected = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            torch.testing.assert_close(gradients[name][k], expected)


@kinds
def test_works_in_inference_mode(kind: str) -> None:
    map_, u = make_monotone(kind), normal(5, 3)
    with torch.inference_mode():
        inside = map_(u)
        back = map_.inverse(inside)
    torch.testing.assert_close(inside, map_(u))
    torch.testing.assert_close(back, u, atol=1e-5, rtol=0)


@kinds
def test_output_bias_shifts_the_image(kind: str) -> None:
    map_, u, bias = make_monotone(kind), normal(5, 3), normal(3)
    before = map_(u)
    map_.initialise_bias(bias)
    torch.testing.assert_close(map_(u), before + bias)


@pytest.mark.parametrize("start", [0.5, 1.0, 3.0])
def test_mu_starts_where_it_is_told_and_stays_above_its_floor(start: float) -> None:
    for make in (BrenierMap, GradientNetwork):
        map_ = make(3, 4, 2, strong_convexity=start, strong_convexity_floor=0.25)
        assert map_.certificate() == pytest.approx(start)
        with torch.no_grad():
            map_.raw_strong_convexity.fill_(-60.0)
        assert map_.certificate() == pytest.approx(0.25)


@kinds
def test_an_affine_potential_leaves_the_quadratic(kind: str) -> None:
    map_, u = make_monotone(kind), normal(5, 3)
    with torch.no_grad():
        for name, parameter in map_.named_parameters():
            if "output_weight" in name or "raw_height" in name:
                parameter.fill_(-1000.0)  # softplus: zero weights on every convex unit
    torch.testing.assert_close(map_(u), map_.strong_convexity() * u + map_.output_bias)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strong_convexity": 0.01, "strong_convexity_floor": 0.01}, "0 < strong_convexity_floor < strong_convexity"),
        ({"strong_convexity_floor": 0.0}, "0 < strong_convexity_floor"),
        ({"hidden_layers": 0}, "at least one hidden layer, got hidden_layers=0"),
        ({"sharpness": 0.0}, "sharpness"),
        ({"curvature": -1.0}, "curvature"),
    ],
)
@pytest.mark.parametrize("make", [BrenierMap, GradientNetwork])
def test_meaningless_numbers_are_refused(make: type, options: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        make(**({"features": 2, "width": 3, "hidden_layers": 1} | options))


@pytest.mark.parametrize(("option", "message"), [("skips", "none, last, all"), ("activation", "softplus or paper")])
def test_unknown_names_are_refused(option: str, message: str) -> None:
    with pytest.raises(UserError, match=f"{option}=bogus is not known. Use .*{message}"):
        BrenierMap(2, 3, 1, **{option: "bogus"})
