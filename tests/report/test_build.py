"""The report's files say the same in every form, need nothing beside themselves, and come quickly."""

import csv
import io
import itertools
import json
import re
import time
from html.parser import HTMLParser
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath
from PIL import Image
from rich.console import Console
from runs import without_reader
from scipy import stats

from lid_vae.appearance import appearance
from lid_vae.command_line.report import main
from lid_vae.diagnosis import verdict
from lid_vae.report.build import build
from lid_vae.report.numbers import collapse
from lid_vae.report.numbers.analysis import analyse
from lid_vae.report.numbers.best import differ
from lid_vae.report.output.finding import finding
from lid_vae.report.output.pictures import figures
from lid_vae.report.output.table import grid
from lid_vae.report.study.results import read
from lid_vae.report.sweep_end import SweepEnd, print_runs

PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000 1f15c4890000000d49444154789c6360000002000001e221bc33"
    "0000000049454e44ae426082".replace(" ", "")
)


def quiet(width=160):
    return Console(file=io.StringIO(), width=width)


@pytest.fixture
def table(runs):
    """Two models on three seeds, with curves, and one picture; the name of a failure holds what forms must escape."""
    for model, ll in (("gmvae", -3.0), ("lidgmvae", -2.0)):
        for seed in range(3):
            place = runs.write(model, seed, ll + 0.1 * seed, mi=1.4 + 0.1 * seed).parent
            rows = ["step,train/bound,valid/bound,valid/mutual_information"]
            rows += [f"{step},-9,{-5 + step / 100 + 0.1 * seed},{step / 100}" for step in range(0, 300, 50)]
            (place / "metrics.csv").write_text("\n".join(rows) + "\n49,-8,,\n")
    (runs.place("lidgmvae", 0) / "latents.png").write_bytes(PIXEL)
    runs.expect(gmvae="0-3", lidgmvae="0-3")
    (runs.place("gmvae", 3) / "failed.json").write_text(json.dumps({"error": "a_b & 5 % of <i>x</i> | \\y {z} $1 #2"}))
    return runs


class Page(HTMLParser):
    """Tags that are open, images, and the text."""

    def __init__(self):
        super().__init__()
        self.open, self.images, self.words = [], [], []

    def handle_starttag(self, tag, attributes):
        if tag == "img":
            self.images.append(dict(attributes)["src"])
        elif tag not in ("meta", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def test_the_page_needs_nothing_beside_itself(table):
    build([table.folder], console=quiet())
    text = (table.folder / "report" / "report.html").read_text()
    page = Page()
    page.feed(text)
    assert page.open == []
    assert len(page.images) == 2, "divergences and the one run that drew itself; the curves are no picture"
    assert all(source.startswith("data:image/png;base64,") for source in page.images)
    assert not re.search(r"https?://|<link|url\(|@import|<script [^>]*src", text)
    words = " ".join(" ".join(page.words).split())
    assert "-1.900 (0.100)" in words
    assert "3 of 4" in words
    assert "seed 3 failed: a_b & 5 % of <i>x</i> | \\y {z} $1 #2" in words, "escaped"
    assert "python train.py model=gmvae" in words


def test_latex_is_balanced_and_escaped(table):
    build([table.folder], console=quiet(), detail=True)
    text = (table.folder / "report" / "report.tex").read_text()
    begun, ended = re.findall(r"\\begin\{(.*?)\}", text), re.findall(r"\\end\{(.*?)\}", text)
    assert sorted(begun) == sorted(ended) == ["table*", "tabular"]
    columns = re.search(r"\\begin\{tabular\}\{(\w+)\}", text).group(1)
    body = text[text.index(r"\toprule") : text.index(r"\bottomrule")]
    rows = [line for line in body.splitlines() if line.endswith(r"\\")]
    assert len(rows) > 2
    assert {len(re.findall(r"(?<!\\)&", row)) + 1 for row in rows} == {len(columns)}
    assert r"a\_b \& 5 \% of \textless{}i\textgreater{}x" in text
    assert r"\textbackslash{}y \{z\} \$1 \#2" in text
    assert r"\textbf{$-$1.900 (0.100)}" in text
    depth = 0
    for mark in re.findall(r"(?<!\\)[{}]", text):
        depth += 1 if mark == "{" else -1
        assert depth >= 0
    assert depth == 0


def test_csv_and_markdown_say_the_same(table):
    build([table.folder], console=quiet(), detail=True)
    with (table.folder / "report" / "rows.csv").open(newline="") as file:
        rows = {(row["row"], row["measure"]): row for row in csv.DictReader(file)}
    row = rows["lidgmvae", "ll"]
    assert (float(row["mean"]), float(row["sd"]), row["n"], row["expected"]) == (
        pytest.approx(-1.9),
        pytest.approx(0.1),
        "3",
        "4",
    )
    assert float(rows["gmvae", "ll"]["difference"]) == pytest.approx(-1.0)
    assert rows["gmvae", "ll"]["p"] == "", "three seeds cannot reach the level"
    assert float(rows["gmvae", "ll"]["difference_low"]) == pytest.approx(-1.0)
    assert rows["gmvae", "ll"]["effect"] == "", "the difference does not vary"
    with (table.folder / "report" / "runs.csv").open(newline="") as file:
        states = [(row["row"], row["seed"], row["state"].split(":")[0], row["ll"]) for row in csv.DictReader(file)]
    assert ("gmvae", "3", "failed", "") in states
    assert ("lidgmvae", "3", "not run", "") in states
    assert ("gmvae", "0", "finished", "-3.0") in states
    text = (table.folder / "report" / "report.md").read_text()
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1
    assert "| LIDGMVAE | 3 of 4 |" in text
    assert "**-1.900 (0.100)**<br>[-2.000, -1.800]<br>paper -3.28 (0.05)" in text


def test_a_margin_has_columns_of_its_own(runs, capsys):
    for seed in range(8):
        runs.write("lidgmvae", seed, -2.0 - 0.001 * seed**2)
        runs.write("gmvae", seed, -2.0)
    main([str(runs.folder), "margin=0.1"])
    assert "no worse p 0.004" in capsys.readouterr().out
    with (runs.folder / "report" / "rows.csv").open(newline="") as file:
        rows = {(row["row"], row["measure"]): row for row in csv.DictReader(file)}
    row = rows["gmvae", "ll"]
    assert [float(row[name]) for name in ("margin", "no_worse_p", "equivalence_p")] == [0.1, 1 / 256, 1 / 256]
    assert float(row["effect_low"]) < float(row["effect"]) < float(row["effect_high"])
    assert (rows["gmvae", "mi"]["margin"], rows["gmvae", "mi"]["equivalence_p"]) == ("", "")


@pytest.mark.parametrize("width", [80, 160])
def test_the_terminal_shows_every_column_at_any_width(table, width):
    console = quiet(width)
    build([table.folder], console=console, detail=True)
    text = console.file.getvalue().split(str(table.folder))[0]
    lines = text.splitlines()
    assert max(map(len, lines)) <= width
    headings = " ".join(line for line in lines if line.startswith("model"))
    for heading in ("AU(z)", "KL(z)", "MI(z)", "LL", "ELBO", "accuracy", "ms/step", "total"):
        assert heading in headings
    assert "-1.900 (0.100)" in text
    assert "[-2.000, -1.800]" in text
    assert "…" not in text


def test_without_detail_a_row_has_means_and_deviations(table):
    """The terminal's table in 100 columns, in one piece; CSV files and the page have all in either form."""
    console = quiet(100)
    build([table.folder], console=console)
    brief = {
        path.name: path.read_text()
        for path in (table.folder / "report").iterdir()
        if path.suffix not in (".pdf", ".png", ".svg")
    }
    text = console.file.getvalue().split(str(table.folder))[0]
    (heading,) = (line for line in text.splitlines() if line.startswith("model"))
    assert heading.split() == ["model", "seeds", "KL(z)", "MI(z)", "AU(z)", "LL", "accuracy"]
    assert "-1.900 (0.100)" in text
    assert "[-2.000, -1.800]" not in text + brief["report.md"] + brief["report.tex"]
    assert "| LIDGMVAE | 3 of 4 |" in brief["report.md"]
    build([table.folder], console=quiet(), detail=True)
    for name in ("rows.csv", "runs.csv", "report.html"):
        assert (table.folder / "report" / name).read_text() == brief[name]
    assert "[-2.000, -1.800]" in brief["report.html"]


def test_the_finding_is_of_every_run_by_one_rule(runs):
    for seed in range(3):
        runs.write("gmvae", seed, kl=0.001, mi=0.0, au=0.0)
        runs.write("sa_vae", seed, kl=1.5, au=0.8 if seed == 0 else 1.0)
        runs.write("lagging_vae", seed, kl=0.1 if seed else 0.001)
        runs.write("lidgmvae", seed, kl=1.5)
    build([runs.folder], console=(console := quiet()))
    sentence = (
        "GMVAE collapses in 3 of 3 seeds: KL 0.001. SA-VAE collapses in part in 1 of 3 seeds: AU 0.80, KL 1.500. "
        "Lagging VAE collapses in 1 of 3 seeds, and nearly or in part in 2: KL 0.001. "
        "LIDGMVAE does not: AU 1.00, KL 1.500."
    )
    assert sentence in " ".join(console.file.getvalue().split())
    page = (runs.folder / "report" / "report.html").read_text()
    assert page.index(sentence) < page.index("<table")
    (item,) = analyse(read([runs.folder]))
    found = {line.row.model: row for line, row in zip(item.lines, grid(item, detail=False)[1], strict=True)}
    assert [found["gmvae"][k].state for k in (2, 3, 4)] == ["collapsed", None, "collapsed"]
    assert [found["sa_vae"][k].state for k in (2, 3, 4)] == [None, None, "partly"]
    assert [found["lidgmvae"][k].state for k in (2, 3, 4)] == [None, None, None]


def test_no_collapse_is_said_too_and_a_language_model_cannot(runs):
    runs.write("lidgmvae", 0)
    runs.write("language_model", 0, kl=0.0, au=0.0)
    (item,) = analyse(read([runs.folder]))
    assert finding(item) == "No collapse: AU 1.00, KL 1.500 over all seeds."


def test_the_rules_of_collapse_are_those_of_diagnosis():
    assert (collapse.SLIGHT, collapse.NEARLY) == (verdict.SLIGHT, 0.1)


def test_bold_is_what_the_seeds_can_tell(runs):
    """gmvae is as good as lidgmvae on equal seeds, sa_vae worse; of accuracies that are all alike none is bold."""
    for seed, noise in enumerate((0.0, 0.3, -0.3, 0.1)):
        runs.write("lidgmvae", seed, -2.0 + noise)
        runs.write("gmvae", seed, -2.05 + 1.2 * noise)
        runs.write("sa_vae", seed, -2.2 + noise + 0.01 * seed)
    (item,) = analyse(read([runs.folder]))
    bold = {
        measure.key: {line.row.model for line in item.lines if line.cells[measure.key].best}
        for measure in item.measures
    }
    assert bold["ll"] == {"lidgmvae", "gmvae"}
    assert bold["accuracy"] == bold["kl"] == set()


@pytest.mark.parametrize("paired", [True, False])
def test_the_error_of_a_difference_is_students(paired):
    rng = np.random.default_rng(0)
    seen = set()
    for shift in np.linspace(0, 3, 25):
        a, b = rng.normal(size=6).tolist(), rng.normal(shift, 2.0, size=6).tolist()
        test = stats.ttest_rel(a, b) if paired else stats.ttest_ind(a, b, equal_var=False)
        assert differ(a, b, paired) == (test.pvalue < 0.05)
        seen.add(differ(a, b, paired))
    assert seen == {True, False}
    assert not differ([1.0], [2.0, 2.0], paired)


def test_without_detail_latex_fits_one_column(new_runs):
    """219 points are a column of two in A4 (ACL's): the widest cells of MNIST's size in Computer Modern."""
    runs = new_runs("table2_mnist", "mnist")
    for model, seed in itertools.product(("polar_lidgmvae", "lagging_vae", "lidgmvae"), range(3)):
        runs.write(model, seed, -95.4 - 0.33 * seed, kl=2.01 + 0.05 * seed, mi=0.001 * seed, au=0.9 + 0.05 * seed)
    build([runs.folder], console=quiet())
    text = (runs.folder / "report" / "report.tex").read_text()
    body = text[text.index(r"\toprule") : text.index(r"\bottomrule")]
    rows = [line.removesuffix(r" \\").split(" & ") for line in body.splitlines() if " & " in line]
    assert r"\begin{table}" in text
    widths = [max(map(set_width, column)) for column in zip(*rows, strict=True)]
    assert 150 < sum(widths) + 2 * 2 * len(widths) < 219


def set_width(cell):
    """Points of a cell in \\scriptsize, seven points, with five of sub- and superscripts."""
    scripts = "".join(re.findall(r"_\{(.*?)\}", cell)) + "+" * cell.count("dagger")
    plain = re.sub(r"_\{.*?\}|\^\\d?dagger|\\textbf|[{}]", "", cell).replace("$-$", "\N{MINUS SIGN}").replace("$", "")
    font = FontProperties(fname=Path(matplotlib.get_data_path()) / "fonts/ttf/cmr10.ttf")
    plain = plain.replace("\N{MINUS SIGN}", "+")  # as wide, and in this font
    return sum(
        TextPath((0, 0), words, size, prop=font).get_extents().width
        for words, size in ((plain, 7), (scripts, 5))
        if words
    )


def test_depth_is_drawn(runs):
    for depth in (1, 2, 3):
        for model in ("gmvae", "lidgmvae"):
            runs.write(model, 0, tag=str(depth), depth=depth)
    paths = {path.name: path for path in build([runs.folder], console=quiet())}
    assert paths["depth-table-pinwheel-100.png"].read_bytes().startswith(PIXEL[:8])


def test_figures_are_files_for_print(table):
    """200 dots to an inch, and a PDF whose fonts are TrueType; on the page they have the size of a page."""
    paths = {path.name: path for path in build([table.folder], console=quiet())}
    for name in ("curves-table-pinwheel-100", "divergences-table-pinwheel-100"):
        with Image.open(paths[f"{name}.png"]) as image:
            assert image.info["dpi"] == pytest.approx((200, 200), abs=0.1)
            width = image.width
        drawn = paths[f"{name}.pdf"].read_bytes()
        assert b"/FontFile2" in drawn
        assert b"/Type3" not in drawn
        assert "<text" in paths[f"{name}.svg"].read_text(), "text stays text"
    assert f'width="{width // 2}"' in paths["report.html"].read_text(), "of the divergences; the curves are no picture"


@pytest.mark.parametrize("first", ["gmvae", "lidgmvae"])
def test_a_model_has_one_colour_whatever_stands_beside_it(runs, first):
    for model in (first, "vae", "lidvae", "lidgmvae"):
        runs.write(model, 0)
    (item,) = analyse(read([runs.folder]))
    (axis, *_) = figures(item)["divergences"].axes
    looks = [appearance(line.row.model) for line in item.lines]
    assert [(line.get_color(), line.get_marker()) for line in axis.lines[:-1]] == [(k.colour, k.marker) for k in looks]


def test_the_command_and_where_it_writes(table, tmp_path, capsys):
    main([str(table.folder), f"output={tmp_path / 'elsewhere'}"])
    assert (tmp_path / "elsewhere" / "report.md").exists()
    assert not (table.folder / "report").exists()
    assert "LIDGMVAE" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main([str(table.folder), "seed=1"])
    assert "seed=1 has no bearing on tables" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([str(table.folder), "margin=-1"])
    assert "A margin is a number of nats above 0, got margin=-1" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([str(table.folder), "detail=much"])
    assert "detail=much is neither true nor false" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["figure=theorem_1", "detail=true"])
    assert "detail=True has no bearing on figures" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["figure=theorem_1", "margin=0.1"])
    assert "margin=0.1 has no bearing on figures" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([str(tmp_path / "absent")])
    assert "absent is no folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "file"),
    [
        (["--help"], None),
        pytest.param(["--cfg", "job"], None, marks=pytest.mark.slow),
        (["<folder>"], "report/report.html"),
        pytest.param(["figure=theorem_1", "output=<folder>"], "theorem-1.pdf", marks=pytest.mark.slow),
    ],
)
def test_the_command_ends_quietly_where_its_reader_has_gone(table, words, file):
    """``| head -1``: no traceback, and the files are written all the same."""
    done = without_reader("-m", "lid_vae.report", *(word.replace("<folder>", str(table.folder)) for word in words))
    assert (done.returncode, done.stderr) == (0, "")
    assert file is None or (table.folder / file).exists()


def test_a_report_is_no_part_of_the_next(table):
    first = [path.read_bytes() for path in build([table.folder], console=quiet())]
    assert [path.read_bytes() for path in build([table.folder], console=quiet())] == first


def test_the_end_of_a_sweep_without_a_result_says_so(tmp_path, capsys):
    (tmp_path / "table").mkdir()
    SweepEnd(str(tmp_path), "table")()
    assert "No table: " in capsys.readouterr().err


def test_a_sweep_ends_with_its_own_runs(runs, capsys):
    """Of a row's three seeds two are of the sweep; one model has failed in one seed; an evaluation is another ruler."""
    for seed, ll in enumerate((-2.0, -3.0, -9.0)):
        runs.write("gmvae", seed, ll, kl=0.001, au=0.0)
    runs.write("lidgmvae", 0, -1.5)
    runs.write("lidgmvae", 0, -1.4, samples=500, file="evaluation-test.json")
    (runs.place("lidgmvae", 1) / "failed.json").write_text(json.dumps({"error": "No memory."}))
    names = [f"{model}-pinwheel-realnvp" for model in ("gmvae", "lidgmvae")]
    print_runs({runs.folder: {name: {0, 1} for name in names}})
    out = capsys.readouterr().out
    rows = [line.split() for line in out.splitlines()]
    assert [row[:2] for row in rows if "-2.000" in row or "-3.000" in row] == [["GMVAE", "0"], ["1", "0.001†"]]
    assert "-2.500 (0.707)" in out
    assert "-9.000" not in out
    assert "-1.400" not in out
    assert ["LIDGMVAE", "0"] in [row[:2] for row in rows]
    assert out.count("mean (sd)") == out.count("GMVAE    0"), "a single seed has no mean"
    assert out.endswith(f"runs        {runs.folder}\nreport      python -m lid_vae.report {runs.folder}\n")
    print_runs({runs.folder: {names[0]: {0}}})
    assert capsys.readouterr().out == "", "a single run has said all itself"


def test_many_seeds_are_shown_by_their_means(runs, capsys):
    for seed in range(61):
        runs.write("gmvae", seed)
    print_runs({runs.folder: {"gmvae-pinwheel-realnvp": set(range(61))}})
    out = capsys.readouterr().out
    assert "GMVAE mean (sd)" in out
    assert len(out.splitlines()) < 20


@pytest.mark.slow
@pytest.mark.parametrize(
    ("experiments", "rates", "seeds"), [(20, 1, 100), (1, 200, 10)], ids=["many tables", "a table of 1,000 rows"]
)
def test_ten_thousand_results_in_under_ten_seconds(new_runs, tmp_path, experiments, rates, seeds):
    models = ("gmvae", "sa_vae", "lagging_vae", "beta_vae", "lidgmvae")
    for experiment in range(experiments):
        runs = new_runs(f"table{experiment}")
        for model, rate, seed in itertools.product(models, range(rates), range(seeds)):
            ll = -2.0 - 0.01 * (seed * 7919 % 101)
            runs.write(model, seed, ll, tag=f"{rate}" if rates > 1 else "", learning_rate=0.001 * (rate + 1))
    start = time.process_time()
    paths = build([tmp_path], console=quiet())
    assert time.process_time() - start < 10
    with paths[2].open(newline="") as file:
        measures = 8  # those that the results hold; each row has a line of each
        assert len(list(csv.reader(file))) == 1 + experiments * len(models) * rates * measures
