"""Schedules at the start, in between, at the end and after it."""

from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lid_vae.errors import UserError
from lid_vae.objective import Constant, Cosine, Cyclical, Delayed, Linear, WarmupCosine

POINTS = [
    (Constant(0.3), {0: 0.3, 50: 0.3, 99: 0.3, 1000: 0.3}),
    (Linear(0.0, 1.0, 0.1), {0: 0.0, 5: 0.5, 10: 1.0, 99: 1.0, 1000: 1.0}),
    (Linear(2.0, 1.0, 1.0), {0: 2.0, 50: 1.5, 100: 1.0}),
    (Cyclical(0.0, 1.0, 4, 0.5), {0: 0.0, 6: 0.48, 13: 1.0, 24: 1.0, 25: 0.0, 31: 0.48, 75: 0.0, 99: 1.0, 500: 1.0}),
    (Cyclical(0.2, 0.4, 2, 1.0), {0: 0.2, 25: 0.3, 49: 0.396, 50: 0.2, 75: 0.3}),
    (Delayed(Linear(0.0, 1.0, 0.5), 0.0, 0.2), {0: 0.0, 19: 0.0, 20: 0.0, 40: 0.5, 60: 1.0, 99: 1.0, 1000: 1.0}),
    (Delayed(Constant(0.7), 0.1, 0.255), {0: 0.1, 25: 0.1, 26: 0.7, 99: 0.7}),
    (Delayed(Linear(0.0, 1.0, 0.1), 0.3, 0.0), {0: 0.0, 5: 0.5, 10: 1.0}),
    (Cosine(), {0: 1.0, 25: 0.5 + sqrt(2) / 4, 50: 0.5, 100: 0.0, 1000: 0.0}),
    (Cosine(0.2), {0: 1.0, 50: 0.6, 100: 0.2}),
    (WarmupCosine(0.1, 0.0), {0: 0.1, 4: 0.5, 9: 1.0, 54: 0.5, 99: 0.0, 1000: 0.0}),
    (WarmupCosine(0.02, 0.01), {0: 0.5, 1: 1.0, 99: 0.01}),
    (WarmupCosine(0.0, 0.5), {99: 0.5}),
]


@pytest.mark.parametrize(("schedule", "points"), POINTS)
def test_values_of_a_hundred_steps(schedule, points: dict[int, float]) -> None:
    assert {step: schedule(step, 100) for step in points} == pytest.approx(points)


@given(
    schedule=st.sampled_from([schedule for schedule, _ in POINTS]),
    step=st.integers(0, 2000),
    steps=st.integers(1, 1000),
)
def test_values_stay_between_the_ends(schedule, step: int, steps: int) -> None:
    if isinstance(schedule, Delayed):
        ends = [schedule.before, *(getattr(schedule.then, name, schedule.before) for name in ("start", "end", "value"))]
        assert min(ends) - 1e-12 <= schedule(step, steps) <= max(ends) + 1e-12
        return
    ends = [getattr(schedule, name) for name in ("start", "end", "value") if hasattr(schedule, name)]
    if isinstance(schedule, Cosine | WarmupCosine):
        ends += [0.0, 1.0]
    assert min(ends) - 1e-12 <= schedule(step, steps) <= max(ends) + 1e-12


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_runs_of_a_few_steps_train(steps: int) -> None:
    assert all(WarmupCosine()(step, steps) > 0 for step in range(steps))
    assert Cosine()(0, steps) == 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Cyclical(cycles=0), "got cycles=0"),
        (lambda: Cyclical(share=0.0), "0 < share <= 1, got .*share=0.0"),
        (lambda: Cyclical(share=1.5), "share=1.5"),
        (lambda: Delayed(Constant(), share=1.0), "got share=1.0"),
        (lambda: Delayed(Constant(), share=-0.1), "got share=-0.1"),
        (lambda: WarmupCosine(warmup=1.0), "got warmup=1.0"),
        (lambda: WarmupCosine(warmup=-0.1), "got warmup=-0.1"),
    ],
)
def test_schedules_that_would_divide_by_zero_are_refused(make, message: str) -> None:
    with pytest.raises(UserError, match=message):
        make()
