"""Bounds of spectral norms: never below the largest singular value, hardly above it, finite wherever they are taken."""

import pytest
import torch
from builders import normal
from hypothesis import given
from hypothesis import strategies as st

from lid_vae.map import spectral_norm_bounds

SHAPES = [(1, 1), (1, 7), (7, 1), (3, 5), (40, 6)]


@given(key=st.integers(0, 10**6), power=st.integers(-8, 20))
def test_never_below_the_largest_singular_value_and_hardly_above(key: int, power: int) -> None:
    matrices = [10.0**power * normal(*shape, key=key) for shape in SHAPES]
    found = spectral_norm_bounds(matrices)
    exact = torch.stack([torch.linalg.matrix_norm(matrix, 2) for matrix in matrices])
    assert bool((found >= exact * (1 - 1e-13)).all())
    rank = torch.tensor([min(shape) for shape in SHAPES])
    assert bool((found <= exact * rank ** (1 / 256) * (1 + 1e-12)).all())


def test_equal_singular_values_are_the_worst_case() -> None:
    (found,) = spectral_norm_bounds([torch.eye(100)])
    assert 1 <= float(found) == pytest.approx(100 ** (1 / 256))


def test_one_row_or_one_column_is_exact() -> None:
    matrices = [normal(1, 9), normal(9, 1)]
    torch.testing.assert_close(spectral_norm_bounds(matrices), torch.stack([matrix.norm() for matrix in matrices]))


def test_the_bound_of_one_does_not_hang_on_the_others() -> None:
    alone = spectral_norm_bounds([normal(3, 5)])
    together = spectral_norm_bounds([1e6 * normal(8, 8), normal(3, 5), torch.zeros(2, 2)])
    torch.testing.assert_close(together[1:2], alone)


@pytest.mark.parametrize("shape", [(1, 4), (4, 4)])
@pytest.mark.parametrize("scale", [0.0, 1e-20, 1e-12, 1e30])
def test_bound_and_gradient_are_finite_from_zero_to_the_largest_weights(shape: tuple[int, int], scale: float) -> None:
    matrix = (scale * normal(*shape)).requires_grad_()
    (found,) = spectral_norm_bounds([matrix])
    found.backward()
    assert bool(torch.isfinite(found))
    assert found.item() >= torch.linalg.matrix_norm(matrix.detach(), 2).item() * (1 - 1e-13)
    assert bool(torch.isfinite(matrix.grad).all())


def test_gradient_is_that_of_the_bound() -> None:
    assert torch.autograd.gradcheck(lambda *a: spectral_norm_bounds(a), (normal(3, 4).requires_grad_(), normal(1, 2)))
    assert torch.autograd.gradgradcheck(lambda a: spectral_norm_bounds([a]), (normal(3, 4).requires_grad_(),))


def test_under_vmap() -> None:
    stack = normal(5, 3, 4)
    found = torch.func.vmap(lambda matrix: spectral_norm_bounds([matrix]))(stack)
    torch.testing.assert_close(found, torch.stack([spectral_norm_bounds([matrix]) for matrix in stack]))
