"""The pinwheel's points: Johnson's formula, equal classes, and arms that are rotations of each other."""

import math

import numpy as np
import torch

from lid_vae.data import Pinwheel
from lid_vae.data.array.pinwheel_density import PinwheelLaw


def test_samples_follow_johnsons_code() -> None:
    labels = torch.arange(1000) % 5
    ours = PinwheelLaw(scale=1.0).sample(labels, torch.Generator().manual_seed(3))
    # his code, in NumPy, on the same normal deviates
    noise = torch.randn(1000, 2, generator=torch.Generator().manual_seed(3), dtype=torch.float64).numpy()
    features = noise * np.array([0.3, 0.05])
    features[:, 0] += 1.0
    angles = np.linspace(0, 2 * np.pi, 5, endpoint=False)[labels.numpy()] + 0.25 * np.exp(features[:, 0])
    rotations = np.stack([np.cos(angles), -np.sin(angles), np.sin(angles), np.cos(angles)])
    theirs = 10 * np.einsum("ti,tij->tj", features, np.reshape(rotations.T, (-1, 2, 2)))
    assert np.allclose(ours.numpy(), theirs, atol=1e-12)


def test_sizes_and_classes() -> None:
    module = Pinwheel()
    module.setup()
    assert module.train.y.bincount().tolist() == [10_000] * 5
    assert [len(module.valid), len(module.test)] == [10_000, 10_000]
    assert module.train.x.dtype == torch.float32
    assert module.training_array().shape == (50_000, 2)


def test_the_three_parts_are_draws_of_their_own() -> None:
    module = Pinwheel()
    module.setup()
    rows = torch.cat([module.train.x, module.valid.x, module.test.x])
    assert len(rows.unique(dim=0)) == 70_000


def test_arms_are_rotations_of_each_other_at_radius_one() -> None:
    module = Pinwheel()
    module.setup()
    back = module.train.y.double() * (2 * math.pi / 5)  # arms turn clockwise
    x, y = module.train.x.double().unbind(1)
    unturned = torch.stack([x * back.cos() - y * back.sin(), x * back.sin() + y * back.cos()], 1)
    means = torch.stack([unturned[module.train.y == k].mean(0) for k in range(5)])
    error = unturned.std(0) / 10_000**0.5
    # ten deviates beyond 5 by chance: probability 1e-5
    assert ((means - means.mean(0)).abs() < 5 * error).all()
    # the base points have E[r^2 + t^2] = 1 + 0.09 + 0.0025, here doubled in length; its standard error is 0.012
    assert abs(module.train.x.square().sum(1).mean() - 4 * 1.0925) < 0.06


def test_the_scale_divides() -> None:
    wide, narrow = Pinwheel(scale=1.0), Pinwheel(scale=5.0)
    wide.setup()
    narrow.setup()
    assert torch.allclose(wide.test.x, 5 * narrow.test.x)
