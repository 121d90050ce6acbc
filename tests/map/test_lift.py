"""Lifts: orthonormal columns, distances kept, principal directions, and fewer dimensions refused."""

from functools import partial

import pytest
import torch
from builders import normal
from sklearn.decomposition import PCA

from lid_vae.errors import UserError
from lid_vae.map import CyclicLift, DenseLift, Lift, pad_lift, pca_lift, random_lift, spread_lift
from lid_vae.map.lift import axes_shared

DATA = normal(200, 6) * torch.tensor([1.0, 5.0, 0.2, 3.0, 0.5, 2.0]) + 10


LIFTS = [
    pad_lift(3, 6),
    random_lift(3, 6),
    pca_lift(3, DATA),
    spread_lift(3, 6),
    spread_lift(3, 8),
    pad_lift(4, 4),
    spread_lift(4, 4),
    pca_lift(6, DATA),
]


def matrix(lift: Lift) -> torch.Tensor:
    """B, column by column."""
    return lift(torch.eye(lift.in_features)).mT


@pytest.mark.parametrize("lift", LIFTS)
def test_columns_are_orthonormal_and_distances_kept(lift: Lift) -> None:
    columns = matrix(lift)
    assert columns.shape == (lift.out_features, lift.in_features)
    torch.testing.assert_close(columns.mT @ columns, torch.eye(lift.in_features), atol=1e-6, rtol=0)
    a, b = normal(2, 10, lift.in_features).float()
    torch.testing.assert_close((lift(a) - lift(b)).norm(dim=1), (a - b).norm(dim=1))


@pytest.mark.parametrize("lift", LIFTS)
def test_transposed_is_the_product_with_the_transposed_matrix(lift: Lift) -> None:
    x = normal(2, 7, lift.out_features).float()
    torch.testing.assert_close(lift.transposed(x), x @ matrix(lift), atol=1e-6, rtol=1e-5)


def test_spread_moves_every_dimension_and_pad_the_first_alone() -> None:
    assert bool((matrix(spread_lift(3, 8)) != 0).sum(1).eq(1).all())
    assert matrix(pad_lift(3, 8))[3:].abs().max() == 0


@pytest.mark.parametrize("lift", LIFTS)
def test_projected_is_the_transposed_of_the_columns(lift: Lift) -> None:
    weight = normal(lift.out_features, 5).float()
    torch.testing.assert_close(lift.projected(weight), matrix(lift).mT @ weight, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("lift", LIFTS)
def test_affine_is_a_layer_and_the_lift(lift: Lift) -> None:
    layer, hidden, u = torch.nn.Linear(4, lift.out_features), normal(2, 7, 4).float(), normal(2, 7, lift.in_features)
    torch.testing.assert_close(lift.affine(hidden, layer, u.float()), layer(hidden) + lift(u.float()))


@pytest.mark.parametrize("lift", LIFTS)
def test_added_is_a_sum(lift: Lift) -> None:
    x, u = normal(7, lift.out_features).float(), normal(7, lift.in_features, key="u").float()
    torch.testing.assert_close(lift.added(x, u), x + lift(u))


class TestInBlocks:
    """As a vocabulary's lift is added: the same sum, with its derivatives, alone and stacked over seeds."""

    @pytest.fixture(autouse=True, params=[1, 6, 1024])
    def small_blocks(self, request, monkeypatch):
        """One block of columns at a time, several, and all."""
        monkeypatch.setattr("lid_vae.map.lift.MANY", 1)
        monkeypatch.setattr("lid_vae.map.blocks.WIDE", request.param)

    @pytest.fixture(params=[(3, 8), (3, 9), (4, 4), (5, 6), (2, 17)])
    def lift(self, request):
        return spread_lift(*request.param).double()

    def test_it_is_what_is_used(self, lift):
        x = normal(2, lift.out_features).requires_grad_()
        assert type(lift.added(x, normal(2, lift.in_features)).grad_fn).__name__ == "AddedBlocksBackward"

    def test_the_sum(self, lift):
        x, u = normal(2, 7, lift.out_features), normal(2, 7, lift.in_features, key="u")
        torch.testing.assert_close(lift.added(x, u), x + lift(u))

    def test_derivatives(self, lift):
        x, u = normal(2, 2, lift.out_features).requires_grad_(), normal(2, 2, lift.in_features).requires_grad_()
        assert torch.autograd.gradcheck(lift.added, (x, u))
        assert torch.autograd.gradgradcheck(lift.added, (x, u))

    @pytest.mark.parametrize("dims", [(0, 0, 0), (0, 0, None), (0, None, 0), (None, 0, 0), (1, 2, 0)])
    def test_stacked(self, lift, dims):
        """Also a gradient under the stack, as a training step of several seeds takes it."""
        shapes = [(4, 5, lift.out_features), (4, 5, lift.in_features), (lift.out_features,)]
        inputs = [
            normal(*shape, key=shape) if dim is None else normal(3, *shape, key=shape).movedim(0, dim)
            for shape, dim in zip(shapes, dims, strict=True)
        ]

        def loss(x, u, value):
            lift.value = value
            return lift.added(x, u).square().sum()

        def plain(x, u, value):
            lift.value = value
            return (x + lift(u)).square().sum()

        found, expected = (
            torch.func.vmap(torch.func.grad(function, argnums=(0, 1)), in_dims=dims)(*inputs)
            for function in (loss, plain)
        )
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one, other)

    def test_a_layer_and_the_lift(self, lift):
        layer = torch.nn.Linear(4, lift.out_features).double()
        hidden, u = normal(2, 7, 4), normal(2, 7, lift.in_features)
        found = lift.affine(hidden, layer, u)
        assert type(found.grad_fn).__name__ == "AffineBlocksBackward"
        torch.testing.assert_close(found, layer(hidden) + lift(u))

    def test_derivatives_of_a_layer_and_the_lift(self, lift):
        layer = torch.nn.Linear(4, lift.out_features).double()

        def affine(hidden, u, weight, bias):
            state = {"layer.weight": weight, "layer.bias": bias}
            return torch.func.functional_call(_Affine(lift, layer), state, (hidden, u))

        inputs = normal(2, 4), normal(2, lift.in_features), normal(lift.out_features, 4), normal(lift.out_features)
        inputs = tuple(tensor.requires_grad_() for tensor in inputs)
        assert torch.autograd.gradcheck(affine, inputs)
        assert torch.autograd.gradgradcheck(affine, inputs)

    @pytest.mark.parametrize(
        "dims", [(0, 0, 0, 0, 0), (0, 0, None, None, None), (None, None, 0, 0, 0), (1, 2, 0, 1, 0)]
    )
    def test_a_layer_and_the_lift_stacked(self, lift, dims):
        layer = torch.nn.Linear(4, lift.out_features).double()
        shapes = [(5, 4), (5, lift.in_features), (lift.out_features, 4), (lift.out_features,), (lift.out_features,)]
        inputs = [
            normal(*shape, key=shape) if dim is None else normal(3, *shape, key=shape).movedim(0, min(dim, len(shape)))
            for shape, dim in zip(shapes, dims, strict=True)
        ]

        def loss(hidden, u, weight, bias, value, plain=False):
            state = {"layer.weight": weight, "layer.bias": bias, "lift.value": value}
            return torch.func.functional_call(_Affine(lift, layer, plain), state, (hidden, u)).square().sum()

        found, expected = (
            torch.func.vmap(torch.func.grad(function, argnums=(0, 1, 2, 3)), in_dims=dims)(*inputs)
            for function in (loss, partial(loss, plain=True))
        )
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one, other)


class _Affine(torch.nn.Module):
    """A layer and a lift, as a module, whose state can be replaced."""

    def __init__(self, lift: Lift, layer: torch.nn.Linear, plain: bool = False) -> None:
        super().__init__()
        self.lift, self.layer, self.plain = lift, layer, plain

    def forward(self, hidden: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return self.layer(hidden) + self.lift(u) if self.plain else self.lift.affine(hidden, self.layer, u)


def test_pad_keeps_the_numbers_and_appends_zeros() -> None:
    u = normal(4, 2).float()
    torch.testing.assert_close(pad_lift(2, 5)(u), torch.nn.functional.pad(u, (0, 3)))


def test_pca_is_scikit_learns() -> None:
    oracle = torch.as_tensor(PCA(3).fit(DATA.numpy()).components_).T
    lift = pca_lift(3, DATA).weight.double()
    torch.testing.assert_close((lift * oracle).sum(0).abs(), torch.ones(3).double(), atol=1e-6, rtol=0)
    assert bool((lift.gather(0, lift.abs().argmax(0, keepdim=True)) > 0).all())


def test_random_lifts_are_uniform_over_signs_and_directions() -> None:
    # Entries of a uniform orthonormal 4 x 2 matrix have mean 0 and variance 1/4; 4000 draws, false alarms 1e-4.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        draws = torch.stack([random_lift(2, 4).weight for _ in range(4000)])
    assert float(draws.mean(0).abs().max()) < 4.3 * 0.5 / 4000**0.5  # the largest of eight
    assert float((draws.square().mean(0) - 0.25).abs().max()) < 4.3 * 0.18 / 4000**0.5


@pytest.mark.parametrize("make", [pad_lift, random_lift, spread_lift, lambda m, d: pca_lift(m, DATA[:, :d])])
def test_fewer_dimensions_are_refused(make) -> None:
    with pytest.raises(UserError, match=r"got 5 -> 4, which cannot be injective. Use a latent dimension of at most 4"):
        make(5, 4)


def test_other_matrices_are_refused() -> None:
    with pytest.raises(UserError, match="5 -> 4"):
        DenseLift(torch.eye(4, 5))
    with pytest.raises(UserError, match=r"orthonormal columns. Use pad_lift, random_lift or pca_lift"):
        DenseLift(2 * torch.eye(4, 2))
    with pytest.raises(UserError, match="a column of this one is zero"):
        CyclicLift(3, torch.tensor([1.0, 1.0, 0.0, 1.0]))


def test_the_axes_of_shared_data_are_found_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Within it of each shape; outside anew, whatever was found there."""
    found = []
    eigh = torch.linalg.eigh
    monkeypatch.setattr(torch.linalg, "eigh", lambda matrix: found.append(1) or eigh(matrix))
    data = normal(50, 5)
    alone = pca_lift(3, data)
    with axes_shared():
        first, second = pca_lift(3, data), pca_lift(2, data.clone())
        assert len(found) == 2
        assert torch.equal(first.weight, alone.weight)
        assert torch.equal(second.weight, alone.weight[:, :2])
        pca_lift(1, normal(50, 4))
        assert len(found) == 3
    data[:, 0] *= 100
    assert abs(float(pca_lift(1, data).weight[0, 0])) == pytest.approx(1, abs=1e-3)
    with axes_shared():
        assert torch.equal(pca_lift(1, data).weight, pca_lift(1, data).weight)
    assert len(found) == 5
