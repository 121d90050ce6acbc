"""How to add a part: the examples of docs/extend.md, each in a copy of the program, by the page's own commands."""

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from prepared import run_program
from runs import TINY
from test_commands import code, commands

from lid_vae.system.files import read_json

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples" / "extend"
PROGRAM = ("lid_vae", "conf", "hydra_plugins", "train.py", "evaluate.py")
PAGE = (ROOT / "docs" / "extend.md").read_text()
RECIPES = {
    "map": "A decoder map",
    "objective": "An objective",
    "data": "A data set",
    "measure": "A measure",
    "launcher": "A launcher's option",
}
FILES = {"map": 3, "objective": 2, "data": 2, "measure": 2, "launcher": 2}
# Lines of an example.
LONGEST = 60


def section(recipe: str) -> str:
    """What the page says of a recipe."""
    return re.split(r"^## ", PAGE.partition(f"## {RECIPES[recipe]}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


def python(folder: Path, *words: str) -> str:
    """The output of ``python <words>`` in a copy of the program, which is found before any other."""
    environment = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(folder)}
    done = run_program(words, folder, {**os.environ, **environment})
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def copy_with(recipe: str, folder: Path) -> Path:
    """A copy of the program with one example added, by the page's own line where it has one."""
    for name in PROGRAM:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, folder)
    shutil.copytree(EXAMPLES, folder / "examples" / "extend")
    (line,) = [text for text in code(section(recipe)) if "examples/extend" in text]
    # Not in a repository, as git apply would take the folder's own.
    done = subprocess.run(
        ["sh", "-c", line],
        cwd=folder,
        env={**os.environ, "GIT_CEILING_DIRECTORIES": str(folder.parent)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return folder


def changed(folder: Path) -> set[str]:
    """The program's files in ``folder`` that are not as in the checkout."""
    paths = [path for name in ("lid_vae", "conf", "hydra_plugins") for path in (folder / name).rglob("*")]
    names = [str(path.relative_to(folder)) for path in paths if path.suffix in (".py", ".yaml")]
    return {name for name in names if not (ROOT / name).exists() or _bytes(folder, name) != _bytes(ROOT, name)}


def _bytes(folder: Path, name: str) -> bytes:
    return (folder / name).read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("recipe", RECIPES)
def test_a_part_is_added_trained_and_evaluated(recipe: str, tmp_path: Path) -> None:
    folder = copy_with(recipe, tmp_path)
    assert len(changed(folder)) == FILES[recipe]
    (command,) = [text for text in commands(section(recipe)) if "train.py" in text]
    small = [*TINY, "trainer.max_epochs=1", f"paths.runs={folder / 'runs'}"]
    python(folder, *shlex.split(command)[1:], *small)
    results = sorted((folder / "runs").rglob("result.json"))
    assert [read_json(path)["seed"] for path in results] == ([0, 1] if recipe == "launcher" else [0])
    trained = read_json(results[0])
    if recipe in trained:
        option = re.search(rf" {recipe}=(\w+)", command)
        assert option is not None
        assert trained[recipe] == option[1]
    added = re.search(r"measures=(\w+)", command)
    if added is not None:
        assert set(trained[added[1]]) == {"mean", "se"}
    python(folder, "evaluate.py", f"ckpt={results[0].parent / 'checkpoints' / 'best.ckpt'}")
    (evaluation,) = results[0].parent.glob("evaluation-test-*.json")
    measured = read_json(evaluation)
    for measure in ("latent", "ll", "elbo"):
        assert measured[measure] == trained[measure]


def test_a_worker_is_as_nice_as_its_option_says(tmp_path: Path) -> None:
    """Twice in one process, as workers are used again."""
    folder = copy_with("launcher", tmp_path)
    assert len(changed(folder)) == FILES["launcher"]
    errand = "Errand(dict, 0, '.', [], 7)()"
    script = f"import os; from lid_vae.launch.joblib_pool import Errand; {errand}; {errand}"
    assert python(folder, "-c", f"{script}; print(os.getpriority(os.PRIO_PROCESS, 0))").strip() == "7"


@pytest.mark.parametrize("recipe", RECIPES)
def test_examples_are_in_the_style_of_the_others(recipe: str, tmp_path: Path) -> None:
    folder = copy_with(recipe, tmp_path)
    shutil.copy(ROOT / "pyproject.toml", folder)
    python(folder, "-m", "ruff", "check", "--no-cache", "lid_vae")
    python(folder, "-m", "ruff", "format", "--no-cache", "--check", "lid_vae")


def test_every_example_is_short_and_on_the_page() -> None:
    paths = [path for path in EXAMPLES.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert {path.relative_to(EXAMPLES).parts[0].removesuffix(".diff") for path in paths} == set(RECIPES)
    for path in paths:
        assert len(path.read_text().splitlines()) <= LONGEST, path
    assert len(re.findall(r"^## ", PAGE, re.MULTILINE)) == len(RECIPES)


def test_the_page_names_files_that_are_there() -> None:
    names = re.findall(r"`((?:lid_vae|tests|conf|hydra_plugins|examples)/[\w./]+)`", PAGE)
    assert len(names) > 10
    for name in names:
        assert (ROOT / name).exists(), name
    for recipe in RECIPES:
        for name, file in re.findall(r"`([A-Z_]+)`\s+(?:or `[A-Z_]+`\s+)?of\s+`(tests/[\w./]+)`", section(recipe)):
            assert re.search(rf"^{name}\b", (ROOT / file).read_text(), re.MULTILINE), (name, file)
