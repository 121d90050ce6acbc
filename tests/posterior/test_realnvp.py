"""RealNVP: its determinant against autodiff and against zuko, its inverse, and that every dimension moves."""

import pytest
import torch
from builders import normal, randomise
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import Distribution, Independent, Normal
from torch.distributions.transforms import AffineTransform

from lid_vae.distribution import FlowGaussian
from lid_vae.errors import UserError
from lid_vae.posterior import RealNVP


def make(
    dimension: int,
    couplings: int = 2,
    hidden_layers: int = 1,
    key: object = 0,
    spread: float = 1.0,
    context: int = 0,
) -> RealNVP:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return randomise(RealNVP(dimension, 5, couplings, hidden_layers, context), key, spread)


flows = {
    "dimension": st.integers(2, 6),
    "couplings": st.integers(2, 5),
    "hidden_layers": st.integers(1, 3),
    "key": st.integers(0, 10**6),
    "spread": st.floats(0.05, 1.0),
}


@given(**flows)
def test_determinant_is_autodiffs(dimension: int, couplings: int, hidden_layers: int, key: int, spread: float) -> None:
    flow = make(dimension, couplings, hidden_layers, key, spread)
    u = normal(4, dimension, key=key)
    jacobian = torch.func.vmap(torch.func.jacrev(lambda v: flow(v)[0]))(u)
    torch.testing.assert_close(flow(u)[1], torch.linalg.slogdet(jacobian).logabsdet, rtol=1e-8, atol=1e-8)


@given(**flows)
def test_inverse_of_forward(dimension: int, couplings: int, hidden_layers: int, key: int, spread: float) -> None:
    flow = make(dimension, couplings, hidden_layers, key, spread)
    u = normal(3, 4, dimension, key=key)
    scale = 1 + float(flow(u)[0].detach().abs().max())
    torch.testing.assert_close(flow.inverse(flow(u)[0]), u, rtol=0, atol=1e-11 * scale)
    torch.testing.assert_close(flow(flow.inverse(u))[0], u, rtol=1e-7, atol=1e-7)


@given(**flows)
def test_with_a_context_it_is_a_flow_for_each_of_them(
    dimension: int, couplings: int, hidden_layers: int, key: int, spread: float
) -> None:
    """One of the context held still has autodiff's determinant and an inverse; another context, another map."""
    flow = make(dimension, couplings, hidden_layers, key, spread, context=3)
    u, context = normal(4, dimension, key=key), normal(4, 3, key=("context", key))
    w, log_determinant = flow(u, context)
    jacobian = torch.func.vmap(torch.func.jacrev(lambda v, c: flow(v, c)[0]))(u, context)
    torch.testing.assert_close(log_determinant, torch.linalg.slogdet(jacobian).logabsdet, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(flow.inverse(w, context), u, rtol=0, atol=1e-11 * (1 + float(w.detach().abs().max())))
    assert not torch.allclose(flow(u, context + 1)[0], w)
    draws = u.expand(7, 2, 4, dimension)
    torch.testing.assert_close(flow(draws, context[None])[0], w.expand(7, 2, 4, dimension))


@pytest.mark.parametrize("context", [0, 3])
@pytest.mark.parametrize("dimension", [2, 3, 6])
def test_density_is_zukos(dimension: int, context: int) -> None:
    """The same flow out of zuko's parts: permutations and couplings with equal weights, and equal contexts."""
    import zuko  # switches argument validation off for the whole process

    Distribution.set_default_validate_args(True)
    flow = make(dimension, couplings=3, context=context)
    features = normal(20, context, key="context") if context else None
    parts = []
    for coupling in flow.couplings:

        def meta(kept: torch.Tensor, coupling=coupling):
            log_scale, shift = coupling._coefficients(kept, features)
            return zuko.transforms.DependentTransform(AffineTransform(shift, log_scale.exp()), 1)

        parts += [
            zuko.transforms.PermutationTransform(coupling.permutation),
            zuko.transforms.CouplingTransform(meta, torch.arange(dimension) < coupling.kept),
        ]
    transform = zuko.transforms.ComposedTransform(*parts)
    u = normal(20, dimension)
    w, log_determinant = transform.call_and_ladj(u)
    torch.testing.assert_close(flow(u, features)[0], w)
    torch.testing.assert_close(flow(u, features)[1], log_determinant)
    mean, scale = normal(1, 20, dimension, key="mean"), normal(1, 20, dimension, key="scale").exp()
    oracle = zuko.distributions.NormalizingFlow(transform.inv, Independent(Normal(mean[0], scale[0]), 1))
    point = normal(20, dimension, key="point")
    q = FlowGaussian(mean, scale, None, [flow], None if features is None else features[None])
    torch.testing.assert_close(q.log_prob(point[None, None])[0, 0], oracle.log_prob(point), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("dimension", [2, 3, 7])
def test_starts_as_a_permutation(dimension: int) -> None:
    torch.manual_seed(0)
    flow, u = RealNVP(dimension, 5), torch.randn(10, dimension)
    w, log_determinant = flow(u)
    torch.testing.assert_close(w.sort(-1).values, u.sort(-1).values)
    torch.testing.assert_close(log_determinant, torch.zeros(10))


@pytest.mark.parametrize("dimension", [2, 3, 4, 7])
@pytest.mark.parametrize("couplings", [2, 3])
def test_every_dimension_moves(dimension: int, couplings: int) -> None:
    """Each number of u is scaled by a factor that depends on the others."""
    flow = make(dimension, couplings)
    jacobian = torch.func.vmap(torch.func.jacrev(lambda v: flow(v)[0]))(normal(20, dimension)).detach()
    gain = jacobian.norm(dim=1)  # of each input number over the outputs
    assert bool((gain.std(0) > 1e-3).all())


def test_scales_are_bounded() -> None:
    flow = make(4, couplings=3, spread=30.0)
    assert float(flow(100 * normal(200, 4))[1].abs().max().detach()) <= 3 * 2 * 2.0  # three layers, two numbers each


@pytest.mark.parametrize("context", [0, 3])
@pytest.mark.parametrize("hidden_layers", [1, 2])
def test_every_parameter_learns_and_the_state_is_complete(hidden_layers: int, context: int) -> None:
    flow = make(5, hidden_layers=hidden_layers, context=context)
    features = normal(40, context, key="context") if context else None
    w, log_determinant = flow(normal(40, 5), features)
    (w.square().sum() + log_determinant.sum()).backward()
    assert all(bool((parameter.grad != 0).any()) for parameter in flow.parameters())
    torch.manual_seed(7)  # other permutations
    other = RealNVP(5, 5, 2, hidden_layers, context).double()
    other.load_state_dict(flow.state_dict())
    u, features = normal(4, 5), None if features is None else features[:4]
    torch.testing.assert_close(other(u, features), flow(u, features), rtol=0, atol=0)
    torch.testing.assert_close(other.inverse(u, features), flow.inverse(u, features), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1, 5), r"needs two dimensions or more, got dimension=1. Use gaussian_family"),
        ((3, 5, 1), r"two coupling layers or more .* got couplings=1"),
        ((3, 5, 2, 0), r"at least one hidden layer, got hidden_layers=0"),
    ],
)
def test_meaningless_flows_are_refused(arguments: tuple[int, ...], message: str) -> None:
    with pytest.raises(UserError, match=message):
        RealNVP(*arguments)
