"""The linear probe: on latents of which it is known what they tell of the labels."""

import pytest
import torch
from builders import normal

from lid_vae.metrics.linear_probe import linear_probe

N = 600


def labels(count: int, key: str) -> torch.Tensor:
    return (normal(count, key=key) > 0.4).long() + 2 * (normal(count, key=f"{key} 2") > 1.0).long()


def test_dimensions_that_tell_the_label_are_counted() -> None:
    y, y_test = labels(N, "train"), labels(N, "test")

    def latents(y: torch.Tensor, key: str) -> torch.Tensor:
        noise = normal(len(y), 5, key=key)
        parity = 4.0 * (y % 2).double() + 0.1 * noise[:, 0]
        return torch.stack([parity, 100 + 50 * (y // 2) + noise[:, 1], noise[:, 2], noise[:, 3], 0 * noise[:, 4]], -1)

    probe = linear_probe(latents(y, "a"), y, latents(y_test, "b"), y_test)
    assert probe.usable_M[:1] == [True]
    assert probe.usable_M[2:] == [False, False, False]
    assert probe.accuracy > 0.98
    majority = int(torch.mode(y).values)
    assert probe.majority == pytest.approx(float((y_test == majority).double().mean()))
    assert probe.share == sum(probe.usable_M) / 5


def test_a_shift_and_a_scale_change_nothing() -> None:
    y, y_test = labels(N, "train"), labels(N, "test")
    x, x_test = normal(N, 3, key="x") + y.unsqueeze(-1), normal(N, 3, key="y") + y_test.unsqueeze(-1)
    scale, shift = torch.tensor([1e-3, 1.0, 1e4], dtype=torch.float64), torch.tensor([5.0, -100.0, 0.0])
    assert linear_probe(x, y, x_test, y_test) == linear_probe(scale * x + shift, y, scale * x_test + shift, y_test)


def test_latents_that_tell_nothing_give_the_majority() -> None:
    """With 40 dimensions of noise, two standard errors pass by chance in a fortieth of them."""
    y, y_test = labels(N, "train"), labels(N, "test")
    probe = linear_probe(normal(N, 40, key="x"), y, normal(N, 40, key="y"), y_test)
    assert probe.share <= 0.1
    assert probe.accuracy < probe.majority + 0.05
    constant = linear_probe(torch.ones(N, 2), y, torch.ones(N, 2), y_test)
    assert constant.accuracy == constant.majority
    assert constant.share == 0


def test_one_label_is_the_majority() -> None:
    probe = linear_probe(normal(9, 2), torch.zeros(9).long(), normal(4, 2, key=1), torch.tensor([0, 0, 1, 0]))
    assert (probe.accuracy, probe.majority, probe.share) == (0.75, 0.75, 0.0)
