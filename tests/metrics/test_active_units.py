"""Active units against NumPy, with a threshold relative to the prior variance and halves that cancel sampling noise."""

import numpy as np
import pytest
import torch
from builders import normal
from hypothesis import given
from hypothesis import strategies as st

from lid_vae.errors import UserError
from lid_vae.metrics import ActiveUnits
from lid_vae.noise import generator


@given(count=st.integers(2, 200), key=st.integers(0, 10**6), batch=st.integers(1, 64))
def test_variances_are_numpys_in_any_batches(count: int, key: int, batch: int) -> None:
    mean = 3 + normal(count, 4, key=key) * torch.tensor([2.0, 1.0, 0.3, 0.01])
    units = ActiveUnits(torch.ones(4))
    for piece in mean.split(batch):
        units.update(piece)
    variance = torch.as_tensor(mean.numpy().var(0))
    torch.testing.assert_close(units.activity(), variance, rtol=1e-9, atol=1e-12)
    assert float(units.compute()) == pytest.approx(float((variance >= 0.01).double().mean()))
    assert units.active().tolist() == (variance >= 0.01).tolist()


def test_the_threshold_is_a_share_of_the_prior_variance() -> None:
    mean = normal(5000, 3) * torch.tensor([1.0, 0.09, 0.11])
    assert float(ActiveUnits(torch.ones(3)).to("cpu")(mean)) == pytest.approx(2 / 3)
    wide = ActiveUnits(torch.tensor([1.0, 4.0, 4.0]))
    wide.update(mean)
    assert wide.active().tolist() == [True, False, False]
    assert float(wide.absolute()) == pytest.approx(2 / 3)
    strict = ActiveUnits(torch.ones(3), threshold=1e-4)
    strict.update(mean)
    assert float(strict.compute()) == 1


def test_the_boundary_counts_as_active() -> None:
    units = ActiveUnits(torch.ones(1).double())
    units.update(torch.tensor([[-0.125], [0.125]]).double())  # variance 1/64
    assert units.active().tolist() == [True]
    exact = ActiveUnits(torch.ones(1).double(), threshold=1 / 64)
    exact.update(torch.tensor([[-0.125], [0.125]]).double())
    assert exact.active().tolist() == [True]


def test_a_perfect_code_of_a_hundred_categories_is_active() -> None:
    probability = torch.eye(100).repeat(3, 1)
    prior = torch.full((100,), 0.01)
    units = ActiveUnits(prior * (1 - prior))
    units.update(probability)
    assert float(units.compute()) == 1
    assert float(units.absolute()) == 0  # what the absolute rule calls dead


def test_a_constant_posterior_is_dead() -> None:
    units = ActiveUnits(torch.ones(2))
    for _ in range(3):
        units.update(torch.full((7, 2), 1e3))
    assert float(units.compute()) == 0


def test_independent_halves_cancel_the_noise_of_sampled_means() -> None:
    """Two samples a mean, whose own variance is below the threshold: 4.5 standard errors, false alarms 1e-5."""
    count, samples = 20000, 2
    exact = 0.05 * normal(count, 1)  # variance 0.0025 < 0.01
    draws = exact + torch.randn(2, samples, count, 1, generator=generator("halves"), dtype=torch.float64)
    first, second = draws[0].mean(0), draws[1].mean(0)
    naive, halves = ActiveUnits(torch.ones(1)), ActiveUnits(torch.ones(1))
    naive.update((first + second) / 2)
    halves.update(first, second)
    assert float(naive.compute()) == 1  # noise of variance 1/4 looks like activity
    assert float(halves.compute()) == 0
    product = (first - first.mean()) * (second - second.mean())
    error = float(product.std()) / count**0.5
    assert abs(float(halves.activity()) - float(exact.var())) < 4.5 * error


def test_halves_in_batches_are_numpys_covariance() -> None:
    first, second = normal(2, 50, 3)
    units = ActiveUnits(torch.ones(3))
    for one, two in zip(first.split(8), second.split(8), strict=True):
        units.update(one, two)
    covariance = [np.cov(first[:, d], second[:, d], bias=True)[0, 1] for d in range(3)]
    torch.testing.assert_close(units.activity(), torch.tensor(covariance))


def test_reset_forgets_and_the_prior_stays() -> None:
    units = ActiveUnits(torch.tensor([4.0]))
    units.update(normal(10, 1))
    units.reset()
    mean = normal(10, 1, key="again")
    units.update(mean)
    torch.testing.assert_close(units.activity(), mean.var(0, unbiased=False))
    assert units.prior_variance.tolist() == [4.0]


@pytest.mark.parametrize("shape", [(5,), (5, 2), (2, 5, 3)])
def test_means_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match=r"posterior means of shape \[B, 3\], got"):
        ActiveUnits(torch.ones(3)).update(torch.zeros(shape))
