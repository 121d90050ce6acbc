"""Who may import whom: every module of lid_vae imports only rooms below its own."""

import ast
import importlib
import re
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "lid_vae"

# From the ground up: a room imports only rooms of the lines above its own. Those of one line never import each other.
ORDER = (
    {"errors", "noise", "shapes", "symbols"},
    {"appearance", "seed_range", "shown", "machine_memory"},
    {"system"},
    {"result"},
    {"data"},
    {"map", "distribution"},
    {"metrics"},
    {"prior", "likelihood", "posterior", "classical"},
    {"vae"},
    {"objective"},
    {"inference"},
    {"measure"},
    {"train"},
    {"picture", "text"},
    {"log", "diagnosis"},
    {"check"},
    {"run"},
    {"launch"},
    {"report", "figure"},
    {"command_line"},
    {"model"},
    {"plot"},
    {"sweep", "__main__"},
    {"console"},
)
LEVEL = {room: level for level, rooms in enumerate(ORDER) for room in rooms}
# What has exact answers of its own stays apart from what it checks.
GROUND = ORDER[0] | {"distribution"}
LARGEST = 1_800
LARGE = {"data", "report"}
FILES_IN_A_ROOM = 12


def module_name(path: Path) -> str:
    parts = list(path.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imports(source: str) -> set[str]:
    """Modules of lid_vae that a source imports anywhere, functions included; relative imports by their dots."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            names = [f"{base}.{alias.name}" for alias in node.names]
        else:
            continue
        found |= {name for name in names if name.startswith(("lid_vae", "."))}
    return found


def target(name: str) -> str:
    """The module behind an imported name: ``lid_vae.map.MLP`` is in ``map``."""
    name = name.removeprefix("lid_vae").removeprefix(".")
    while name and name not in FILES:
        name = name.rpartition(".")[0]
    return name


def room(module: str) -> str:
    """``python -m lid_vae.report`` is a program, whichever room it is named after."""
    first, *_, last = module.split(".") * 2
    return "__main__" if last == "__main__" else first


def allowed(room: str) -> set[str]:
    below = {other for other, level in LEVEL.items() if level < LEVEL[room]}
    return below & GROUND if room == "classical" else below


def violations(module: str, source: str) -> list[str]:
    own, found = room(module), []
    for name in sorted(imports(source)):
        if name.startswith("."):
            found.append(f"{module}: relative import {name}")
            continue
        there = target(name)
        if there and room(there) not in allowed(own) | {own}:
            found.append(f"{module} imports {there}")
    return found


@pytest.mark.parametrize("module", [name for name in FILES if name])
def test_imports_point_downwards(module: str) -> None:
    assert room(module) in LEVEL, f"{module}: a new room needs its place in the order"
    assert violations(module, FILES[module].read_text()) == []


def test_the_front_door_imports_nothing_until_it_is_asked() -> None:
    """Its imports are for type checkers alone: what a name stands for is imported when it is first asked for."""
    tree = ast.parse(FILES[""].read_text())
    guarded = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    assert len(guarded) == 1
    tree.body.remove(guarded[0])
    assert imports(ast.unparse(tree)) == set()


def test_the_order_can_be_violated() -> None:
    """What the test is for: each of these lines would fail it."""
    wrong = [
        ("map.network.mlp", "from lid_vae.distribution.kl import closed_form_kl"),
        ("prior.base", "from lid_vae.posterior import Posterior"),
        ("likelihood.base", "import lid_vae.prior.base"),
        ("vae", "from lid_vae.objective.elbo import ELBO"),
        ("objective.elbo", "def f():\n    from lid_vae import inference"),
        ("inference.base", "from lid_vae.measure import Evaluator"),
        ("metrics.accuracy", "from lid_vae.inference.base import Inference"),
        ("classical.ppca", "from lid_vae.vae import VAE"),
        ("data.base", "from lid_vae.prior import Prior"),
        ("measure.evaluator", "from lid_vae.run.fit import train"),
        ("run.fit", "from lid_vae.report import table"),
        ("system.lock", "from lid_vae.run.store import resolve"),
        ("system.files", "from lid_vae.map import MLP"),
        ("report.build", "from lid_vae.command_line.mistake import explain"),
        ("classical.ppca", "from lid_vae.data.split import Split"),
        ("report.build", "from lid_vae.figure.figures import Figure3"),
        ("diagnosis.report", "from lid_vae.run.build import build_data"),
        ("train.training", "from lid_vae.diagnosis import diagnose"),
        ("map.network.mlp", "from .base import Map"),
    ]
    for module, line in wrong:
        assert module in FILES, module
        assert violations(module, line), line
    for module, line in (
        ("map.network.mlp", "from lid_vae.map.base import Map"),
        ("run.fit", "from lid_vae.run.store import resolve"),
        ("vae", "from lid_vae import __version__"),
        ("figure.figures", "from lid_vae.classical import ppca"),
    ):
        assert violations(module, line) == []


ROOMS = sorted({path.parent for path in FILES.values()} - {PACKAGE})


@pytest.fixture
def code_lines(monkeypatch) -> Callable[[str], int]:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module("lines").code_lines


@pytest.mark.parametrize("folder", ROOMS, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_room_can_be_taken_in(folder: Path, code_lines) -> None:
    """A line says what is in it; a dozen files at most; no more code than can be read at once."""
    files = [path for path in folder.glob("*.py") if path.name != "__init__.py"]
    assert len(files) <= FILES_IN_A_ROOM, f"{folder.name} needs a sub-room"
    docstring = ast.get_docstring(ast.parse((folder / "__init__.py").read_text()))
    assert docstring
    assert len(docstring.splitlines()) == 1
    if folder.parent == PACKAGE and folder.name not in LARGE:
        assert sum(code_lines(path.read_text()) for path in folder.rglob("*.py")) <= LARGEST


def test_tests_mirror_the_rooms() -> None:
    """A folder of tests is a room's; beside them stand tests of the whole and of the ground, and recorded results."""
    folders = {path.name for path in Path(__file__).parent.iterdir() if path.is_dir() and path.name[0] not in "_."}
    assert folders <= {path.name for path in ROOMS if path.parent == PACKAGE} | {"folders", "golden"}


@pytest.mark.parametrize(("marks", "folder"), [("browser|latex", "report"), ("slurm", "launch")])
def test_ci_looks_for_a_marker_where_it_is(marks: str, folder: str) -> None:
    """It does not read all tests to find a few."""
    root = PACKAGE.parent
    found = {path for path in (root / "tests").rglob("*.py") if re.search(rf"mark\.({marks})\b", path.read_text())}
    assert found
    assert {path.relative_to(root / "tests").parts[0] for path in found} == {folder}
    words = marks.replace("|", " or ")
    assert re.search(rf"pytest tests/{folder} -m '?{words}\b", (root / ".ci" / "run").read_text())


@pytest.mark.parametrize("script", ["train.py", "evaluate.py"])
def test_scripts_hold_no_logic(script: str) -> None:
    source = (ROOT / script).read_text()
    assert imports(source) == {"lid_vae.command_line.main", "lid_vae.system.invocation.begin"}
    assert len(source.splitlines()) < 15
