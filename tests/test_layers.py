"""Who may import whom: every module of lid_vae imports only rooms below its own."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "lid_vae"

UTILITIES = {
    "errors",
    "noise",
    "shapes",
    "files",
    "checkpoint",
    "denormals",
    "interruption",
    "memory",
    "process_group",
    "lightning",
    "symbols",
    "world",
}
FIRST = UTILITIES | {"map", "distribution"}
BRACES = {"prior", "likelihood", "posterior"}
CORE = FIRST | BRACES | {"vae", "objective"}

# Room -> the rooms it may import besides itself.
ALLOWED: dict[str, set[str]] = {
    **dict.fromkeys(UTILITIES, UTILITIES),
    "map": UTILITIES,
    "distribution": UTILITIES,
    "classical": FIRST,
    "data": FIRST,
    **dict.fromkeys(BRACES, FIRST),  # siblings never import each other
    "vae": FIRST | BRACES,
    "objective": FIRST | BRACES | {"vae"},
    "inference": CORE,
    "diagnostic": CORE,
    "measure": CORE | {"inference", "diagnostic"},
    "train": CORE | {"inference", "diagnostic", "data", "measure"},
}
ALLOWED["module"] = ALLOWED["train"] | {"train"}
ALLOWED["run"] = ALLOWED["module"] | {"module"}
ALLOWED["sweep"] = ALLOWED["run"] | {"run"}
ALLOWED["report"] = ALLOWED["sweep"] | {"sweep", "classical"}
ALLOWED["script"] = ALLOWED["report"] | {"report", "command_line"}
ALLOWED["command_line"] = ALLOWED["script"]

# These name seeds and folders for the experiment, and start whole runs without knowing what a run is: they import
# errors and files alone, so that the command line answers --help without PyTorch.
BOTTOM_OF_SWEEP = {
    "run",
    "run.names",
    "run.store",
    "sweep",
    "sweep.__main__",
    "sweep.lock",
    "sweep.manifest",
    "sweep.seed_range",
    "sweep.status",
    "sweep.sweeper",
}
# ``python -m lid_vae.report`` is a script, beside train.py and evaluate.py.
SCRIPTS = {"report.__main__"}


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
    if module in BOTTOM_OF_SWEEP:
        return "bottom of sweep"
    return "script" if module in SCRIPTS else module.partition(".")[0]


def violations(module: str, source: str) -> list[str]:
    own, found = room(module), []
    allowed = {"errors", "files"} if own == "bottom of sweep" else ALLOWED[own] | {"bottom of sweep"}
    for name in sorted(imports(source)):
        if name.startswith("."):
            found.append(f"{module}: relative import {name}")
            continue
        there = target(name)
        if there and room(there) != own and room(there) not in allowed:
            found.append(f"{module} imports {there}")
    return found


@pytest.mark.parametrize("module", [name for name in FILES if name])
def test_imports_point_downwards(module: str) -> None:
    assert module.partition(".")[0] in ALLOWED, f"{module}: a new room needs its place in the order"
    assert violations(module, FILES[module].read_text()) == []


def test_the_package_itself_imports_nothing() -> None:
    assert imports(FILES[""].read_text()) == set()


def test_the_order_can_be_violated() -> None:
    """What the test is for: each of these lines would fail it."""
    wrong = [
        ("map.mlp", "from lid_vae.distribution.kl import closed_form_kl"),
        ("prior.base", "from lid_vae.posterior import Posterior"),
        ("likelihood.base", "import lid_vae.prior.base"),
        ("vae", "from lid_vae.objective.elbo import ELBO"),
        ("objective.elbo", "def f():\n    from lid_vae import inference"),
        ("inference.base", "from lid_vae.diagnostic import ActiveUnits"),
        ("diagnostic.accuracy", "from lid_vae.inference.base import Inference"),
        ("classical.ppca", "from lid_vae.vae import VAE"),
        ("data.base", "from lid_vae.prior import Prior"),
        ("measure.evaluator", "from lid_vae.run.fit import train"),
        ("run.fit", "from lid_vae.report import table"),
        ("sweep.status", "from lid_vae.run.fit import train"),
        ("files", "from lid_vae.map import MLP"),
        ("report.table", "from lid_vae.command_line.mistake import explain"),
        ("map.mlp", "from .base import Map"),
    ]
    for module, line in wrong:
        assert module in FILES, module
        assert violations(module, line), line
    for module, line in (
        ("map.mlp", "from lid_vae.map.base import Map"),
        ("run.fit", "from lid_vae.run.store import resolve"),
        ("vae", "from lid_vae import __version__"),
        ("report.table", "from lid_vae.classical import ppca"),
    ):
        assert violations(module, line) == []


@pytest.mark.parametrize("script", ["train.py", "evaluate.py"])
def test_scripts_hold_no_logic(script: str) -> None:
    source = (ROOT / script).read_text()
    assert imports(source) == {"lid_vae.command_line.main"}
    assert len(source.splitlines()) < 15
