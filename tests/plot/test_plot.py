"""Pictures that tell collapse: what stands in their titles is right, and what does not fit is refused in words."""

from math import log
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from PIL import Image
from sklearn.metrics import mutual_info_score

import lid_vae
from lid_vae.plot.categories import information


@given(st.integers(2, 6), st.integers(1, 40), st.integers(0, 99))
def test_information_is_that_of_hard_assignments_and_lies_between_0_and_log_k(k: int, count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    soft = rng.dirichlet(np.ones(k), count)
    assert -1e-12 <= information(soft) <= log(k) + 1e-12
    chosen = rng.integers(0, k, count)
    # Of an example drawn evenly and its category, which is certain: the entropy of the categories.
    assert information(np.eye(k)[chosen]) == pytest.approx(mutual_info_score(chosen, chosen), abs=1e-12)
    assert information(np.tile(soft[:1], (count, 1))) == pytest.approx(0, abs=1e-12)


def test_a_field_is_flat_or_a_diagonal_whatever_the_categories_are_called() -> None:
    labels = torch.arange(4).repeat(50)
    names = torch.tensor([2, 0, 3, 1])
    axis = lid_vae.plot.categories(torch.eye(4)[names[labels]], labels, name="told")
    assert axis.get_title() == "told\nI(x; z) = 1.39 of 1.39 nats"
    assert [label.get_text() for label in axis.get_xticklabels()] == ["2", "0", "3", "1"]
    shown = axis.images[0].get_array()
    assert all(shown[50 * k : 50 * k + 50, k].all() for k in range(4))
    assert shown.sum() == 200
    flat = lid_vae.plot.categories(torch.full((200, 4), 0.25), labels)
    assert flat.get_title() == "I(x; z) = 0.00 of 1.39 nats"
    assert np.ptp(flat.images[0].get_array()) == 0


def test_many_examples_are_averaged_with_their_neighbours() -> None:
    axis = lid_vae.plot.categories(np.random.default_rng(0).dirichlet([1, 1, 1], 3000))
    shown = axis.images[0].get_array()
    assert len(shown) == 500
    assert np.allclose(shown.sum(1), 1)


def test_used_dimensions_come_first() -> None:
    mean = torch.stack([torch.zeros(100), torch.linspace(-3, 3, 100), torch.linspace(-1, 1, 100)], -1)
    axis = lid_vae.plot.dimensions(mean, torch.tensor([1.0, 0.1, 0.5]).expand(100, 3), name="VAE")
    assert axis.get_title() == "VAE\n2 of 3 dimensions used"
    assert [label.get_text() for label in axis.get_xticklabels()] == ["1", "2", "0"]
    wide = lid_vae.plot.dimensions(mean, torch.ones(100, 3), prior=(0.0, 30.0))
    assert wide.get_title() == "0 of 3 dimensions used"


def test_units_are_counted_at_the_end_of_training(tmp_path: Path) -> None:
    rows = ["step,kl_by_dimension/000,kl_by_dimension/001,train/bound", "0,0.5,,-3", "1,,,-2", "2,0.001,0.7,-1"]
    (tmp_path / "metrics.csv").write_text("\n".join(rows))
    axis = lid_vae.plot.training(tmp_path)
    assert axis.get_title() == "1 of 2 dimensions above 0.01 nats at the end"
    assert np.allclose(axis.collections[0].get_array().reshape(2, 2), [[0.001, 0.7], [0.5, 0.001]])


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return (torch.rand(200, 1, 8, 8, generator=torch.Generator().manual_seed(0)) < 0.5).float()


def test_a_models_own_pictures(images: torch.Tensor, tmp_path: Path) -> None:
    model = lid_vae.LIDGMVAE.build(images, categories=3, latent_dimension=4, width=8)
    figure = Figure()
    left, right = figure.subplots(1, 2)
    q = model.encode(images)
    assert lid_vae.plot.categories(q, torch.arange(200) % 3, left) is left
    assert lid_vae.plot.dimensions(q, axis=right) is right
    axis = lid_vae.plot.traversals(model, images[0], dimensions=2, steps=5, gif=tmp_path / "walk.gif")
    assert len(axis.texts) == 2
    with Image.open(tmp_path / "walk.gif") as moving:
        assert moving.n_frames == 8
        assert moving.size == (32, 64)
    axis = lid_vae.plot.category_traversals(model, rows=2, gif=tmp_path / "categories.gif")
    sheet = axis.images[0].get_array()
    drawn = model.sample(2, category=1, mean=True, seed=0).reshape(2, 8, 8)
    assert np.allclose(sheet[10:18, 10:18], drawn[1]), "second row, second column"
    with Image.open(tmp_path / "categories.gif") as moving:
        assert moving.n_frames == 4
    figure.savefig(tmp_path / "both.png")


def test_what_does_not_fit_is_refused(images: torch.Tensor, tmp_path: Path) -> None:
    plot, refused = lid_vae.plot, lid_vae.UserError
    with pytest.raises(refused, match="holds no probabilities"):
        plot.categories(torch.zeros(5, 3))
    with pytest.raises(refused, match=r"shape \[5\], and \[N, K\] is wanted"):
        plot.categories(torch.ones(5))
    with pytest.raises(refused, match="5 examples and 4 labels"):
        plot.categories(torch.full((5, 2), 0.5), torch.arange(4))
    with pytest.raises(refused, match="how wide the posteriors are"):
        plot.dimensions(torch.zeros(5, 3))
    with pytest.raises(refused, match="Of a log-variance"):
        plot.dimensions(torch.zeros(5, 3), torch.full((5, 3), -1.0))
    with pytest.raises(refused, match="give one for each"):
        plot.dimensions(torch.zeros(5, 3), torch.ones(5, 2))
    with pytest.raises(refused, match="does not exist"):
        plot.training(tmp_path / "nowhere")
    (tmp_path / "metrics.csv").write_text("step,train/bound\n0,-3\n")
    with pytest.raises(refused, match="no KL by dimension"):
        plot.training(tmp_path)
    vae = lid_vae.VAE.build(images, latent_dimension=3, width=8)
    with pytest.raises(refused, match="has no categories"):
        plot.categories(vae.encode(images[:3]))
    with pytest.raises(refused, match="no dimension 7"):
        plot.traversals(vae, images[0], dimensions=[0, 7])
    with pytest.raises(refused, match="VAE has no categories here"):
        plot.category_traversals(vae)
    points = lid_vae.GMVAE.build(torch.randn(200, 5), categories=3, latent_dimension=3, width=8)
    with pytest.raises(refused, match="not one of images"):
        plot.category_traversals(points)
    vectors = lid_vae.VAE.build(torch.randn(200, 5), latent_dimension=3, width=8)
    with pytest.raises(refused, match="not one of images"):
        plot.traversals(vectors, torch.randn(1, 5))
