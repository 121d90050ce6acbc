"""What evaluate.py draws of models of images and points: draws of the prior, and what lies between examples."""

import csv

import numpy as np
import pytest
from PIL import Image
from runs import Programs

import lid_vae
from lid_vae.data import Pinwheel

IMAGES = ("data=digits", "data.train_size=100", "data.valid_size=50", "data.test_size=60", "latent_dimension=3")
QUICK = ("width=8", "trainer.max_epochs=1", "logger=none", "samples=4", "callbacks.panels.every=0")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    programs = Programs(tmp_path_factory.mktemp("images"))
    return programs, programs.train(*IMAGES, *QUICK, "model=gmvae", tiny=()).folder / "checkpoints" / "best.ckpt"


@pytest.fixture(scope="module")
def points(tmp_path_factory):
    programs = Programs(tmp_path_factory.mktemp("points"))
    return programs, programs.train("model=vae", "trainer.max_epochs=1").folder / "checkpoints" / "best.ckpt"


def drawn(run, *options):
    programs, checkpoint = run
    outcome = programs.evaluate(checkpoint, *options, "measure=false")
    assert outcome.status == 0, outcome.err
    (line,) = [line for line in outcome.out.splitlines() if line.startswith("drawn ")]
    return line.split(maxsplit=1)[1]


def test_images_are_a_picture(images):
    path = drawn(images, "sample=12", "interpolate=3|17|4")
    assert path.endswith(".png")
    assert np.asarray(Image.open(path)).std() > 10  # something is drawn
    assert path == drawn(images, "sample=12", "interpolate=3|17|4")
    assert path != drawn(images, "sample=11")


def test_points_are_a_table(points):
    with open(drawn(points, "sample=5", "interpolate=2|9")) as file:
        rows = list(csv.DictReader(file))
    assert [row["what"] for row in rows] == ["w from the prior"] * 5 + ["from test example 2 to 9"] * 7
    found = np.array([[float(row["x0"]), float(row["x1"])] for row in rows])
    model = lid_vae.load(points[1])
    middle = found[5:]
    assert np.isfinite(found).all()
    # the ends are what the posterior means decode to, and the model is the same in Python
    data = Pinwheel(per_class=60, valid_size=50, test_size=60)
    data.setup()
    x = data.test.x[[2, 9]]
    assert np.abs(model.reconstruct(x).numpy() - middle[[0, -1]]).max() < 0.2


@pytest.mark.parametrize("asked", ["a|b", "3|60", "-1|3", "1.5|2"])
def test_rows_that_are_none(images, asked):
    programs, checkpoint = images
    message = programs.evaluate(checkpoint, f"interpolate={asked}").paragraph
    assert "whole numbers from 0 to 59" in message
