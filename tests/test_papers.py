"""The project's papers: licence, citation and changelog agree with the version, and the pages' links lead somewhere."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from lid_vae import __version__

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text())
LICENCE = (ROOT / "LICENSE").read_text()
NAMES = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "data/README.md"]
PAGES = [*NAMES, *(str(path.relative_to(ROOT)) for path in sorted(ROOT.glob("docs/**/*.md")))]
WORDS = 1000
# Bytes of a file.
LARGEST = 1_000_000


def test_the_citation_is_of_this_version():
    assert CITATION["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= CITATION.keys(), "what the format requires"
    assert CITATION["version"] == __version__


def test_the_citation_names_the_paper():
    (paper,) = CITATION["references"]
    assert {"type", "title", "authors"} <= paper.keys(), "what the format requires"
    assert [author["family-names"] for author in paper["authors"]] == ["Wang", "Blei", "Cunningham"]
    assert paper["year"] == 2021


def test_licence_and_authors_are_the_same_everywhere():
    assert PROJECT["license"] == CITATION["license"] == "MIT"
    assert LICENCE.startswith("MIT License\n")
    (holder,) = re.findall(r"^Copyright \(c\) \d{4} (.*)$", LICENCE, re.MULTILINE)
    assert PROJECT["authors"] == CITATION["authors"] == [{"name": holder}]


def test_the_changelog_has_a_section_for_this_version():
    sections = re.findall(r"^## \[(.*?)\](?: - \d{4}-\d\d-\d\d)?$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert sections[0] == "Unreleased"
    assert __version__ in sections


def broken(page: Path, text: str) -> list[str]:
    """The links and images of ``text``, read as the file ``page``, that lead nowhere; addresses are not visited."""
    prose = "\n".join(line for line in text.splitlines() if not line.startswith("    "))
    found = []
    for link in re.findall(r"\]\(([^)\s]+)\)", prose):
        if re.match(r"https?:", link):
            continue
        name, _, heading = link.partition("#")
        there = page.parent / name if name else page
        inside = there.is_file() and there.resolve().is_relative_to(ROOT)
        if not inside or (heading and heading not in headings(text if there == page else there.read_text())):
            found.append(link)
    return found


def headings(text: str) -> set[str]:
    """The headings of a page, as addresses name them."""
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("name", PAGES)
def test_every_link_leads_somewhere(name):
    assert broken(ROOT / name, (ROOT / name).read_text()) == []


def test_a_broken_link_is_found():
    text = (
        "# One page\n\n[a](README.md) ![b](docs/none.png) [c](#one-page) [d](#two) [e](data/README.md#none) [f](../x)"
    )
    assert broken(ROOT / "README.md", text) == ["docs/none.png", "#two", "data/README.md#none", "../x"]


def test_every_page_is_reached_from_the_readme():
    linked = set(re.findall(r"\]\((docs/[^)#]+)", (ROOT / "README.md").read_text()))
    assert {str(path.relative_to(ROOT)) for path in ROOT.glob("docs/*.md")} <= linked


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().split()) <= WORDS


def test_the_readmes_python_says_what_the_readme_says(capsys, tmp_path, monkeypatch):
    """Its blocks one after the other, in a fresh interpreter's names."""
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "README.md").read_text()
    programs = re.findall(r"^```python\n(.*?)^```\n\n?((?:    [^\n]*\n)*)", page, re.DOTALL | re.MULTILINE)
    assert len(programs) == 2
    names: dict[str, object] = {}
    for program, said in programs:
        exec(program, names)
        assert capsys.readouterr().out.splitlines() == [line.strip() for line in said.splitlines()]


def test_nothing_large_is_kept():
    """Downloads, wheels and checkpoints of real runs have their place elsewhere."""
    if not (ROOT / ".git").exists():
        pytest.skip("no checkout")
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    large = [name for name in names.split("\0") if name and (ROOT / name).stat().st_size > LARGEST]
    assert large == []
