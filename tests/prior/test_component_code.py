"""Codes: categories that differ whatever is learned, and as far apart as the dimension lets them."""

from math import pi, sin, sqrt

import pytest
import torch
from builders import randomise

from lid_vae.errors import UserError
from lid_vae.prior import ComponentCode
from lid_vae.prior.component_code import regular_code

SIZES = [(1, 3), (2, 1), (3, 2), (5, 4), (10, 64), (5, 2), (10, 2), (7, 1), (10, 5), (50, 16)]
sizes = pytest.mark.parametrize(("categories", "dimension"), SIZES)


@sizes
def test_regular_codes_differ_and_fit_the_unit_ball(categories: int, dimension: int) -> None:
    code = regular_code(categories, dimension)
    assert code.shape == (categories, dimension)
    assert code.dtype == torch.float32
    assert float(code.norm(dim=1).max()) <= 1 + 1e-6
    if categories > 1:
        assert float(torch.pdist(code).min()) > 0.25
    torch.testing.assert_close(code, regular_code(categories, dimension), rtol=0, atol=0)


@pytest.mark.parametrize(("categories", "dimension"), [(2, 1), (3, 2), (5, 4), (10, 64)])
def test_a_simplex_where_it_fits(categories: int, dimension: int) -> None:
    code = regular_code(categories, dimension)
    side = sqrt(2 * categories / (categories - 1))
    torch.testing.assert_close(torch.pdist(code), torch.full((categories * (categories - 1) // 2,), side))
    torch.testing.assert_close(code.norm(dim=1), torch.ones(categories))
    torch.testing.assert_close(code.mean(0), torch.zeros(dimension), atol=1e-6, rtol=0)


def test_a_circle_in_the_plane_and_a_line_in_one_dimension() -> None:
    assert float(torch.pdist(regular_code(8, 2)).min()) == pytest.approx(2 * sin(pi / 8), rel=1e-5)
    torch.testing.assert_close(regular_code(5, 1).squeeze(1), torch.linspace(-1, 1, 5))


def test_the_spread_code_beats_random_directions() -> None:
    random = torch.nn.functional.normalize(torch.randn(200, 10, 5, generator=torch.Generator().manual_seed(0)), dim=-1)
    best = max(float(torch.pdist(rows).min()) for rows in random)
    spread = regular_code(10, 5)
    assert float(torch.pdist(spread).min()) > best
    torch.testing.assert_close(spread.norm(dim=1), torch.ones(10))


@sizes
def test_regular_categories_differ_whatever_is_learned(categories: int, dimension: int) -> None:
    fixed = ComponentCode(categories, dimension, "regular", size=0.5, floor=0.01)
    smallest = float(torch.pdist(fixed.points).min()) if categories > 1 else float("inf")
    for key in range(3):
        code = randomise(ComponentCode(categories, dimension, "regular", size=0.5, floor=0.01), key, 3.0)
        assert code.separation() >= 0.01 * smallest * (1 - 1e-5)
        distances = torch.pdist(code().detach()) if categories > 1 else torch.zeros(0)
        size = code.separation() / smallest  # one size and a rotation: all distances scale alike
        if categories > 1:
            torch.testing.assert_close(distances, size * torch.pdist(code.points), rtol=1e-6, atol=1e-9)


def test_the_floor_holds() -> None:
    code = ComponentCode(5, 2, "regular", size=0.5, floor=0.1)
    with torch.no_grad():
        code.raw_size.fill_(-60.0)
    assert code.separation() == pytest.approx(0.1 * 2 * sin(pi / 5), rel=1e-5)


@pytest.mark.parametrize("size", [0.1, 1.0])
def test_starts_at_its_size(size: float) -> None:
    torch.testing.assert_close(ComponentCode(5, 8, "regular", size)().norm(dim=1), torch.full((5,), size))
    torch.manual_seed(0)
    learned = ComponentCode(500, 8, "learned", size)()
    assert float(learned.square().sum(1).mean().sqrt().detach()) == pytest.approx(size, rel=0.1)


def test_separation_of_a_learned_code_is_the_smallest_distance() -> None:
    code = ComponentCode(3, 2, "learned", 1.0)
    with torch.no_grad():
        code.weight.copy_(torch.tensor([[0.0, 0.0], [3.0, 4.0], [3.0, 4.5]]))
    assert code.separation() == pytest.approx(0.5)
    with torch.no_grad():
        code.weight[2] = code.weight[1]
    assert code.separation() == 0


@pytest.mark.parametrize("kind", ["regular", "learned"])
def test_gradients_reach_every_parameter_and_the_state_is_complete(kind: str) -> None:
    code = ComponentCode(5, 3, kind, 0.5)
    (code() * torch.arange(15.0).view(5, 3).square()).sum().backward()
    assert all(bool((parameter.grad != 0).any()) for parameter in code.parameters())
    other = randomise(ComponentCode(5, 3, kind, 0.2), "other").float()
    other.load_state_dict(code.state_dict())
    torch.testing.assert_close(other(), code())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 2), "at least one category, got categories=0"),
        ((3, 2, "regular", 0.01), "0 < floor < size, got floor=0.01 and size=0.01"),
        ((3, 2, "bogus"), r"kind=bogus is not known. Use regular \(certified\) or learned"),
    ],
)
def test_meaningless_codes_are_refused(arguments: tuple, message: str) -> None:
    with pytest.raises(UserError, match=message):
        ComponentCode(*arguments)
