"""The picture of a run: what it shows is what the model says, for every kind of model and data."""

import io
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image
from runs import Programs

from lid_vae.distribution import FlowGaussian
from lid_vae.noise import generator
from lid_vae.picture.drawing import AGREES, NAMED, colours, draw_clouds, draw_heat_map, draw_images, png, render
from lid_vae.picture.page import draw_run
from lid_vae.picture.panels import panels
from lid_vae.picture.picture_data import DRAWS, _choose, take_picture_data
from lid_vae.picture.pictured import PictureData, Vectors
from lid_vae.picture.sheet import draw_page

BERNOULLI = ["model=lidmvae", "prior.component=bernoulli", "family=gaussian", "objective.samples=4"]
POINTS = ["latents", "samples", "usage"]
IMAGES = ["latents", "samples", "reconstructions", "usage", "categories", "activity"]
KINDS = [
    (["data=pinwheel", "model=lidgmvae"], None, POINTS),
    (["data=pinwheel", "model=gmvae", "family.mixture=enumerate"], None, POINTS),
    (["data=pinwheel", "model=vae"], None, ["latents", "samples", "activity"]),
    (["data=pinwheel", "model=lidmvae", "prior.component=gamma"], None, POINTS),
    (["data=pinwheel", *BERNOULLI], None, POINTS),
    (["data=pinwheel", "model=vae", "latent_dimension=1", "family=gaussian"], None, ["latents", "samples", "activity"]),
    (["data=digits", "model=lidgmvae"], None, IMAGES),
    (["data=digits", "model=lidvae"], None, ["latents", "samples", "reconstructions", "activity"]),
    (["data=digits", "model=lidmvae", "prior.component=log_normal", "family.mixture=enumerate"], None, IMAGES),
    pytest.param(["data=digits", *BERNOULLI], None, IMAGES, marks=pytest.mark.slow),
    (["data=pinwheel", "model=lidgmvae", "latent_dimension=3"], 5, POINTS),
    (["data=pinwheel", "model=vae", "latent_dimension=1", "family=gaussian"], 1, ["latents", "samples", "activity"]),
    (["data=synthetic_text", "model=svae"], None, ["latents", "activity"]),
    (["data=synthetic_text", "model=lidsvae", "latent_dimension=3"], None, ["latents", "activity"]),
]


def pictured(labels=True, categories=3, per_class=20):
    """Three well separated classes in the plane; category k holds label 2 - k."""
    y = np.repeat(np.arange(3), per_class)
    centre = np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]])
    rng = np.random.default_rng(0)
    u = centre[y] + 0.1 * rng.standard_normal((len(y), 2))
    q = np.full((len(y), categories), 0.02)
    q[np.arange(len(y)), 2 - y] = 1 - 0.02 * (categories - 1)
    return PictureData(
        title="three classes",
        support="real",
        label_B=y if labels else None,
        label_count=3 if labels else 0,
        u_BM=u,
        prior_NM=rng.standard_normal((len(y), 2)),
        activity_M=np.array([1.0, 0.5]),
        category_BK=q,
        mixing_K=np.full(categories, 1 / categories),
        centre_KM=np.zeros((categories, 2)),
        vectors=Vectors(
            image_shape=None,
            x_BD=u,
            reconstruction_RD=u,
            sample_ND=u,
            sample_category_N=2 - y,
            decoded_KD=np.zeros((categories, 2)),
        ),
        grid=None,
    )


@pytest.mark.parametrize(("overrides", "table", "names"), KINDS, ids=str)
def test_every_kind_has_its_panels_on_a_page(make, tmp_path, overrides, table, names):
    module, data = make(*overrides, table=table)
    shown = take_picture_data(module, data, "test", 40)
    assert list(panels(shown)) == names
    for name, value in {**vars(shown), **(vars(shown.vectors) if shown.vectors else {})}.items():
        if isinstance(value, np.ndarray):
            assert np.isfinite(value).all(), name
    path = draw_run(module, data, tmp_path / "deep" / "latents.png")
    with Image.open(path) as image:
        assert min(image.size) > 400
        assert len(set(image.convert("L").resize((40, 40)).tobytes())) > 5


@pytest.mark.slow
def test_a_picture_is_there_for_papers_too(make, tmp_path):
    module, data = make("data=digits", "model=lidgmvae")
    path = draw_run(module, data, tmp_path / "latents.png", "KL(z) 0.1 nats", vectors=True)
    assert {file.name for file in tmp_path.iterdir()} == {"latents.png", "latents.svg", "latents.pdf"}
    first = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    root = ElementTree.fromstring(first["latents.svg"])
    shown = "".join(root.itertext())
    assert "LIDGMVAE" in shown
    assert "KL(z) 0.1 nats" in shown  # text is text
    with Image.open(path) as image:  # one layout: the same shape
        width, height = (float(root.attrib[side].removesuffix("pt")) for side in ("width", "height"))
        assert width / height == pytest.approx(image.width / image.height, rel=1e-3)
    assert b"/FontFile2" in first["latents.pdf"]  # TrueType, whole
    assert b"/Type3" not in first["latents.pdf"]
    draw_run(module, data, path, "KL(z) 0.1 nats", vectors=True)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == first


def test_a_portrait_repeats_and_leaves_every_generator_alone(make):
    module, data = make("data=digits", "model=lidmvae")
    torch.manual_seed(5)
    state, numpy_state = torch.random.get_rng_state(), np.random.get_state()[1].copy()
    first, second = (take_picture_data(module, data, "valid", 30) for _ in range(2))
    draw_page(first)
    assert torch.equal(state, torch.random.get_rng_state())
    assert np.array_equal(numpy_state, np.random.get_state()[1])
    for one, other in ((first, second), (first.vectors, second.vectors)):
        for name in (field.name for field in fields(one)):
            value = getattr(one, name)
            if isinstance(value, np.ndarray):
                assert np.array_equal(value, getattr(other, name)), name


def test_a_portrait_says_what_the_model_says(make):
    module, data = make("data=digits", "model=gmvae", "family.mixture=enumerate")
    shown = take_picture_data(module, data, "test", 30)
    x = torch.from_numpy(shown.vectors.x_BD)
    q = module.infer(x, module.vae.posterior.draw_noise(1, len(x), generator("any")))
    assert np.allclose(shown.category_BK, q.log_category.exp().mT.detach(), atol=1e-6)
    assert np.allclose(shown.usage_K.sum(), 1)
    decoded = module.vae.likelihood(module.vae.prior().components.mean).mean
    assert np.allclose(shown.vectors.decoded_KD, decoded.detach(), atol=1e-6)
    assert shown.vectors.x_BD.shape[1] == data.features
    assert set(map(tuple, shown.vectors.x_BD)) <= {
        tuple(row) for batch in data.batches("test") for row in batch.x.numpy()
    }


def test_labels_stay_with_their_examples(make):
    module, data = make("data=digits")
    shown = take_picture_data(module, data, "test", 60)
    batches = list(data.batches("test"))
    known = {}
    for x, y in zip(torch.cat([b.x for b in batches]).numpy(), torch.cat([b.y for b in batches]).tolist(), strict=True):
        known.setdefault(x.tobytes(), set()).add(y)
    assert all(y in known[x.tobytes()] for x, y in zip(shown.vectors.x_BD, shown.label_B.tolist(), strict=True))
    assert len(set(shown.label_B)) > 5, "rows come from the whole split"


def test_a_draw_of_an_enumerated_posterior_comes_from_a_likely_category():
    log_category = torch.tensor([[0.0, -50.0], [-50.0, 0.0]])
    q = FlowGaussian(torch.zeros(2, 2, 1), torch.ones(2, 2, 1), log_category, [])
    sample = q.sample(torch.arange(4.0).view(1, 2, 2, 1))
    chosen = _choose(q, sample, generator("any"))
    assert torch.equal(chosen, torch.stack([sample.w[0, 0, 0], sample.w[0, 1, 1]]))


def test_activity_of_a_collapsed_latent_is_nothing_and_of_an_active_one_its_share(make):
    module, data = make("data=pinwheel", "model=vae", "family=gaussian")
    with torch.no_grad():
        module.vae.posterior.head.weight.zero_()
    collapsed = take_picture_data(module, data, "test", 40)
    assert DRAWS >= 4
    assert collapsed.activity_M.max() < 0.1
    with torch.no_grad():
        module.vae.posterior.head.weight[:2] = 1.0
    assert take_picture_data(module, data, "test", 40).activity_M.min() > 0.5


def test_categories_are_matched_to_labels_and_coloured_alike():
    shown = pictured()
    assert shown.class_K.tolist() == [2, 1, 0]
    assert shown.order_K.tolist() == [2, 1, 0]
    assert np.allclose(shown.usage_CK[:, shown.order_K].diagonal(), 0.96)
    assert np.allclose(shown.usage_CK.sum(1), 1)
    spare = pictured(categories=5)
    assert spare.class_K.tolist()[:3] == [2, 1, 0]
    assert sorted(spare.class_K) == list(range(5))
    few = replace(pictured(), category_BK=pictured().category_BK[:, :2] / pictured().category_BK[:, :2].sum(1)[:, None])
    assert few.class_K.tolist() == [2, 1]


def test_without_labels_the_likeliest_category_colours():
    shown = pictured(labels=False)
    assert (shown.class_B[:20] == shown.class_B[0]).all()
    assert len(np.unique(shown.class_B)) == 3
    figure = Figure()
    panels(shown)["usage"].draw(figure)
    assert len(figure.axes) == 1, "no heat map without labels"


def test_heat_map_shows_the_shares_in_the_order_of_the_labels():
    figure = Figure()
    panels(pictured())["usage"].draw(figure)
    bars, heat = figure.axes
    assert [text.get_text() for text in heat.texts if text.get_text() == ".96"] == [".96"] * 3
    assert np.allclose(heat.images[0].get_array().diagonal(), 0.96)
    assert [label.get_text() for label in heat.get_xticklabels()] == ["2", "1", "0"]
    assert np.allclose([bar.get_height() for bar in bars.patches], 1 / 3)


def test_large_heat_maps_carry_no_numbers():
    axis = Figure().subplots()
    draw_heat_map(axis, np.full((10, NAMED + 1), 0.5))
    assert not axis.texts


def test_images_lie_in_rows_with_a_line_between():
    axis = Figure().subplots()
    images = np.arange(5)[:, None, None] * np.ones((5, 2, 3)) / 5
    draw_images(axis, images, columns=3)
    sheet = axis.images[0].get_array()
    assert sheet.shape == (2 * 3 + 1, 3 * 4 + 1)
    assert np.array_equal(sheet[4:6, 5:8].filled(-1), images[4])
    assert sheet.mask[3].all()
    assert sheet.mask[4:6, 9:12].all()


def test_colours_are_drawn_as_they_are():
    x = np.random.default_rng(0).random((4, 3, 2, 5))
    vectors = replace(pictured().vectors, image_shape=(3, 2, 5), x_BD=x.reshape(4, -1))
    figure = Figure()
    shown = panels(replace(pictured(), vectors=replace(vectors, reconstruction_RD=1 - x.reshape(4, -1))))
    shown["reconstructions"].draw(figure)
    sheet = np.asarray(figure.axes[0].images[0].get_array())
    assert sheet.shape == (2 * 3 + 1, 4 * 6 + 1, 3)
    assert np.allclose(sheet[1:3, 1:6], np.moveaxis(x[0], 0, -1))
    assert np.allclose(sheet[4:6, 7:12], 1 - np.moveaxis(x[1], 0, -1))
    assert (sheet[3] == 1).all(), "white between"


def test_images_that_are_no_pixels_are_drawn_by_their_range():
    x = np.linspace(-2, 3, 10).reshape(1, 10)
    figure = Figure()
    vectors = replace(pictured().vectors, image_shape=(2, 5), x_BD=x, reconstruction_RD=x)
    panels(replace(pictured(), vectors=vectors))["reconstructions"].draw(figure)
    sheet = figure.axes[0].images[0].get_array()
    assert np.allclose(sheet[1:3, 1:6], np.linspace(0, 1, 10).reshape(2, 5))


def test_an_image_and_its_reconstruction_stand_one_above_the_other(make):
    module, data = make("data=digits")
    shown = take_picture_data(module, data, "test", 40)
    figure = Figure()
    panels(shown)["reconstructions"].draw(figure)
    sheet = figure.axes[0].images[0].get_array()
    assert np.allclose(sheet[1:9, 1:9], shown.vectors.x_BD[0].reshape(8, 8))
    assert np.allclose(sheet[10:18, 1:9], shown.vectors.reconstruction_RD[0].reshape(8, 8))
    assert np.allclose(sheet[19:27, 1:9], shown.vectors.x_BD[10].reshape(8, 8))


def test_classes_are_named_at_their_medians():
    axis, shown = Figure().subplots(), pictured()
    draw_clouds(axis, shown.u_BM, shown.label_B)
    places = {text.get_text(): text.get_position() for text in axis.texts}
    assert set(places) == {"0", "1", "2"}
    assert np.allclose(places["1"], [4, 0], atol=0.2)


def test_colours_differ_also_for_the_colour_blind():
    """Ten classes, ten colours, told apart by deuteranopes: Machado, Oliveira and Fernandes (2009), severity 1."""
    deuteranope = np.array([[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]])
    rgb = np.array([[int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)] for c in colours(np.arange(10), 10)])
    for matrix in (np.eye(3), deuteranope):
        seen = np.clip(rgb**2.2 @ matrix.T, 0, 1) ** (1 / 2.2)
        distance = np.linalg.norm(seen[:, None] - seen[None], axis=-1)[np.triu_indices(10, 1)]
        assert distance.min() > 0.12


def test_render_gives_the_pixels_of_a_figure():
    figure = Figure(figsize=(2, 1), dpi=50, facecolor="#102030")
    image = render(figure)
    assert image.shape == (50, 100, 3)
    assert image.dtype == np.uint8
    assert image[0, 0].tolist() == [0x10, 0x20, 0x30]


def test_a_png_shows_what_savefig_would():
    """Pixel for pixel, its layout included, at the same size on paper."""
    ours, theirs = io.BytesIO(png(draw_page(pictured()))), io.BytesIO()
    figure = draw_page(pictured())
    figure.savefig(theirs, format="png", dpi=figure.dpi)
    with Image.open(ours) as mine, Image.open(theirs) as other:
        assert mine.info["dpi"] == pytest.approx(other.info["dpi"])
        assert np.array_equal(np.asarray(mine), np.asarray(other.convert("RGB")))


@pytest.mark.parametrize(
    ("description", "name"),
    [
        ({}, "GMVAE"),
        ({"config": {"choices": None}}, "GMVAE"),
        ({"config": {"choices": {"model": "gmvae", "objective": "free_bits"}}}, "GMVAE"),
        ({"config": {"choices": {"model": "classical"}}}, "GMVAE"),
        ({"config": {"choices": {"model": "beta_vae"}}}, "beta-VAE"),
        ({"config": {"choices": {"model": "my_own"}}}, "my_own"),
    ],
)
def test_the_title_says_what_was_asked_for(make, description, name):
    module, data = make("data=pinwheel", "model=beta_vae")
    module.description = description
    assert take_picture_data(module, data, "test", 20).title.startswith(f"{name} on pinwheel, step 0, ")


def test_sentences_stand_below_with_what_agrees_in_colour_and_underlined(make):
    module, data = make("data=synthetic_text", "model=svae")
    pictured = take_picture_data(module, data, "test", 20)
    pairs = [("the cat costs $5 a $", [("the", True), ("dog", False), ("costs", True)]), ("long " * 60, []), ("a", [])]
    figure = draw_page(pictured, "KL(z) 0.000 nats", pairs)
    assert len(png(figure)) > len(png(draw_page(pictured)))
    (axis,) = figure.subfigs[0].axes
    words = [(text.get_text(), text.get_color()) for text in axis.texts]
    assert words[0:6:2] == [(word, "0.35") for word in ("the", "cat", "costs")]
    assert words[1:7:2] == [("the", AGREES), ("dog", "black"), ("costs", AGREES)]
    assert ("$5", "0.35") in words
    assert ("...", "black") in words
    assert len(axis.lines) == 2, "a line below each word that agrees"


@pytest.mark.parametrize(
    ("model", "name"),
    [("beta_vae", "beta-VAE"), ("gmvae", "GMVAE")],
)
def test_the_picture_of_a_run_says_what_was_asked_for(tmp_path, monkeypatch, model, name):
    titles = []

    def draw(pictured, note, sentences):
        titles.append(pictured.title)
        figure = draw_page(pictured, note, sentences)
        assert re.search(r", KL\(z\) \d+\.\d{3} nats$", figure.get_suptitle())
        assert not sentences
        return figure

    monkeypatch.setattr("lid_vae.picture.sheet.draw_page", draw)
    Programs(tmp_path, pictures=True).train(f"model={model}", "trainer.max_epochs=1")
    assert [title.partition(" on ")[0] for title in titles] == [name]


@pytest.mark.parametrize(
    ("asked", "kinds"),
    [("true", {".png", ".svg", ".pdf"}), pytest.param("false", {".png"}, marks=pytest.mark.slow)],
)
def test_a_run_leaves_its_picture_for_papers_unless_told_not_to(tmp_path, asked, kinds):
    programs = Programs(tmp_path, pictures=True)
    run = programs.train("trainer.max_epochs=1", f"vector_pictures={asked}")
    assert {path.suffix for path in run.folder.glob("latents.*")} == kinds
    other = "false" if asked == "true" else "true"
    again = programs.train("trainer.max_epochs=1", f"vector_pictures={other}")  # the same run
    assert f"Finished before: {run.folder}" in again.out
