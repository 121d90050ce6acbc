"""Figures 3 and 4 and Theorem 1's curve at small sizes: numbers against references, files, and the command line."""

import csv
from importlib.util import find_spec
from math import isnan

import pytest
import torch
from PIL import Image

from lid_vae.classical import sampling
from lid_vae.classical.ppca import fit
from lid_vae.command_line.report import full_choice, main
from lid_vae.errors import UserError
from lid_vae.figure.figures import Figure4
from lid_vae.figure.gaussian_mixture import Clusters, Nuts, make_panels
from lid_vae.figure.gaussian_mixture import sample_size_sweep as mixture_sweep
from lid_vae.figure.numbers import Number, as_csv, as_text
from lid_vae.figure.ppca import (
    FIT,
    PAPER,
    Truth,
    large_sample_law,
    noise_sweep,
    numbers_at,
    sample_size_sweep,
)
from lid_vae.noise import generator

needs_pyro = pytest.mark.skipif(find_spec("pyro") is None, reason="needs Pyro: pip install -e '.[bayes]'")
ONE = Truth([[1.5, -1.0, 0.5, 1.0, -0.5]], 0.5)
TWO = Truth([[1.5, -1.0, 0.5, 1.0, -0.5], [0.0, 1.0, 1.0, -0.5, 1.5]], 0.5)
SINGLE = Clusters(0.15, (-1.0, -1.0), (1.0, 1.0))
OVERLAPPING = Clusters(0.15, (-0.5, 0.5), (1.0, 1.0))
SEPARATED = Clusters(0.15, (-10.0, 10.0), (1.0, 1.0))
TRUTH, SINGLE_KEY = "figure.truths.one_dimensional", "figure.clusters.single_Gaussian"
FEWER = ["~figure.clusters.separated_clusters", "~figure.clusters.overlapping_clusters", "figure.samples=100"]
NO_HELP = ["figure.processes=1", "figure.nuts.chains=0"]
SMALL_4 = ["figure=4", *FEWER, *NO_HELP, "figure.replicates.count=1"]


def near(number: Number, errors: float = 4.5) -> bool:
    """Equal to its reference: to rounding, or within that many standard errors (4.5: false alarm below 1e-5)."""
    return abs(number.difference) <= (1e-9 if isnan(number.standard_error) else errors * number.standard_error + 1e-12)


@pytest.mark.parametrize("truth", [ONE, TWO], ids=["1-d", "2-d"])
@pytest.mark.parametrize("parameters", [PAPER, FIT])
def test_figure_3s_numbers_are_their_references(truth, parameters):
    x = truth.model.sample(500, generator("figure 3"))
    model = truth.with_directions(2) if parameters == PAPER else fit(x, 2, center=False)
    numbers = {n.quantity: n for n in numbers_at("case", parameters, model, x)}
    information = numbers.pop("I(x; z)")
    assert all(near(n) for n in numbers.values())
    assert 0.95 * information.exact < information.value <= information.exact
    assert numbers["KL of direction 1"].value > 0.5
    idle = numbers["KL of direction 2"].value
    if truth is TWO:
        assert idle > 0.5
    elif parameters == PAPER:
        assert idle == 0.0
    else:
        assert 0.02 < idle < 0.15


def test_figure_3s_sweeps_follow_their_references():
    noise = noise_sweep(TWO, 2, 400, [0.1, 10.0, 1000.0], seed=0)
    assert all(near(n) for n in noise)
    first = [n.value for n in noise if n.parameters == PAPER and n.quantity.endswith("1")]
    assert first[0] > 1 > first[1] > first[2]
    assert first[2] < 0.01
    sizes = sample_size_sweep(ONE, 2, [500, 50_000], repeats=8, seed=0)
    kl = {n.at: n for n in sizes if n.method.startswith("mean") and n.unit == "nats"}
    law = {n.at: n.value for n in sizes if n.method == "large-sample law"}
    for at, number in kl.items():
        assert abs(number.difference) < 1e-9
        assert abs(number.value - law[at]) < 5 * number.standard_error


def test_the_large_sample_law_of_two_idle_features():
    """k = 2 has a closed form: half the gap of G's two eigenvalues, sqrt((g_11 - g_22)^2 / 4 + g_12^2), Rayleigh(1)."""
    assert large_sample_law(2, 1) == pytest.approx((torch.pi / 2) ** 0.5, rel=0.01)


@pytest.mark.parametrize("clusters", [SINGLE, OVERLAPPING, SEPARATED], ids=["single", "overlapping", "separated"])
def test_figure_4s_quadrature_is_its_reference(clusters):
    panels = list(make_panels("case", clusters, 300, Nuts(chains=0), seed=0))
    assert [panel.parameters for panel in panels] == [PAPER, FIT]
    for number in (n for panel in panels for n in panel.numbers()):
        if number.method == "quadrature":
            assert abs(number.difference) < 1e-7, number
    for number in mixture_sweep("case", clusters, 300, seed=0):
        assert abs(number.difference) < 1e-7, number


@needs_pyro
def test_chains_that_did_not_mix_are_told_and_under_strict_an_error(tmp_path, capsys):
    short = ["figure=4", *FEWER, "figure.replicates.count=0", "figure.nuts={chains: 2, samples: 8, warmup: 0}"]
    with pytest.raises(SystemExit) as error:
        main([*short, f"output={tmp_path}", "strict=true"])
    assert error.value.code == 1
    assert "The chains did not mix for single Gaussian at paper: R-hat" in capsys.readouterr().err
    assert (tmp_path / "figure-4.csv").exists()


@needs_pyro
@pytest.mark.full
def test_figure_4_as_the_paper_has_it():
    """All three at 10^5 samples: NUTS within three standard errors of the quadrature, alpha within 0.005 of 0.15."""
    for name, clusters in (("single", SINGLE), ("overlapping", OVERLAPPING), ("separated", SEPARATED)):
        for panel in make_panels(name, clusters, 100_000, Nuts(), seed=0):
            assert panel.chains.mixed
            for number in panel.numbers():
                if number.method == "quadrature":
                    assert abs(number.difference) < 1e-7, number
                if number.method == "NUTS" and number.quantity == "posterior mean":
                    assert abs(number.difference) < 3 * number.standard_error, number
            if name == "separated":
                assert abs(panel.exact.mean - 0.15) < 0.005
            if name == "single" and panel.parameters == PAPER:
                assert panel.exact.kl < 1e-12


def test_without_pyro_figure_4_says_so_before_it_works(monkeypatch, tmp_path):
    monkeypatch.setattr(sampling, "find_spec", lambda name: None)
    clusters = {"single": {"alpha": 0.15, "mean": [-1, -1], "scale": [1, 1]}}
    figure = Figure4(clusters, 100_000, vars(Nuts()), {"of": [], "count": 0, "samples": 2}, 1)
    with pytest.raises(UserError, match=r"pip install -e '\.\[bayes\]'.*figure\.nuts\.chains=0"):
        figure.draw(tmp_path, 0)


@pytest.mark.parametrize(
    ("arguments", "stems"),
    [
        (
            [
                "figure=3",
                "figure.samples=50",
                "figure.repeats=2",
                "figure.sample_sizes=[20]",
                "figure.noise_variances=[1]",
            ],
            ["figure-3", "figure-3-sweeps"],
        ),
        (SMALL_4, ["figure-4"]),
        (["figure=theorem_1", "figure.mixture_samples=[20]", "figure.ppca_samples=20"], ["theorem-1"]),
    ],
)
def test_the_command_writes_pdf_svg_png_and_csv(arguments, stems, tmp_path, capsys):
    main([*arguments, "seed=3", f"output={tmp_path}"])
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {f"{stem}.{suffix}" for stem in stems for suffix in ("pdf", "svg", "png", "csv")}
    printed = capsys.readouterr().out
    assert all(str(tmp_path / name) in printed for name in names)
    for stem in stems:
        with Image.open(tmp_path / f"{stem}.png") as image:
            assert image.info["dpi"] == pytest.approx((200, 200), abs=0.1)
        assert b"/Type3" not in (tmp_path / f"{stem}.pdf").read_bytes()
        drawn = (tmp_path / f"{stem}.svg").read_text()
        assert "<text" in drawn
        assert "<dc:date>" not in drawn
    with open(tmp_path / f"{stems[0]}.csv") as file:
        rows = list(csv.DictReader(file))
    assert all(row["value"] for row in rows)
    assert all(row["exact_source"] for row in rows if row["exact"])


@pytest.mark.slow
def test_the_same_command_gives_the_same_bytes(tmp_path):
    for folder in ("first", "second"):
        main(["figure=theorem_1", "figure.mixture_samples=[20]", "seed=3", f"output={tmp_path / folder}"])
    main(["figure=theorem_1", "figure.mixture_samples=[20]", "seed=4", f"output={tmp_path / 'other'}"])
    for path in (tmp_path / "first").iterdir():
        assert path.read_bytes() == (tmp_path / "second" / path.name).read_bytes()
        assert path.read_bytes() != (tmp_path / "other" / path.name).read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Choose a figure: figure=3, 4, theorem_1 or bridge."),
        (["figure=5"], "There is no figure called figure_5."),
        (["figure=3", "figure.sampels=3"], "There is no option figure.sampels. Did you mean figure.samples?"),
        (["figure=3", "figure.samples=3"], "more samples than dimensions, got 3 samples of 5"),
        (["figure=3", "figure.latent=5"], "below the data's 5 features, got 5"),
        (["figure=3", "figure.latent=6"], "latent at most features, got [6, 5]"),
        (["figure=3", "figure.latent=1"], "The data have 2 true directions, the model only 1."),
        (["figure=3", "figure.example=500"], "figure.example=500 is not one of the 500 samples"),
        (["figure=3", "figure.samples=1.5"], "figure.samples=1.5 must be a whole number, at least 1."),
        (["figure=3", "figure.repeats=1"], "figure.repeats=1 must be a whole number, at least 2."),
        (["figure=3", "figure.sample_sizes=[]"], "figure.sample_sizes=[] must be a list of one or more numbers."),
        (["figure=3", f"{TRUTH}.noise_variance=1e-40"], "constant, or that 2 directions explain without remainder"),
        (["figure=3", f"{TRUTH}.weight=[[nan,1,1,1,1]]"], "finite parameters"),
        (["figure=3", f"{TRUTH}.weight=[[1,2],[3]]"], "must be a list of rows of equal length"),
        (["figure=3", f"{TRUTH}.weight=[[a,2]]"], f"{TRUTH}.weight[0][0]=a must be a number."),
        (
            ["figure=3", "~figure.truths.one_dimensional", "~figure.truths.two_dimensional"],
            "figure.truths names no data",
        ),
        (["figure=3", "threads=0"], "threads=0 must be a whole number, at least 1."),
        (["figure=3", "strict=maybe"], "strict=maybe is neither true nor false."),
        (["figure=theorem_1", "figure.separations=[-1]"], "figure.separations[0]=-1 must be a number, at least 0."),
        (["figure=theorem_1", "figure.mixture_samples=[1]"], "figure.mixture_samples[0]=1 must be a whole number"),
        (["figure=bridge", "figure.width=0"], "figure.width=0 must be a whole number, at least 1."),
        (["figure=bridge", "figure.latent=5"], "below the data's 5 features, got 5"),
        (["figure=4", f"{SINGLE_KEY}.scale=[1,0]", *NO_HELP], "both above 0"),
        (["figure=4", f"{SINGLE_KEY}.scale=[1e-300,1e-300]", *NO_HELP], "cannot be fitted to constant data"),
        (["figure=4", f"{SINGLE_KEY}.mean=[0,inf]", *NO_HELP], "finite values for its mean"),
        (["figure=4", f"{SINGLE_KEY}.mean=[0,a]", *NO_HELP], f"{SINGLE_KEY}.mean[1]=a must be a number."),
        (["figure=4", f"+{SINGLE_KEY}.men=1", *NO_HELP], "takes the options alpha, mean, scale"),
        (["figure=4", "figure.samples=1", *NO_HELP], "figure.samples=1 must be a whole number, at least 2."),
        (["figure=4", "figure.replicates.of=[one]", *NO_HELP], "is not among figure.clusters"),
        (["figure=4", "figure.processes=3"], "figure.processes=3 must be 1 or 2"),
        (["figure=4", "figure.nuts.warmup=-1"], "figure.nuts.warmup=-1 must be a whole number"),
        (["runs/some/folder"], "runs/some/folder is no folder."),
    ],
)
def test_mistakes_are_refused_in_a_paragraph(arguments, message, tmp_path, capsys):
    with pytest.raises(SystemExit) as error:
        main([*arguments, f"output={tmp_path}"])
    assert error.value.code == 1
    told = capsys.readouterr().err
    assert message in told
    assert "Traceback" not in told
    assert not list(tmp_path.iterdir())


def test_a_number_is_the_name_of_a_choice():
    assert full_choice("figure=3") == "figure=figure_3"
    assert full_choice("figure=3,theorem_1") == "figure=figure_3,theorem_1"
    assert full_choice("seed=3") == "seed=3"


def test_csv_and_text_leave_out_what_is_not_there():
    number = Number("case", PAPER, "KL", "quadrature", 0.25, unit="nats")
    assert as_csv([number]).splitlines()[1] == "case,paper,KL,quadrature,,0.25,,,,nats,"
    assert as_text([number, Number("sweep", PAPER, "KL", "", 1.0, at=2.0)]).count("\n") == 1
