"""The report's page in Chromium, at the widths of a phone, a tablet and a desk, as its readers use it."""

import csv
import io
import itertools
import re
import shutil
from contextlib import suppress
from statistics import fmean, stdev

import pytest
from runs import read_metrics
from whole_sweep import MODELS

from lid_vae.report.numbers.analysis import analyse
from lid_vae.report.numbers.curves import LOGGED
from lid_vae.report.output.latex import latex
from lid_vae.report.output.table import grid, runs_csv
from lid_vae.report.study.results import read

pytestmark = pytest.mark.browser
WIDTHS = (360, 800, 1400)
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not there: pip install '.[browser]'")
    with playwright.sync_playwright() as driver:
        own = driver.chromium.executable_path
        program = next(filter(None, map(shutil.which, (own, *PROGRAMS))), None)
        if program is None:
            pytest.skip("no Chromium: playwright install chromium, or apt-get install chromium")
        started = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def visit(browser, whole):
    """Opens the page of five models by ten seeds; whatever it asks of a network, or complains of, fails the test."""
    contexts, complaints = [], []

    def visit(width=1400, scheme="light", script=True):
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, java_script_enabled=script
        )
        contexts.append(context)
        with suppress(Exception):  # a name that not every browser has
            context.grant_permissions(["clipboard-read", "clipboard-write"])
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
        address = (whole.folder / "report" / "report.html").as_uri()
        page.on(
            "request",
            lambda one: complaints.append(one.url) if not one.url.startswith((address, "data:", "blob:")) else None,
        )
        page.goto(address)
        return page

    yield visit
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture(scope="module")
def item(whole):
    (item,) = analyse(read([whole.folder]))
    return item


def texts(page, selector):
    return [" ".join(text.split()) for text in page.locator(selector).all_inner_texts()]


def first_words(page, column):
    """Of a column of the first table, the first line of each cell."""
    cells = page.locator(f"#table-1-brief tbody tr > :nth-child({column})").all()
    return [cell.locator("span").first.inner_text() for cell in cells]


# The page sees in the frame after a change what has become too wide, and draws it in the next one.
FRAMES = """async () => {
  for (let frame = 0; frame < 4; frame++) await new Promise((resolve) => requestAnimationFrame(resolve));
}"""
HIDDEN = """() => {
  const found = [];
  for (const one of document.querySelectorAll("body *")) {
    if (one.closest("svg, .skip") || !one.checkVisibility()) continue;
    const style = getComputedStyle(one);
    const over = one.scrollWidth > one.clientWidth + 1 && style.display !== "inline" && style.display !== "table-row"
      && !["TABLE", "THEAD", "TBODY", "TR"].includes(one.tagName);
    const cue = ["auto", "scroll"].includes(style.overflowX) && one.tabIndex === 0 &&
      getComputedStyle(one, "::before").content.includes("Scroll sideways");
    if (over && !cue) found.push([one.tagName, one.className, one.scrollWidth, one.clientWidth]);
    const box = one.getBoundingClientRect();
    const outside = box.right > innerWidth + 1 || box.left < -1;
    if (outside && !one.closest(".scroll")) found.push([one.tagName, "outside", box.right]);
    if (one.scrollHeight > one.clientHeight + 2 && style.overflowY === "hidden") found.push([one.tagName, "below"]);
  }
  const root = document.scrollingElement;
  if (root.scrollWidth > root.clientWidth) found.push(["page", root.scrollWidth, root.clientWidth]);
  return found;
}"""


@pytest.mark.parametrize("opened", [False, True], ids=["closed", "opened"])
@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_hidden_without_a_cue_or_cut_off(visit, width, opened):
    page = visit(width)
    if opened:
        page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    page.evaluate(FRAMES)
    assert page.evaluate(HIDDEN) == []
    smallest = page.evaluate(
        "Math.min(...[...document.querySelectorAll('.chart text')].map((one) => one.getBoundingClientRect().height))"
    )
    assert smallest > 10, "words in a curve are as large as others"


def test_the_first_column_stays_in_sight(visit):
    page = visit(360)
    region = page.locator("#table-1-brief").locator("..")
    region.evaluate("(one) => { one.scrollLeft = one.scrollWidth; }")
    names = page.locator("#table-1-brief tbody th")
    shown = names.first.bounding_box()
    assert shown["x"] == pytest.approx(region.bounding_box()["x"], abs=1)
    assert shown["width"] < 0.45 * 360, "and leaves room for the others"


@pytest.mark.parametrize("with_keys", [False, True], ids=["click", "keyboard"])
def test_columns_are_sorted(visit, with_keys):
    page = visit()
    own = first_words(page, 1)
    heading = page.locator("#table-1-brief th[data-key=ll]")
    button = heading.locator("button")

    def press():
        if with_keys:
            button.focus()
            page.keyboard.press("Enter")
        else:
            button.click()
        return heading.get_attribute("aria-sort"), first_words(page, 6)

    found = dict(press() for _ in range(3))
    numbers = {order: [float(text.split()[0]) for text in column] for order, column in found.items()}
    assert list(found) == ["ascending", "descending", "none"]
    assert numbers["ascending"] == sorted(numbers["none"])
    assert numbers["descending"] == sorted(numbers["none"], reverse=True)
    assert first_words(page, 1) == own
    page.locator("#table-1-brief th[data-key=model] button").click()
    assert heading.get_attribute("aria-sort") == "none", "one column at a time"
    assert first_words(page, 1) == sorted(own, key=str.lower)


def test_definitions_come_by_pointing_and_by_focus(visit):
    page = visit()
    button, tip = page.locator("#table-1-brief th[data-key=au] button"), page.locator("#tip")
    assert tip.is_hidden()
    button.hover()
    assert tip.inner_text().startswith("Active units: the share of the dimensions of z")
    page.keyboard.press("Escape")
    assert tip.is_hidden()
    button.hover(position={"x": 1, "y": 1})
    page.mouse.move(0, 0)
    tip.wait_for(state="hidden")
    button.focus()
    assert tip.is_visible()
    described = page.locator(f"#{button.get_attribute('aria-describedby')}")
    assert described.inner_text() == tip.inner_text()
    button.evaluate("(one) => one.blur()")
    assert tip.is_hidden()
    button.hover()
    tip.hover()
    page.wait_for_timeout(300)
    assert tip.is_visible(), "it can be pointed at itself"
    page.mouse.move(0, 0)
    page.set_viewport_size({"width": 360, "height": 700})
    page.locator("#table-1-brief th[data-key=accuracy] button").focus()
    box = tip.bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 360


def test_all_seeds_chosen_say_what_the_server_says(visit, item):
    """The script's own arithmetic, not the texts that it restores."""
    page = visit()
    computed = page.evaluate(
        "tables[0].rows.map((row) => tables[0].measures.map((measure, place) =>"
        " shown(summary(row, place, measure, tables[0].seeds))))"
    )
    headings, rows = grid(item)
    written = [[entry.parts[0] for entry in row[2:-1]] for row in rows]
    assert len(headings) - 3 == len(computed[0]) > 6
    assert computed == written


@pytest.mark.parametrize(
    ("value", "digits"),
    [
        (0.8125, 3),
        (0.0625, 3),
        (-0.8125, 3),
        (2.5, 0),
        (3.5, 0),
        (1.005, 2),
        (-1.23456, 3),
        (1e-9, 3),
        (123.4565, 3),
        (0.5, 0),
    ],
)
def test_numbers_are_rounded_as_python_does(visit, value, digits):
    assert visit().evaluate(f"fixed({value!r}, {digits})") == f"{value:.{digits}f}"


def test_a_choice_of_seeds_is_computed_anew_and_taken_back(visit, item):
    page = visit()
    rows = "(all) => all.map((one) => one.outerHTML)"
    before = page.locator("#table-1-brief tbody tr").evaluate_all(rows)
    for seed in range(10):
        if seed not in (1, 4, 7):
            page.locator(f".seeds input[value='{seed}']").uncheck()
    for place, line in enumerate(item.lines):
        values = [line.row.results[seed]["ll"]["mean"] for seed in (1, 4, 7)]
        assert first_words(page, 6)[place] == f"{fmean(values):.3f} ({stdev(values):.3f})"
    assert first_words(page, 2) == ["3 of 11", *["3 of 10"] * 4]
    assert first_words(page, 3)[0].endswith("†"), "marked as collapsed still"
    assert page.locator("#table-1-brief .best").count() == 0
    said = page.locator(".status").inner_text()
    assert said.startswith("Of seeds 1, 4, 7 alone")
    page.locator("#table-1-full").locator("xpath=ancestor::details").locator("summary").click()
    whole_row = page.locator("#table-1-full tbody tr").last.inner_text()
    assert "paper" in whole_row
    assert "[" not in whole_row, "intervals are of all seeds"
    page.locator(".seeds .all").click()
    assert page.locator("#table-1-brief tbody tr").evaluate_all(rows) == before
    assert page.locator(".status").inner_text() == ""
    for seed in range(10):
        page.locator(f".seeds input[value='{seed}']").uncheck()
    assert page.locator(".status").inner_text() == "No seed is chosen."
    assert first_words(page, 6) == ["-"] * 5


def test_the_curves_follow_the_choice(visit, whole):
    """Read off and drawn: the last point of a line lies where its mean does on the chart's axis."""
    page = visit()
    drawings = "(all) => all.map((one) => one.outerHTML)"
    before = page.locator(".chart").evaluate_all(drawings), texts(page, ".readout tbody tr")
    for seed in range(10):
        if seed not in (1, 4, 7):
            page.locator(f".seeds input[value='{seed}']").uncheck()
    data = page.evaluate("tables[0].charts")
    for row, model in enumerate(MODELS):
        for column, chart in enumerate(data):
            last = [read_metrics(whole.place(model, seed))[-1] for seed in (1, 4, 7)]
            (name,) = [name for name, number in LOGGED.items() if number.key == chart["key"]]
            values = [float(line[name]) for line in last]
            mean = fmean(values)
            cell = page.locator(f".readout tbody tr:nth-child({row + 1}) td").nth(column).inner_text()
            shown = [float(number) for number in re.findall(r"-?[\d.]+", cell)]
            expected = [mean, min(values), max(values)] if len(set(values)) > 1 else [mean]
            assert shown == pytest.approx(expected, rel=1e-4, abs=10.0 ** -chart["digits"])
            line = page.locator(".chart").nth(column).locator(f"g[data-row='{row}'] polyline")
            height = float(line.get_attribute("points").split(",")[-1])
            top, bottom, low, high = chart["scale"]
            assert height == pytest.approx(bottom - (mean - low) / (high - low) * (bottom - top), abs=0.06 + 1e-3)
    assert page.locator(".status").inner_text().endswith("the finding is of all.")
    assert page.locator(".chart").evaluate_all(drawings) != before[0]
    page.locator(".seeds .all").click()
    assert (page.locator(".chart").evaluate_all(drawings), texts(page, ".readout tbody tr")) == before
    for seed in range(10):
        page.locator(f".seeds input[value='{seed}']").uncheck()
    assert page.locator(".readout tbody td").first.inner_text() == "-"
    assert page.locator(".chart polyline").first.get_attribute("points") == ""


def test_one_seed_alone_has_no_deviation(visit, item):
    page = visit()
    for seed in range(1, 10):
        page.locator(f".seeds input[value='{seed}']").uncheck()
    assert first_words(page, 6)[0] == f"{item.lines[0].row.results[0]['ll']['mean']:.3f}"


def test_the_sorting_follows_the_choice(visit):
    page = visit()
    page.locator("#table-1-brief th[data-key=ll] button").click()
    page.locator(".seeds input[value='0']").uncheck()
    numbers = [float(text.split()[0]) for text in first_words(page, 6)]
    assert numbers == sorted(numbers)
    assert page.locator("#table-1-brief th[data-key=ll]").get_attribute("aria-sort") == "ascending"


def test_latex_is_copied(visit, item):
    page = visit()
    page.locator(".copy").click()
    page.get_by_text("LaTeX copied.").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == latex([item], detail=False)
    for seed in range(2, 10):
        page.locator(f".seeds input[value='{seed}']").uncheck()
    page.locator(".copy").click()
    page.get_by_text("LaTeX copied.").wait_for()
    text = page.evaluate("navigator.clipboard.readText()")
    values = [item.lines[-1].row.results[seed]["ll"]["mean"] for seed in (0, 1)]
    row = next(line for line in text.splitlines() if line.startswith("LIDGMVAE"))
    spread = f"{stdev(values):.3f}".removeprefix("0")
    assert f"$-${-fmean(values):.3f}$_{{{spread}}}$" in row
    assert "Of seeds 0, 1 alone." in text
    assert " each" not in text
    assert "textbf" not in text
    assert [text.count(mark) for mark in "{}"] == [text.count("{")] * 2
    assert "leaves no row out" not in text


def test_the_numbers_are_downloaded(visit, item):
    page = visit()

    def rows(text):
        return [
            [float(word) if re.fullmatch(r"-?[\d.]+(e-?\d+)?", word) else word for word in row]
            for row in csv.reader(io.StringIO(text, newline=""))
        ]

    def fetched():
        with page.expect_download() as download:
            page.locator(".download").click()
        return download.value.suggested_filename, rows(download.value.path().read_text())

    name, found = fetched()
    assert name == "runs-table-pinwheel.csv"
    assert found == rows(runs_csv([item]))
    page.locator(".seeds input[value='3']").uncheck()
    assert len(fetched()[1]) == len(found) - len(MODELS)


def test_curves_are_read_off_by_pointing_and_by_the_slider(visit):
    page = visit()
    last = texts(page, ".readout tbody tr")
    chart = page.locator(".chart").first
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.5 * box["height"])
    caption = page.locator(".readout caption").inner_text()
    step = int(re.search(r"step ([\d,]+)", caption)[1].replace(",", ""))
    expected = 97 + (0.3 * 360 - 54) / (348 - 54) * (38_800 - 97)
    assert step == pytest.approx(expected, abs=38_800 / 80)
    cursors = page.locator(".cursor")
    assert cursors.evaluate_all("(all) => all.every((one) => one.getAttribute('visibility') === 'visible')")
    assert texts(page, ".readout tbody tr") != last
    found = page.evaluate(f"tables[0].charts.map((chart) => at(chart.rows[4], {step}, chart.digits))")
    assert texts(page, ".readout tbody tr")[4].endswith(" ".join(found))
    slider = page.locator(".slider input")
    slider.focus()
    page.keyboard.press("End")
    assert texts(page, ".readout tbody tr") == last, "what stands there without the script"
    page.keyboard.press("Home")
    assert "At step 97:" in page.locator(".readout caption").inner_text()
    assert slider.get_attribute("aria-valuetext") == "step 97"


def test_models_stand_beside_each_other(visit):
    page = visit()
    figures = page.locator(".beside figure")
    assert figures.count() == 5
    for place in (1, 2, 3):
        page.locator(".choice input").nth(place).uncheck()
    left, right = (figures.nth(place).bounding_box() for place in (0, 4))
    assert left["y"] == right["y"]
    assert left["x"] + left["width"] <= right["x"]
    assert [figures.nth(place).is_visible() for place in range(5)] == [True, False, False, False, True]
    assert page.evaluate("[...document.images].every((one) => one.complete && one.naturalWidth > 0)")


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(visit, scheme, width):
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe is not there: pip install '.[browser]'"
    )
    page = visit(width, scheme)
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    found = axe.Axe().run(page)
    assert [(one["id"], one["impact"], one["nodes"][0]["html"][:200]) for one in found.response["violations"]] == []


def test_the_dark_page_is_dark_and_its_pictures_are_on_paper(visit):
    page = visit(scheme="dark")

    def ground(selector):
        colour = page.locator(selector).first.evaluate("(one) => getComputedStyle(one).backgroundColor")
        return max(map(int, re.findall(r"\d+", colour)[:3]))

    assert ground("body") < 40
    assert ground("thead th") < 40
    assert ground(".charts") == ground(".beside figure") == ground(".sample") == 255


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_printed_page_is_whole_and_on_white(visit, scheme):
    page = visit(794, scheme)  # A4
    page.emulate_media(media="print", color_scheme=scheme)
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate("[...document.querySelectorAll('details')].every((one) => one.open)")
    # An A4 page less its margins; what is wider would be cut off.
    page.set_viewport_size({"width": 688, "height": 1000})
    assert (
        page.evaluate(
            "[...document.querySelectorAll('main *')].filter((one) => one.checkVisibility() && !one.closest('svg') &&"
            " one.getBoundingClientRect().right > 689).map((one) => one.outerHTML.slice(0, 120))"
        )
        == []
    )
    assert page.locator(".tools").is_hidden()
    assert page.locator("nav").is_hidden()
    ink, ground = page.evaluate(
        "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
    )
    assert (ink, ground) == ("rgb(31, 35, 40)", "rgb(255, 255, 255)")
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert page.locator("details[open]").count() == 0
    assert page.pdf(format="A4").startswith(b"%PDF")


@pytest.mark.parametrize("width", WIDTHS)
def test_without_a_script_no_control_is_dead(visit, width):
    page = visit(width, script=False)
    assert page.locator(".tools, .choice, .slider").locator("visible=true").count() == 0
    assert page.locator("th button").count() == 0
    assert page.get_by_text("GMVAE collapses in 10 of 10 seeds").is_visible()
    assert page.locator("#table-1-brief").is_visible()
    for one, other in itertools.pairwise(page.locator(".chart").all()):
        assert one.is_visible()
        assert other.is_visible()
    assert page.get_by_text("Active units: the share").is_visible()


def test_the_keyboard_reaches_everything(visit):
    """Each control once, in the order of the page; the first is the link past the contents."""
    page = visit()
    seen = []
    for _ in range(80):
        page.keyboard.press("Tab")
        seen.append(page.evaluate("document.activeElement.outerHTML.slice(0, 60)"))
        if seen[-1].startswith("<body"):
            break
    assert 'class="skip"' in seen[0]
    for part in ('type="checkbox" value="9"', 'class="copy"', 'class="download"', "KL(z)", "<summary>", 'type="range"'):
        assert any(part in one for one in seen), part
    assert page.title() == "Report on table", "no script of a result has run"
