"""Every benchmark runs as one would start it, at its smallest size, and its tables hold finite numbers."""

import importlib.util
import math
import os
import re
import shlex
from pathlib import Path

import pytest
from prepared import run_program
from runs import Programs

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
# Of a run that takes a moment.
TINY = "data.per_class=60 data.valid_size=50 data.test_size=60 trainer.max_epochs=1 width=8 samples=4 logger=none"
TINY += " vector_pictures=false"
SMALLEST = {
    "bounds": f"--threads 1 --epochs 1 --models gmvae --images 3 --chains 2 --steps 0 2 --draws 4 --options '{TINY}'",
    "busy": "--threads 1 --seeds 2 --seconds 0.1 --rounds 1 --hogs 1 --spins default --options model=gmvae width=8",
    "coverage": "--threads 1 --replicates 20 --examples 50 --samples 4",
    "curve_cost": "--threads 1 --runs 'digits, gmvae' --options 'trainer.max_epochs=1 width=8 data.train_size=200'",
    "curves": "--threads 1 --rounds 1 --points 3 --plot curves.png",
    "diagnose": "--threads 1 --examples 50 --latents 2 --width 8 --pixels 9 --samples 4 --rounds 1",
    "docstrings": "",
    "end_to_end": f"--threads 1 --epochs 1 --seeds 2 --model gmvae --options '{TINY}'",
    "fuzz": "--threads 1 --options 2 --training 1 --files 2 --data 2",
    "gpu": "--smoke --threads 1 --only steps equality evaluation literal",
    "host_share": "--threads 1 --seeds 2 --turns 1 --rounds 1",
    "kills": "--threads 1 --kills 1 --epochs 5 --seed 57",  # whose first moment comes early
    "launchers": "--jobs 2 --rounds 1 --launchers basic",
    "lines": "",
    "overhead": "--threads 1 --quick",
    "peers": "--threads 1 --data digits --turns 1 --seeds 2",
    "precision": "--threads 1 --seeds 1 --epochs 1 --models gmvae --precisions 32-true",
    "refinement": f"--threads 1 --epochs 1 --models gmvae --images 4 --draws 1 --steps 2 --rates 1 --options '{TINY}'",
    "roofline": "--threads 1 --width 8 --batch 8 --rounds 1 --seeds 2",
    "seeds": "--threads 1 --models gmvae --seeds 2 --steps 2",
    "silence": f"--threads 1 --seconds 300 --command 'train.py model=gmvae -m seed=0-1' --options '{TINY}'",
    "status": "--configurations 4 --seeds 2",
    "step_cost": "--threads 1 --width 8 --batch 8 --hidden-layers 1 --rounds 1",
    "text_step": "--threads 1 --width 8 --batch 2 --length 5 --rounds 1 --vocabularies 50",
    "text_step --memory": "--threads 1 --width 8 --batch 2 --memory 1 --vocabularies 50 --lengths 5",
    "workers": f"--threads 1 --options 'model=gmvae {TINY}' --seeds 1 --workers 1",
}
QUICK = {"docstrings", "lines"}
ELSEWHERE = {"kills"}  # whose kills tests/test_kills.py does one by one
NO_BENCHMARKS = {"bench", "collapse_figure", "certificate"}  # what they share; figures of trained models, below


def run(name: str, words: str, folder: Path) -> str:
    script = str(BENCHMARKS / f"{name.partition(' ')[0]}.py")
    done = run_program([script, *shlex.split(words)], folder, {**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def tables(report: str) -> list[list[list[str]]]:
    """The cells of each Markdown table, without its heading."""
    found = re.findall(r"^\|.*\|\n\|[-:| ]+\|\n((?:\|.*\|\n)+)", report, flags=re.MULTILINE)
    return [[[cell.strip() for cell in line.strip("|").split("|")] for line in body.splitlines()] for body in found]


def numbers(row: list[str]) -> list[float]:
    """Those after the row's name; a cell may hold several, and a unit."""
    words = [word.strip("%") for cell in row[1:] for word in re.split(r", | ", cell.replace(",0", "0"))]
    found = []
    for word in words:
        try:
            found.append(float(word))
        except ValueError:
            continue
    return found


def check(report: str) -> list[list[list[str]]]:
    found = tables(report)
    assert found, report
    for row in (row for rows in found for row in rows):
        assert numbers(row), row
        assert all(map(math.isfinite, numbers(row))), row
    return found


def marked(name: str) -> pytest.MarkDecorator | tuple[()]:
    return () if name in QUICK else pytest.mark.full if name in ELSEWHERE else pytest.mark.slow


@pytest.mark.parametrize("name", [pytest.param(name, marks=marked(name)) for name in SMALLEST])
def test_a_benchmark_gives_its_table(name: str, tmp_path: Path) -> None:
    check(run(name, SMALLEST[name], tmp_path))
    assert name != "curves" or (tmp_path / "curves.png").exists()


@pytest.mark.slow
def test_peers_have_rows_of_their_own(tmp_path: Path) -> None:
    if importlib.util.find_spec("pythae") is None:
        pytest.skip("pythae is not installed: pip install pythae")
    (rows,) = check(run("peers", SMALLEST["peers"], tmp_path))
    assert [row[1] for row in rows].count("pythae") == 2


@pytest.mark.slow
def test_the_figure_of_collapse_is_drawn(tmp_path: Path) -> None:
    programs = Programs(tmp_path)
    best = [programs.train(f"model={model}").folder / "checkpoints" / "best.ckpt" for model in ("gmvae", "lidgmvae")]
    run("collapse_figure", shlex.join([*map(str, best), "figure.png"]), tmp_path)
    assert (tmp_path / "figure.png").stat().st_size > 10_000


@pytest.mark.slow
def test_the_certificate_stands_beside_the_likelihood(tmp_path: Path) -> None:
    programs = Programs(tmp_path)
    for options in (["model=gmvae"], ["model=polar_lidgmvae"], ["model=polar_lidgmvae", "map.shear_bound=0.25"]):
        programs.train(*options, "-m", "seed=0-1")
    (rows,) = check(run("certificate", "runs/default --plot figure.png --csv runs.csv --closest", tmp_path))
    assert [row[1] for row in rows] == ["2"] * 3
    assert (rows[0][4], rows[0][-2]) == ("", "")
    assert all(row[4] and float(row[-2]) > 0 for row in rows[1:])
    assert all(0 < float(row[-1]) < 20 for row in rows)
    (chosen,) = check(run("certificate", "runs/default --validation", tmp_path))
    assert [row[0] for row in chosen] == [row[0] for row in rows]
    assert [row[2] for row in chosen] != [row[2] for row in rows], "another split"
    assert (tmp_path / "figure.png").stat().st_size > 5_000
    assert len((tmp_path / "runs.csv").read_text().splitlines()) == 7


@pytest.mark.slow
def test_a_silence_is_found_with_what_broke_it(tmp_path: Path) -> None:
    program = "import time; print('one', flush=True); time.sleep(1.5); print('two')"
    (rows,) = check(run("silence", f"--threads 1 --command {shlex.quote(f'-c {shlex.quote(program)}')}", tmp_path))
    assert (rows[0][0], rows[0][3]) == ("first words", "one")
    silences = [row for row in rows if row[0] == "silence"]
    assert float(silences[0][1]) >= 1.4
    assert silences[0][3] == "two"
    assert [float(row[1]) for row in silences] == sorted((float(row[1]) for row in silences), reverse=True)


def test_every_benchmark_is_run_here() -> None:
    scripts = {path.stem for path in BENCHMARKS.glob("*.py")}
    assert scripts == NO_BENCHMARKS | {name.partition(" ")[0] for name in SMALLEST}


def test_lines_of_code_are_those_that_hold_code(tmp_path: Path) -> None:
    source = '''"""What it is,
in two lines."""

import os  # which counts


class A:
    """No."""

    size = 1
    """Nor this."""

    # nor this
    def area(
        self,
    ) -> str:
        """No."""
        return """two

lines and an empty one"""
'''
    (tmp_path / "lid_vae" / "room").mkdir(parents=True)
    (tmp_path / "lid_vae" / "room" / "a.py").write_text(source)
    (tmp_path / "lid_vae" / "long.py").write_text("# a comment\n" * 351)
    report = run("lines", shlex.quote(str(tmp_path)), tmp_path)
    assert tables(report) == [
        [["lid_vae", "1", "0", "351"], ["lid_vae/room", "1", "9", "20"], ["in total", "2", "9", "371"]]
    ]
    assert "Above 350 lines in all: lid_vae/long.py (351)." in report


def test_a_table_with_a_number_that_is_none_is_noticed() -> None:
    report = "| a | b |\n|---|---:|\n| x | {} |\n"
    assert check(report.format("1,024")) == [[["x", "1,024"]]]
    assert numbers(["1", "1.0, 2.5", "+3.1%", "5 of 6"]) == [1.0, 2.5, 3.1, 5.0, 6.0]
    for bad in ("nan", "inf", "", "none"):
        with pytest.raises(AssertionError):
            check(report.format(bad))
