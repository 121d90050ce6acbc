"""Models are told apart by whoever sees them: colours as three kinds of eyes see them, markers, boldness."""

import re
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import yaml
from matplotlib import pyplot, rcParams

import lid_vae.model
from lid_vae.appearance import INKS, MODELS, appearance, appearances

CONF = Path(__file__).parents[1] / "conf" / "model"
# Machado, Oliveira and Fernandes (2009), severity 1.0, of linear RGB.
EYES = {
    "neither": np.eye(3),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
}
# IEC 61966-2-1, white D65.
XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
PRESETS = {"beta_vae", "sa_vae", "lagging_vae", "pretrained_vae", "bn_vae", "il_lidvae"}
TEXT = {"svae", "lidsvae", "anchored_lidsvae", "linear_svae", "language_model", "linear_language_model"}
# What one table can hold: models of vectors, or of text; presets go over both.
TABLES = {"vectors": set(MODELS) - TEXT, "text": TEXT | PRESETS}
LEAST = 24.0


def linear(colour: str) -> np.ndarray:
    value = np.array([int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)])
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def cielab(rgb: np.ndarray) -> np.ndarray:
    t = np.clip(rgb, 0, 1) @ XYZ.T / XYZ.sum(1)
    f = np.where(t > 216 / 24389, np.cbrt(t), (24389 / 27 * t + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def distance(first: str, second: str, eye: str) -> float:
    a, b = (cielab(EYES[eye] @ linear(MODELS[model].colour)) for model in (first, second))
    return float(np.linalg.norm(a - b))


def test_cielab_by_hand():
    """Pure red, of Lindbloom's tables."""
    assert cielab(linear("#FF0000")) == pytest.approx([53.24, 80.09, 67.20], abs=0.02)
    assert cielab(linear("#FFFFFF")) == pytest.approx([100, 0, 0], abs=0.01)


@pytest.mark.parametrize("eye", EYES)
@pytest.mark.parametrize("table", TABLES)
def test_colours_of_one_table_are_told_apart(table, eye):
    found = {pair: distance(*pair, eye) for pair in combinations(sorted(TABLES[table]), 2)}
    closest = min(found, key=found.__getitem__)
    assert found[closest] >= LEAST, closest


@pytest.mark.parametrize("eye", EYES)
def test_inks_are_told_apart_and_show_on_white(eye):
    seen = [cielab(EYES[eye] @ linear(ink)) for ink in (*INKS, "#000000")]
    assert min(float(np.linalg.norm(a - b)) for a, b in combinations(seen, 2)) >= LEAST
    for ink in INKS:
        assert 1.05 / (float(XYZ[1] @ linear(ink)) + 0.05) >= 3.0, ink


def test_the_style_of_pictures_is_there_by_its_name_and_has_these_inks():
    with pyplot.style.context("lid_vae.appearance"):
        assert tuple("#" + ink.removeprefix("#") for ink in rcParams["axes.prop_cycle"].by_key()["color"]) == INKS
        assert (rcParams["pdf.fonttype"], rcParams["svg.fonttype"], rcParams["savefig.dpi"]) == (42, "none", 200)


def test_figures_take_their_colours_from_here():
    for path in (CONF.parents[1] / "lid_vae" / "figure").glob("*.py"):
        assert not re.search(r"""["'](#[0-9A-Fa-f]{6}|C\d|tab:\w+)["']""", path.read_text()), path.name


def test_the_stated_distance_is_the_least():
    least = min(distance(*pair, eye) for eye in EYES for t in TABLES.values() for pair in combinations(sorted(t), 2))
    assert LEAST <= least < LEAST + 1


def test_a_pair_that_only_some_eyes_tell_apart_would_fail():
    first, second = linear("#AA4400"), linear("#667700")
    apart = {eye: np.linalg.norm(cielab(seen @ first) - cielab(seen @ second)) for eye, seen in EYES.items()}
    assert apart["neither"] > LEAST > apart["protanopia"] > apart["deuteranopia"]


@pytest.mark.parametrize("table", TABLES)
def test_markers_of_one_table_differ(table):
    markers = [MODELS[model].marker for model in TABLES[table]]
    assert len(set(markers)) == len(markers)


@pytest.mark.parametrize("model", MODELS)
def test_colours_show_on_white(model):
    """Contrast of WCAG 2: 3 for the bold ones, as for any graphic; the muted ones have markers beside it."""
    luminance = float(XYZ[1] @ linear(MODELS[model].colour))
    assert 1.05 / (luminance + 0.05) >= (3.0 if MODELS[model].identifiable else 1.9)


def test_identifiable_models_are_saturated_and_bold_and_the_others_muted():
    chroma = {model: np.hypot(*cielab(linear(one.colour))[1:]) for model, one in MODELS.items()}
    bold = {model for model, one in MODELS.items() if one.identifiable}
    assert min(chroma[model] for model in bold) > 1.5 * max(chroma[model] for model in set(MODELS) - bold)
    assert min(MODELS[m].width for m in bold) > max(MODELS[m].width for m in set(MODELS) - bold)


def class_of(model: str) -> str:
    """The class that ``conf/model`` builds, by the first of its defaults that names one."""
    found = yaml.safe_load((CONF / f"{model}.yaml").read_text())
    if "model" in found:
        return str(found["model"]["_target_"]).rpartition(".")[2]
    return class_of(next(choice for choice in found["defaults"] if isinstance(choice, str)))


def test_every_model_has_an_appearance_that_fits_its_promise():
    assert {*MODELS, "counterpart"} == {path.stem for path in CONF.glob("*.yaml")}
    for model, one in MODELS.items():
        name = class_of(model)
        promised = False if name == "${counterpart}" else getattr(lid_vae.model, name).promise.injective
        assert one.identifiable == promised, model


def test_rows_of_one_model_share_its_colour_and_differ_otherwise():
    rows = appearances(["gmvae", "lidgmvae", "gmvae", "gmvae"])
    gmvae = [rows[0], *rows[2:]]
    assert {one.colour for one in gmvae} == {appearance("gmvae").colour}
    assert len({(one.line, one.filled) for one in gmvae}) == 3
    assert rows[1] == appearance("lidgmvae")
