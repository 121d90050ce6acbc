"""The report's LaTeX compiles, and the brief table fits the column of a two-column page."""

import io
import re
import shutil
import subprocess

import pytest
from rich.console import Console

from lid_vae.report.build import build

pytestmark = pytest.mark.latex
DOCUMENT = r"""
\documentclass[twocolumn]{article}
\usepackage[a4paper,textwidth=455pt,columnsep=17pt]{geometry}
\usepackage{booktabs,graphicx}
\usepackage[T1]{fontenc}
\begin{document}
\message{column \the\columnwidth}
\input{report.tex}
\end{document}
"""


@pytest.fixture(scope="module")
def compiler():
    program = shutil.which("pdflatex")
    if program is None:
        pytest.skip("no pdflatex: apt-get install texlive-latex-base texlive-latex-recommended")
    found = subprocess.run(["kpsewhich", "booktabs.sty"], capture_output=True, check=False)
    if not found.stdout.strip():
        pytest.skip("pdflatex has no booktabs: apt-get install texlive-latex-recommended")
    return program


@pytest.mark.parametrize(
    ("detail", "margin"), [(False, None), (True, None), (True, 0.1)], ids=["one column", "full", "full, with a margin"]
)
def test_the_tables_compile_and_fit(compiler, whole, tmp_path, detail, margin):
    """The names of runs, failures and all; the last page holds what floats to the end."""
    build([whole.folder], output=tmp_path, console=Console(file=io.StringIO()), detail=detail, margin=margin)
    (tmp_path / "paper.tex").write_text(DOCUMENT)
    done = subprocess.run(
        [compiler, "-interaction=nonstopmode", "-halt-on-error", "paper.tex"],
        cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
    assert (tmp_path / "paper.pdf").read_bytes().startswith(b"%PDF")
    log = (tmp_path / "paper.log").read_text(errors="replace")
    assert "column 219" in log
    assert "Missing character" not in log
    table = re.compile(r"Overfull .hbox .* at lines (\d+)--(?!\1)")
    caption = re.compile(r"Overfull .* at lines (\d+)--\1")
    assert not table.search(log), log
    assert len(caption.findall(log)) <= 1, "that of a failure's name, which has no place to break"
    if not detail:  # the full one is for a page of its own, as high as it needs
        assert "LaTeX Warning" not in log
