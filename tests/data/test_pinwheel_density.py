"""The pinwheel's density: against autodiff, closed forms, its own integral, and its own samples."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import brentq
from scipy.stats import norm
from torch.func import jacrev, vmap

from lid_vae.data.array.pinwheel_density import PinwheelLaw, warp
from lid_vae.errors import UserError

MEAN = torch.tensor([1.0, 0.0], dtype=torch.float64)
SPREAD = torch.tensor([0.3, 0.05], dtype=torch.float64)


def mass(law: PinwheelLaw, radii: int, angles: int) -> float:
    """The integral of the density, in polar coordinates by the midpoint and the trapezoid rule."""
    limit = math.hypot(1 + 9 * law.radial, 9 * law.tangential) * 10 / law.scale
    rho = (torch.arange(radii, dtype=torch.float64) + 0.5) * (limit / radii)
    # one part of the circle: the arms are rotations of each other, which a test of its own holds them to
    theta = torch.arange(angles, dtype=torch.float64) * (2 * math.pi / law.classes / angles)
    radius, angle = torch.meshgrid(rho, theta, indexing="ij")
    x = torch.stack([radius * angle.cos(), radius * angle.sin()], -1).reshape(-1, 2)
    density = law.log_density(x).exp().reshape(radii, angles)
    return ((density * radius).sum() * (limit / radii) * (2 * math.pi / angles)).item()


@pytest.mark.parametrize(
    "law", [PinwheelLaw(), PinwheelLaw(classes=3, radial=0.2, tangential=0.1, rate=0.5, scale=1.0)]
)
def test_the_density_integrates_to_one(law: PinwheelLaw) -> None:
    assert mass(law, 150, 150) == pytest.approx(1, abs=2e-5)


def test_folded_arms_against_a_search_over_each_arm() -> None:
    # Offsets as wide as the arms: 1 + rate exp(r) t changes sign in the bulk, and points have several base points.
    law = PinwheelLaw(classes=3, radial=0.2, tangential=0.4, rate=1.5, scale=10.0)
    x = law.sample(torch.arange(30) % 3, torch.Generator().manual_seed(4)).numpy()
    grid = np.linspace(-np.pi, np.pi, 5001)
    densities, roots = [], 0
    for point in x:
        rho, density = np.hypot(*point), 0.0
        for turn in 2 * np.pi / 3 * np.arange(3):

            def off(phi: float, rho: float = rho, turn: float = turn, point: np.ndarray = point) -> np.ndarray:
                """The sine and cosine of the angle from the point to the arm's image of the base point at phi."""
                angle = phi - turn - 1.5 * np.exp(rho * np.cos(phi)) - np.arctan2(point[1], point[0])
                return np.array([np.sin(angle), np.cos(angle)])

            sine, cosine = off(grid)
            for cell in np.flatnonzero((sine[1:] > 0) != (sine[:-1] > 0)):
                if cosine[cell] > 0:
                    phi = brentq(lambda phi, off=off: off(phi)[0], grid[cell], grid[cell + 1], xtol=1e-14)
                    r, t = rho * np.cos(phi), rho * np.sin(phi)
                    weight = norm.pdf(r, 1, 0.2) * norm.pdf(t, 0, 0.4) / 3
                    density += weight / abs(1 + 1.5 * np.exp(r) * t)
                    roots += 1
        densities.append(density)
    assert roots > 30 * 4  # there are folds: without them each of the three arms has one
    assert np.allclose(law.log_density(torch.from_numpy(x)).numpy(), np.log(densities), atol=1e-8)


def test_one_arm_against_the_change_of_variables_by_autodiff() -> None:
    law = PinwheelLaw(classes=1, scale=10.0)
    rng = torch.Generator().manual_seed(0)
    u = MEAN + torch.randn(500, 2, generator=rng, dtype=torch.float64) * torch.tensor([0.15, 0.04])

    def one(point: torch.Tensor) -> torch.Tensor:
        return warp(point, torch.zeros((), dtype=torch.float64), law.rate)

    jacobian = vmap(jacrev(one))(u)
    base = torch.distributions.Normal(MEAN, SPREAD)
    expected = base.log_prob(u).sum(1) - jacobian.det().abs().log()
    assert torch.allclose(law.log_density(one(u)), expected, atol=1e-9)


def test_without_rotation_one_arm_is_a_gaussian() -> None:
    law = PinwheelLaw(classes=1, rate=0.0, scale=10.0)
    x = MEAN + torch.randn(500, 2, generator=torch.Generator().manual_seed(1)).double() * 0.3
    base = torch.distributions.Normal(MEAN, SPREAD)
    assert torch.allclose(law.log_density(x), base.log_prob(x).sum(1), atol=1e-8)
    # the entropy of a Gaussian: 1 + log 2 pi + log 0.3 + log 0.05
    assert law.expected_log_density() == pytest.approx(-(1 + math.log(2 * math.pi * 0.3 * 0.05)), abs=1e-8)


def test_far_separated_arms_cost_log_k() -> None:
    one, many = (PinwheelLaw(classes=k, radial=0.05, tangential=0.01) for k in (1, 5))
    assert one.expected_log_density() - many.expected_log_density() == pytest.approx(math.log(5), abs=1e-6)


def test_the_density_is_the_same_in_every_arm() -> None:
    law = PinwheelLaw()
    x = 2 * torch.randn(300, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    turn = 2 * math.pi / 5
    rotation = torch.tensor([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]], dtype=torch.float64)
    x = x[x.norm(dim=1) < 6]
    assert torch.allclose(law.log_density(x), law.log_density(x @ rotation), atol=1e-7, rtol=1e-7)


def test_points_beyond_all_arms_are_impossible() -> None:
    assert PinwheelLaw().log_density(torch.tensor([[9.0, 0.0], [1e30, 0.0]])).tolist() == [-math.inf, -math.inf]


def test_expected_log_density() -> None:
    law = PinwheelLaw()
    ceiling = law.expected_log_density()
    assert ceiling == pytest.approx(-1.63058, abs=2e-5)
    assert PinwheelLaw(scale=1.0).expected_log_density() == pytest.approx(ceiling - 2 * math.log(5), abs=1e-9)
    samples = law.log_density(law.sample(torch.arange(20_000) % 5, torch.Generator().manual_seed(0)))
    # beyond 4.5 standard errors by chance: probability 7e-6
    assert abs(samples.mean() - ceiling) < 4.5 * samples.std() / 20_000**0.5


@pytest.mark.parametrize("option", ["classes", "radial", "tangential", "scale"])
def test_numbers_that_are_no_spread_are_refused(option: str) -> None:
    with pytest.raises(UserError, match=f"{option}=0"):
        PinwheelLaw(**{option: 0 if option == "classes" else 0.0})
    with pytest.raises(UserError, match=r"rate=-1.0"):
        PinwheelLaw(rate=-1.0)
