"""The project's papers: licence, citation and changelog agree with each other and with the version."""

import re
import tomllib
from pathlib import Path

import yaml

from lid_vae import __version__

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text())
LICENCE = (ROOT / "LICENSE").read_text()


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
