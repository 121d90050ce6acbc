"""The examples that the guide names end as it says, and the guide builds, every link of it whole."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from prepared import run_program

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "collapse.md").read_text()


def run(name: str, *words: str) -> str:
    done = run_program([str(ROOT / "examples" / name), *words], Path.cwd(), os.environ)
    assert done.returncode == 0, done.stderr
    return done.stdout


def without_numbers(text: str) -> str:
    """On one line, digits after the point left out: they differ between machines."""
    return re.sub(r"\d+\.\d+(e-\d+)?", "#", " ".join(text.split()))


@pytest.mark.slow
def test_the_tutorials_collapse_is_found_and_cured():
    said = without_numbers(run("collapse_found_and_cured.py"))
    shown = re.findall(r"\n\n((?:    (?:Collapsed|Not collapsed)[^\n]*\n)(?:    [^\n]*\n)*)", PAGE)
    assert len(shown) == 2
    for text in shown:
        assert without_numbers(text) in said


@pytest.mark.slow
def test_an_identifiable_decoder_in_ones_own_vae():
    said = run("brenier_decoder.py")
    assert said.startswith("Not collapsed")
    constant = float(re.search(r">= ([\d.]+) \|z", said)[1])
    assert constant > 0.01
    assert float(re.search(r"off by ([\d.e+-]+)", said)[1]) < 1e-4


@pytest.mark.slow
def test_the_polar_map_comes_nearest_to_a_whirl(tmp_path):
    said = run("grid_of_maps.py", "--steps", "300", "--output", str(tmp_path / "grid.png"))
    brenier, shears, polar = map(float, re.findall(r"off by ([\d.]+)", said))
    assert polar < shears < brenier
    assert (tmp_path / "grid.png").stat().st_size > 10_000


@pytest.mark.slow
@pytest.mark.parametrize("package", ["pythae", "diffusers"])
def test_models_of_other_packages_are_diagnosed(package):
    pytest.importorskip(package)
    assert "z  mutual information" in run(f"diagnose_{package}.py")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["collapse_found_and_cured", "lidgmvae_on_digits"])
def test_notebooks_run(name, tmp_path):
    pytest.importorskip("ipykernel")
    program = f"""
import nbformat
from nbclient import NotebookClient
notebook = nbformat.read({str(ROOT / "examples" / f"{name}.ipynb")!r}, 4)
assert not any(cell.get("outputs") for cell in notebook.cells)
NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
print("\\n".join(str(out.get("text", "")) for cell in notebook.cells for out in cell.get("outputs", ())))
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=500
    )
    assert done.returncode == 0, done.stderr
    assert "Not collapsed" in done.stdout


@pytest.mark.slow
def test_the_site_is_whole(tmp_path):
    """In a copy: the builder writes beside its pages."""
    if shutil.which("zensical") is None:
        pytest.skip("no builder of the guide here: pip install -e '.[docs]'")
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True).stdout.split("\0")
    if not any(names):
        pytest.skip("no checkout")
    for name in filter(None, names):
        if name.startswith(("docs/", "benchmarks/reports/", "lid_vae/", "data/")) or "/" not in name:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, tmp_path / name)
    done = subprocess.run([sys.executable, "docs/build.py"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    api = (tmp_path / "site" / "docs" / "api.html").read_text()
    assert "log_likelihood" in api
    (tmp_path / "docs" / "text.md").write_text("[dead](nowhere.md)")
    assert subprocess.run([sys.executable, "docs/build.py"], cwd=tmp_path, capture_output=True).returncode != 0
