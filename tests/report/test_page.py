"""The report's page without a browser: its structure, its data, its size, and that nothing in a result breaks out."""

import csv
import io
import itertools
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from whole_sweep import HOSTILE, MODELS, latents, write_sweep

from lid_vae.appearance import MODELS as LOOKS
from lid_vae.appearance import appearance
from lid_vae.report.build import build
from lid_vae.report.html import charts, images
from lid_vae.report.html.data import address
from lid_vae.report.html.page import HERE
from lid_vae.report.numbers.analysis import analyse
from lid_vae.report.numbers.curves import Curve
from lid_vae.report.numbers.measures import columns
from lid_vae.report.study.results import read
from lid_vae.shown import CORE

LARGEST = 2_000_000
VOID = {"meta", "input", "img", "br", "link"}


class Element:
    def __init__(self, tag, attributes):
        self.tag, self.attributes, self.children, self.words = tag, dict(attributes), [], []

    def all(self, tag):
        """Those below, in the order of the page."""
        for child in self.children:
            if child.tag == tag:
                yield child
            yield from child.all(tag)

    @property
    def text(self):
        return " ".join("".join(self.words).split())


class Tree(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.root = Element("", [])
        self.open = [self.root]
        self.feed(text)
        assert self.open == [self.root], "every element is closed"

    def handle_starttag(self, tag, attributes):
        element = Element(tag, attributes)
        self.open[-1].children.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag, attributes):
        self.open[-1].children.append(Element(tag, attributes))

    def handle_endtag(self, tag):
        assert self.open.pop().tag == tag

    def handle_data(self, data):
        for element in self.open:
            element.words.append(data)


def page_of(runs):
    return (runs.folder / "report" / "report.html").read_text()


def build_page(runs):
    build([runs.folder], console=Console(file=io.StringIO()))
    return Tree(page_of(runs)).root


@pytest.fixture(scope="module")
def root(whole):
    return Tree(page_of(whole)).root


@pytest.fixture(scope="module")
def data(root):
    (script,) = (one for one in root.all("script") if one.attributes.get("type") == "application/json")
    return json.loads("".join(script.words))


def test_five_models_by_ten_seeds_stay_below_two_megabytes(whole):
    assert sum((whole.place(model, 0) / "latents.png").stat().st_size for model in MODELS) > 400_000
    assert len(page_of(whole).encode()) < LARGEST


@pytest.mark.slow
def test_heavy_pictures_share_what_there_is(new_runs):
    """Noise is the heaviest of all pictures: ten of two megabytes each come to less than one in all."""
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (700, 1000, 3), dtype=np.uint8))
    file = io.BytesIO()
    noise.save(file, format="png")
    assert len(file.getvalue()) > 2_000_000
    found = images.embed([file.getvalue()] * 10)
    assert sum(len(address) for address, *_ in found) < images.BUDGET * 4 / 3 + 1000
    assert {(width, height) for _, width, height in found} == {(1000, 700)}


def test_the_data_are_those_of_the_results(whole, data):
    (table,) = data
    (item,) = analyse(read([whole.folder]))
    assert [measure["key"] for measure in table["measures"]] == [measure.key for measure in item.measures]
    assert [row["label"] for row in table["rows"]] == [line.row.label for line in item.lines]
    seen = 0
    for row, line in zip(table["rows"], item.lines, strict=True):
        assert [int(seed) for seed in row["runs"]] == line.row.seeds == list(range(10))
        for seed, run in row["runs"].items():
            result = json.loads((line.row.run_folder(int(seed)) / "result.json").read_text())
            assert run["values"] == [measure.read(result) for measure in item.measures], "to the last digit"
            seen += 1
    assert seen == 50
    assert table["rows"][0]["missing"] == {"10": f"failed: {HOSTILE}"}


def test_names_of_identifiable_models_are_bold_wherever_they_stand(root):
    named = [one for tag in ("th", "li") for one in root.all(tag) if any(one.all("svg"))]
    bold = [one for one in named if one.attributes.get("class") == "identifiable"]
    assert {one.text.split(" (")[0] for one in bold} == {"LIDGMVAE"}
    assert not any("LIDGMVAE" in one.text for one in named if one not in bold)
    assert len(named) == len(MODELS) * (len(bold)), "two tables, the curves' key and their values"
    assert [one.text for one in root.all("li")].count(
        "Names in bold: models whose latents are identifiable by construction."
    ) == 2


def test_the_curves_are_those_of_the_runs(whole, data, root):
    """At every step that is kept; the first and the last are."""
    (kl,) = (chart for chart in data[0]["charts"] if chart["key"] == "kl")
    logged = []
    for seed in range(10):
        with (whole.place("sa_vae", seed) / "metrics.csv").open(newline="") as file:
            logged.append({int(line["step"]): float(line["valid/kl"]) for line in csv.DictReader(file)})
    (curve,) = (row for row in kl["rows"] if row["row"] == 1)
    assert (curve["steps"][0], curve["steps"][-1], len(curve["steps"])) == (97, 38_800, charts.POINTS)
    for place, step in enumerate(curve["steps"]):
        values = [run[step] for run in logged]
        found = [curve[name][place] for name in ("low", "mean", "high")]
        assert found == pytest.approx([min(values), np.mean(values), max(values)], rel=1e-4)
        assert [of_seed[place] for of_seed in curve["values"]] == pytest.approx(values, rel=1e-4)
    assert curve["seeds"] == [str(seed) for seed in range(10)]
    drawings = [one for one in root.all("svg") if one.attributes.get("class") == "chart"]
    assert len(drawings) == len(data[0]["charts"]) == 5
    assert "KL(z), nats, against the step. At the end: GMVAE 0.001" in drawings[0].attributes["aria-label"]


def test_without_its_script_the_page_shows_what_matters(root):
    (body,) = root.all("body")
    text = body.text
    finding = "GMVAE collapses in 10 of 10 seeds: KL 0.001."
    assert text.index(finding) < text.index("Contents") < text.index("Means and deviations")
    for words in ("10 of 11", "Learning curves", "Models side by side", "Active units: the share", "Made by"):
        assert words in text
    hidden = [one for tag in ("div", "fieldset", "label") for one in body.all(tag) if "hidden" in one.attributes]
    assert hidden, "what only the script can do is shown by it"
    assert all(not list(one.all("table")) and not list(one.all("img")) for one in hidden)
    assert [one.attributes["class"] for one in hidden] == ["tools", "choice", "slider"]


def test_titles_headings_landmarks_captions_and_alternatives(root):
    (html,) = root.all("html")
    assert html.attributes["lang"] == "en"
    assert [one.text for one in root.all("title")] == ["Report on table"]
    for landmark in ("header", "nav", "main", "h1"):
        assert len(list(root.all(landmark))) == 1
    levels = [int(m) for m in re.findall(r"<h(\d)", serialised(root))]
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert all(len(list(table.all("caption"))) == 1 for table in root.all("table"))
    assert all(one.attributes["scope"] in ("row", "col") for one in root.all("th"))
    pictures = list(root.all("img"))
    assert len(pictures) == len(MODELS) + 1, "a run of each model, and the divergences"
    assert all(one.attributes["alt"] and one.attributes["src"].startswith("data:image/") for one in pictures)
    ids = [one.attributes["id"] for one in everything(root) if "id" in one.attributes]
    assert len(ids) == len(set(ids))
    inside = [one.attributes["href"][1:] for one in root.all("a") if one.attributes["href"].startswith("#")]
    assert set(inside) <= set(ids)
    assert len(inside) > 5


def everything(element):
    for child in element.children:
        yield child
        yield from everything(child)


def serialised(element):
    return "".join(f"<{one.tag}" for one in everything(element))


def test_nothing_in_a_result_breaks_out(whole, root):
    assert len(list(root.all("script"))) == 2, "the data and the page's own"
    assert HOSTILE not in page_of(whole)
    (script,) = (one for one in root.all("script") if "type" in one.attributes)
    assert not {"<", ">", "&"} & set("".join(script.words)), "nor begins a comment in which scripts nest"
    assert " ".join(HOSTILE.split()) in root.text, "told word for word"
    assert [one for one in everything(root) if any(name.startswith("on") for name in one.attributes)] == []


def test_the_page_asks_for_nothing_beside_itself(whole, root):
    text = page_of(whole)
    text = re.sub(r"data:image/\w+;base64,[\w+/=]+", "", text)
    assert not re.search(r"(?:https?:)?//[a-z]|<link|@import|\burl\(", text)
    for one in everything(root):
        assert {"src", "srcset", "action", "data"}.isdisjoint(one.attributes) or one.tag == "img"
    (policy,) = (one.attributes["content"] for one in root.all("meta") if "http-equiv" in one.attributes)
    assert policy.startswith("default-src 'none'; img-src data:;")


def test_runs_are_linked_from_where_the_page_is(whole, root):
    links = [one.attributes["href"] for one in root.all("a") if not one.attributes["href"].startswith("#")]
    assert len([link for link in links if link.endswith("/")]) == 51, "of the failed one too"
    assert all((whole.folder / "report" / link).exists() for link in links)
    assert all(link.startswith("../") for link in links)


def test_links_of_odd_names_are_quoted(tmp_path):
    assert address(tmp_path / 'javascript:alert("1")', tmp_path) == "javascript%3Aalert%28%221%22%29"
    assert address(tmp_path / "a b#c?", tmp_path / "report") == "../a%20b%23c%3F"


CUT = latents(np.random.default_rng(0))[:60_000]


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n" + bytes(40), CUT], ids=len)
def test_a_damaged_picture_is_told_of_and_left_out(runs, monkeypatch, content):
    runs.write("gmvae", 0)
    path = runs.place("gmvae", 0) / "latents.png"
    path.write_bytes(content)
    monkeypatch.setattr(images, "BUDGET", 1000)  # so that it has to be opened
    tree = build_page(runs)
    assert f"{path} is damaged: it is no picture." in tree.text
    assert "Models side by side" not in tree.text


def test_numbers_that_json_does_not_have_are_none(runs):
    runs.write("gmvae", 0, distortion={"mean": float("nan")})
    root = build_page(runs)
    (script,) = (one for one in root.all("script") if "type" in one.attributes)
    (table,) = json.loads("".join(script.words), parse_constant=pytest.fail)
    keys = [measure["key"] for measure in table["measures"]]
    values = dict(zip(keys, table["rows"][0]["runs"]["0"]["values"], strict=True))
    assert (values["ll"], values["distortion"]) == (-2.0, None)


def test_curves_of_very_many_seeds_are_of_all_alone():
    steps = np.arange(100)
    for seeds, whether in (
        (range(charts.MOST // charts.POINTS), True),
        (range(charts.MOST // charts.POINTS + 1), False),
    ):
        read = {"valid/kl": Curve(steps, np.zeros((100, len(seeds))), list(seeds))}
        (chart,) = charts.charts([read], ["GMVAE"], [appearance("gmvae")])
        ((row),) = chart.data["rows"]
        assert (row["seeds"] is not None, row["values"] is not None) == (whether, whether)
        assert len(row["mean"]) == charts.POINTS


def test_curves_of_odd_numbers_are_drawn_as_far_as_they_can_be():
    steps = np.arange(4)
    for values in ([np.nan] * 4, [np.inf, -1e308, 1e308, 0.0], [1.0] * 4, [-1e300, 1e-300, 1e5, np.nan]):
        read = {"valid/kl": Curve(steps, np.array([values, values]).T, [0, 1])}
        (chart,) = charts.charts([read], ["GMVAE"], [appearance("gmvae")])
        json.dumps(chart.data, allow_nan=False)
        assert not re.search("nan|inf", chart.svg)


def test_the_scales_of_curves_say_what_they_are():
    steps = np.arange(1, 101) * 100
    for top in (1.0, 0.037, 1234.0, 2.5e7):
        read = {"valid/kl": Curve(steps, np.linspace(0, top, 100)[:, None], [0])}
        (chart,) = charts.charts([read], ["GMVAE"], [appearance("gmvae")])
        drawn = re.findall(r'H348"/><text x="49" y="([\d.]+)" text-anchor="end">(.*?)<', chart.svg)
        height, value = np.array([[float(y), float(text)] for y, text in drawn]).T
        assert len(value) > 2
        slope = np.diff(value) / -np.diff(height)
        assert slope == pytest.approx(slope[0], rel=0.02), "equally far apart, as their words are"


def test_several_tables_have_a_finding_each_and_a_search_has_none(new_runs, tmp_path):
    for name in ("one", "two", "three_search"):
        new_runs(name).write("gmvae", 0, kl=0.001, au=0.0)
    build([tmp_path], console=Console(file=io.StringIO()), output=tmp_path / "report")
    root = Tree((tmp_path / "report" / "report.html").read_text()).root
    findings = [one for one in root.all("p") if one.attributes.get("class") == "finding"]
    assert [one.text.split(":")[0] for one in findings] == ["one", "two"]
    assert [next(one.all("a")).attributes["href"] for one in findings] == ["#table-1", "#table-3"]
    ids = [one.attributes["id"] for one in everything(root) if "id" in one.attributes]
    assert len(ids) == len(set(ids))
    assert len(list(root.all("section"))) == 4
    (script,) = (one for one in root.all("script") if "type" in one.attributes)
    assert [table["place"][0] for table in json.loads("".join(script.words))] == ["one", "three_search", "two"]


def test_every_column_has_a_definition():
    assert [number.key for number in columns() if not number.meaning] == []
    assert all(len(number.meaning) < 220 for number in CORE)


@pytest.mark.parametrize("model", LOOKS)
def test_looks_are_those_of_every_picture(model):
    look = appearance(model)
    drawn = str(charts.sample(look))
    assert drawn.count(look.colour) >= 2
    assert ("stroke-dasharray" in drawn) == (look.line != "solid")
    assert {colour.upper() for colour in re.findall(r"#[0-9A-Fa-f]{3,6}", drawn)} <= {look.colour.upper(), "#FFF"}


def luminance(colour):
    value = np.array([int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)])
    return float(np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_can_be_read_on_their_ground(scheme):
    """WCAG 2.2: 4.5 for words; 3 for the frame of a control."""
    roots = re.findall(r":root \{(.*?)\}", (HERE / "page.css").read_text(), re.DOTALL)
    inks = dict(re.findall(r"--([a-z]+): (#[0-9a-f]{6})", roots[scheme == "dark"]))
    words = {("ink", ground) for ground in ("ground", "raised", "collapsed", "partly")}
    words |= {(ink, ground) for ink in ("muted", "link") for ground in ("ground", "raised")} | {("short", "ground")}
    for ink, ground in words:
        light, dark = sorted((luminance(inks[ink]), luminance(inks[ground])), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (ink, ground)


def test_the_page_is_the_same_for_the_same_runs(runs):
    write_sweep(runs, seeds=2, steps=5)
    build_page(runs)
    first = page_of(runs)
    build_page(runs)
    assert page_of(runs) == first
