"""Bernoulli pixels: the right means, the ends exact, and evaluation the same every time."""

import pytest
import torch

from lid_vae.data import Digits
from lid_vae.data.array.binarise import DYNAMIC, FIXED, UNBINARISED, bernoulli, binarisation
from lid_vae.data.split import Split
from lid_vae.errors import UserError
from lid_vae.noise import Counted, Rng, generator

LEVELS = Split(torch.arange(256, dtype=torch.uint8).expand(4000, 256).contiguous())


RNGS = [generator(0, "test"), Counted.of([0], "test", [(0, 0)])[0][0]]


@pytest.mark.parametrize("rng", RNGS, ids=["drawn", "counted"])
def test_each_grey_level_is_the_mean_of_its_draws(rng: Rng) -> None:
    draws = bernoulli(LEVELS.x, rng)
    p = torch.arange(256) / 255
    z = (draws.double().mean(0) - p) / (p * (1 - p) / len(LEVELS)).sqrt()
    # 254 nearly normal deviates beyond 5.5 by chance: probability 1e-5
    assert z[1:-1].abs().max() < 5.5
    # and their squares, chi-square with 254 degrees of freedom (variance 508), beyond 5.5 deviations: below 1e-5
    assert abs(z[1:-1].square().sum() - 254) < 5.5 * 508**0.5


@pytest.mark.parametrize("rng", RNGS, ids=["drawn", "counted"])
def test_black_stays_black_and_white_stays_white(rng: Rng) -> None:
    draws = bernoulli(LEVELS.x, rng)
    assert not draws[:, 0].any()
    assert draws[:, 255].all()


@pytest.mark.parametrize("name", ["dynamic", "fixed"])
def test_evaluation_is_one_draw_of_the_data_seed(name: str) -> None:
    chosen = binarisation(name)
    first, again = (chosen.frozen(LEVELS, seed=0, part="test").x for _ in range(2))
    assert torch.equal(first, again)
    assert set(first.unique().tolist()) == {0, 255}
    assert not torch.equal(first, chosen.frozen(LEVELS, seed=1, part="test").x)
    assert not torch.equal(first, chosen.frozen(LEVELS, seed=0, part="valid").x)


def test_dynamic_draws_anew_and_fixed_does_not() -> None:
    rngs = [generator(0, step) for step in range(2)]
    assert not torch.equal(*(DYNAMIC.prepare(LEVELS.x, rng) for rng in rngs))
    assert torch.equal(*(FIXED.prepare(LEVELS.x, rng) for rng in rngs))


def test_fixed_trains_on_the_pixels_that_it_evaluates() -> None:
    data = Digits(binarise="fixed")
    data.setup()
    evaluated = torch.cat([batch.x for batch in data.batches("train")])
    for step in range(3):
        batch = data.stream().batch(step)
        assert torch.equal(batch.x, evaluated[batch.index])


@pytest.mark.parametrize("name", ["none", None])
def test_none_keeps_grey_levels(name: str | None) -> None:
    chosen = binarisation(name)
    assert chosen is UNBINARISED
    assert not chosen.binary
    grey = chosen.prepare(chosen.frozen(LEVELS, 0, "train").x[:1], generator(0))
    assert torch.allclose(grey, torch.arange(256) / 255, atol=1e-7)


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(UserError, match=r"binarise=threshold .* dynamic, fixed, none"):
        binarisation("threshold")
