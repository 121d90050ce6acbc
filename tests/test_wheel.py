"""What ``pip install`` of the wheel gives, where there is no checkout: every program, and the library."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from zipfile import ZipFile

import pytest
from runs import TINY

from lid_vae import __version__
from lid_vae.system.files import read_json

ROOT = Path(__file__).parents[1]
# The first that reads this project's licence (pyproject.toml).
SETUPTOOLS = 77


def pip(*words):
    command = [sys.executable, "-m", "pip", *map(str, words)]
    # A PYTHONPATH that leads to a checkout would be where its package is found to be installed.
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=outside())
    assert done.returncode == 0, done.stdout + done.stderr


def major(package):
    """The first number of an installed ``package``'s version; 0 of none."""
    try:
        return int(version(package).partition(".")[0])
    except PackageNotFoundError:
        return 0


def copied(folder):
    """The files of this checkout that an sdist is made of, so that nothing is built in it."""
    source = folder / "source"
    for name in ("lid_vae", "hydra_plugins", "conf", "data/README.md"):
        files = [ROOT / name] if (ROOT / name).is_file() else list((ROOT / name).rglob("*"))
        for path in files:
            if path.is_file() and "__pycache__" not in path.parts:
                there = source / path.relative_to(ROOT)
                there.parent.mkdir(parents=True, exist_ok=True)
                there.write_bytes(path.read_bytes())
    for path in ROOT.iterdir():
        if path.is_file() and not path.name.startswith("."):
            (source / path.name).write_bytes(path.read_bytes())
    return source


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A copy of the checkout, with which a wheel can be made without a network."""
    if not major("pip"):  # to find its module would let setuptools believe that this process is pip's
        pytest.skip("pip is not there, which builds the wheel")
    if major("setuptools") < SETUPTOOLS:
        pytest.skip(f"setuptools {SETUPTOOLS} or later is not there, and without a network pip cannot bring it")
    return copied(tmp_path_factory.mktemp("checkout"))


def build(source, hook, folder):
    """What one of setuptools' hooks makes of the sources: the path of an archive."""
    code = f"from setuptools import build_meta; build_meta.build_{hook}({str(folder)!r})"
    before = set(folder.iterdir())
    subprocess.run([sys.executable, "-c", code], cwd=source, check=True, capture_output=True)
    (made,) = {*folder.iterdir()} - before
    return made


@pytest.fixture(scope="module")
def wheels(source, tmp_path_factory):
    """The wheel, made from an sdist and made from the checkout's files."""
    folder = tmp_path_factory.mktemp("wheels")
    made = []
    for name, what in (("of_the_sdist", build(source, "sdist", folder)), ("of_the_checkout", source)):
        pip("wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", folder / name, what)
        made += (folder / name).glob("*.whl")
    return made


def environment(folder, wheel):
    """An environment with a wheel and this one's other packages, but no checkout; the folder of its programs."""
    venv.create(folder, with_pip=False)
    programs = folder / ("Scripts" if os.name == "nt" else "bin")
    python = next(programs.glob("python*"))
    pip("--python", python, "install", "--no-deps", "--no-index", "--no-compile", wheel)
    (packages,) = folder.rglob("site-packages")
    # As a plain line of a .pth, so that the .pth of an editable install there is not read.
    paths = dict.fromkeys([sysconfig.get_path("purelib"), sysconfig.get_path("platlib")])
    (packages / "dependencies.pth").write_text("\n".join(paths))
    return programs


def outside():
    """Variables of a process that is to find only what is installed."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


@pytest.fixture(scope="module")
def installed(wheels, tmp_path_factory):
    return environment(tmp_path_factory.mktemp("environment"), wheels[0])


@pytest.fixture(scope="module")
def run(installed, tmp_path_factory):
    """A command of the environment, in a folder with a package that is called lid_vae too, and that must not matter."""
    folder = tmp_path_factory.mktemp("work")
    (folder / "lid_vae").mkdir()
    (folder / "lid_vae" / "__init__.py").write_text("raise ImportError('that of the working directory')")

    def call(program, *words):
        done = subprocess.run(
            [installed / program, *words], cwd=folder, env=outside(), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    call.folder = folder
    return call


@pytest.mark.slow
def test_the_wheel_is_whole(wheels):
    names = [set(ZipFile(wheel).namelist()) for wheel in wheels]
    assert names[0] == names[1], "an sdist holds all that the wheel needs"
    expected = {str(path.relative_to(ROOT)) for path in ROOT.glob("lid_vae/**/*") if path.is_file()}
    expected |= {f"lid_vae/{path.relative_to(ROOT)}" for path in ROOT.glob("conf/**/*") if path.is_file()}
    expected |= {str(path.relative_to(ROOT)) for path in ROOT.glob("hydra_plugins/**/*.py")}
    expected = {name for name in expected if "__pycache__" not in name}
    assert {name for name in names[0] if not name.startswith("lid_vae-")} == expected
    metadata = f"lid_vae-{__version__}.dist-info"
    assert {f"{metadata}/entry_points.txt", f"{metadata}/licenses/LICENSE"} <= names[0]


@pytest.mark.slow
def test_the_library(run, installed):
    source = (
        "import lid_vae; print(lid_vae.__file__); lid_vae.diagnose; from lid_vae.run.store import CONF; print(CONF)"
    )
    package, conf = run("python", "-P", "-c", source).split()
    assert Path(package).is_relative_to(installed.parent)
    assert Path(conf) == Path(package).parent / "conf"


@pytest.mark.slow
def test_an_editable_install_uses_the_checkout(source, tmp_path):
    """Its ``conf/``, and Hydra finds the launchers and the sweeper there."""
    checkout = shutil.copytree(source, tmp_path / "checkout")
    (tmp_path / "wheel").mkdir()
    programs = environment(tmp_path / "environment", build(checkout, "editable", tmp_path / "wheel"))
    (checkout / "conf" / "model" / "own_model.yaml").write_text("name: own_model\n")
    done = subprocess.run(
        [programs / "lid-vae", "train", "--help"], cwd=tmp_path, env=outside(), capture_output=True, text=True
    )
    assert "own_model" in done.stdout, done.stderr


@pytest.mark.slow
def test_a_run_its_evaluation_its_table_and_its_status(run):
    out = run("lid-vae", "train", *TINY, "model=gmvae", "seed=3")
    (result,) = run.folder.glob("runs/default/*/seed-3/result.json")
    assert read_json(result)["command"].startswith("lid-vae train data.per_class=60 ")
    assert str(result.relative_to(run.folder)) in out

    run("lid-vae", "evaluate", f"ckpt={result.parent}/checkpoints/best.ckpt", "samples=5")
    (evaluation,) = result.parent.glob("evaluation-*.json")
    assert read_json(evaluation)["command"].startswith("lid-vae evaluate ckpt=")

    assert "gmvae" in run("lid-vae", "report", "runs").lower()
    assert (run.folder / "runs" / "report" / "report.html").exists()
    assert run("lid-vae", "status", "runs").startswith("runs: 1 runs: 1 finished\n")


def engine(name, module, mark):
    options = ("-m", "seed=0-1", f"hydra/launcher={name}", "ensemble.size=1")
    there = pytest.mark.skipif(not find_spec(module), reason=f"{module} is not there")
    return pytest.param(options, id=name, marks=[mark, there])


@pytest.mark.parametrize(
    "options",
    [
        engine("joblib", "joblib", pytest.mark.slow),
        engine("submitit_local", "submitit", pytest.mark.full),
        engine("ray", "ray", pytest.mark.full),
        pytest.param(("trainer=ddp", "trainer.devices=2", "trainer.accelerator=cpu"), id="ddp", marks=pytest.mark.slow),
    ],
)
def test_processes_that_are_started_again(run, options, request):
    """They import what is installed, and record the program that was typed."""
    name = request.node.callspec.id
    # The group ``trainer`` is chosen on the command line, so that its options stand after it.
    run("lid-vae", "train", f"experiment_name={name}", "model=gmvae", *options, *TINY)
    results = [read_json(path) for path in run.folder.glob(f"runs/{name}/*/seed-*/result.json")]
    assert len(results) == (1 if name == "ddp" else 2)
    for result in results:
        assert result["command"].startswith(f"lid-vae train experiment_name={name} ")
