"""The commands that README.md and the pages name: each composes, and the user's own run as programs of their own."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from prepared import run_program
from runs import TINY, Programs

from lid_vae.system.files import read_json

ROOT = Path(__file__).resolve().parents[1]
MNIST = Path(os.environ.get("LID_VAE_DATA", ROOT / "data")) / "mnist"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "data" / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]
SMALL = [
    *("trainer.max_epochs=1", "width=8", "samples=2", "logger=none", "callbacks.panels.every=0"),
    "vector_pictures=false",
]
# The user's own are of MNIST; where that is not to be had, of the digits that scikit-learn brings.
DATA = [
    pytest.param("mnist", ["data.train_size=300", "data.valid_size=100"], 10_000)
    if MNIST.is_dir()
    else pytest.param("digits", ["data.train_size=200"], None)
]


def start(command: str, *more: str) -> subprocess.CompletedProcess[str]:
    words = shlex.split(command)
    assert words[0] == "python"
    return subprocess.run(
        [sys.executable, *words[1:], *more],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=900,
    )


def code(page: str) -> list[str]:
    """The lines of a page's indented and fenced blocks, continued ones joined, then its spans of code; no comments."""
    blocks, prose, fenced = [], [], False
    for line in page.splitlines():
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif fenced or re.match(r" {4,}\S", line):
            blocks.append(line.strip())
        else:
            prose.append(line)
    lines = re.sub(r" *\\\n", " ", "\n".join(blocks)).splitlines()
    spans = [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", "\n".join(prose))]
    return [re.split(r"(?:^| )# ", line)[0].strip() for line in [*lines, *spans]]


def commands(page: str) -> list[str]:
    """Every call of train.py and evaluate.py, from ``python`` on, in one page, as a shell would see it.

    What stands before it (srun, torchrun) and behind it (``&``) is the shell's; variables are those that the page
    sets, and Slurm's. ``<one word>`` is a value; a placeholder of several words stands for options and is left out.
    """
    lines = code(page)
    variables = {"SLURM_ARRAY_TASK_ID": "0"}
    variables |= dict(re.findall(r'^(\w+)="(.*)"$', "\n".join(lines), re.MULTILINE))
    found = []
    for line in lines:
        match = re.search(r"\b(train|evaluate)\.py( .*)?$", line)
        if match:
            rest = re.sub(r" <\w+( \w+)+>", "", (match[2] or "").split(" & ")[0])
            rest = re.sub(r"\$(\w+)", lambda name: variables[name[1]], rest)
            found.append(f"python {match[1]}.py{rest}")
    return found


README = commands((ROOT / "README.md").read_text())
# Those of docs/extend.md are of parts that are still to be added: tests/test_extend.py adds and runs them.
ALL = sorted({command for page in PAGES if page.name != "extend.md" for command in commands(page.read_text())})


def test_the_readme_names_commands():
    assert "python train.py model=lidgmvae data=mnist -m seed=0-9" in README
    assert any(command.startswith("python evaluate.py ckpt=") for command in README)


def test_commands_are_found_wherever_a_page_hides_them():
    page = """
Call `python train.py
model=vae`; or

    options="width=8 -m"
    srun --nodes=2 python train.py trainer=ddp   # all of them
    python train.py $options \\
      seed=0-1
    python train.py seed=$SLURM_ARRAY_TASK_ID & run=$!
    python train.py <the sweep> -m retry=failed

```sh
python evaluate.py ckpt=<path>
```
"""
    assert commands(page) == [
        "python train.py trainer=ddp",
        "python train.py width=8 -m seed=0-1",
        "python train.py seed=0",
        "python train.py -m retry=failed",
        "python evaluate.py ckpt=<path>",
        "python train.py model=vae",
    ]


@pytest.mark.parametrize("command", ALL)
def test_every_option_that_a_page_names_exists(command, tmp_path):
    """Hydra composes each command's configuration; a sweep's first job stands for the others."""
    script, *words = shlex.split(command)[1:]
    if "-m" in words:
        words = [word.split(",")[0] for word in words if word != "-m"]
        words = [re.sub(r"^(seed=\d+)-\d+$", r"\1", word) for word in words]
    show = [] if "--help" in words else ["--cfg", "job"]
    outcome = Programs(tmp_path).start(script.removesuffix(".py"), *words, *show)
    assert outcome.status == 0, outcome.err


@pytest.mark.slow
@pytest.mark.parametrize(("data", "size", "examples"), DATA)
def test_the_users_two_commands(data, size, examples, tmp_path):
    """Ten seeds of one command, each with its result; then its checkpoint's evaluation gives the same numbers.

    Up to rounding: the ten are evaluated as a stack.
    """
    command = f"python train.py model=lidgmvae data={data} -m seed=0-9"
    small = [*SMALL, *size, f"paths.runs={tmp_path / 'runs'}"]
    sweep = start(command, *small)
    assert sweep.returncode == 0, sweep.stderr
    results = {int(path.parent.name.removeprefix("seed-")): path for path in tmp_path.rglob("result.json")}
    assert sorted(results) == list(range(10))
    told = [read_json(results[seed]) for seed in range(10)]
    assert [result["seed"] for result in told] == list(range(10))
    assert len({result["elbo"] for result in told}) == 10, "seeds differ"
    assert examples is None or {result["examples"] for result in told} == {examples}

    checkpoint = results[7].parent / "checkpoints" / "best.ckpt"
    evaluation = start(f"python evaluate.py ckpt={checkpoint}")
    assert evaluation.returncode == 0, evaluation.stderr
    (path,) = results[7].parent.glob("evaluation-test-*.json")
    measured = read_json(path)
    for key in ("latent", "ll", "elbo", "accuracy"):
        torch.testing.assert_close(measured[key], told[7][key], rtol=1e-6, atol=1e-7)

    before = results[7].read_bytes()
    again = run_program([*shlex.split(command)[1:], *small], ROOT, {**os.environ, "OMP_NUM_THREADS": "1"})
    assert again.returncode == 0, again.stderr
    assert results[7].read_bytes() == before
    assert again.stdout.count("force=true") >= 1, again.stdout


@pytest.mark.slow
@pytest.mark.parametrize(("sweep", "seeds"), [([], "seed 0"), (["-m", "seed=0-1"], "seeds 0-1")])
def test_a_run_says_first_what_it_is_and_then_how_large(sweep, seeds, tmp_path) -> None:
    """The first line before PyTorch is there, which takes a second and more; where there are GPUs, a sweep counts them.

    With them hidden from it, it does not.
    """
    environment = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
    if torch.cuda.is_available():
        environment["CUDA_VISIBLE_DEVICES"] = ""
    code = (
        "import importlib, sys, types; from lid_vae.command_line import program; "
        "told = lambda name: print('torch' in sys.modules, flush=True) or importlib.import_module(name); "
        "program.importlib = types.SimpleNamespace(import_module=told); "
        "program.main('train', ['train.py', *sys.argv[1:]])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *TINY, "model=gmvae", "trainer.max_epochs=1", f"paths.runs={tmp_path}", *sweep],
        env=environment,
        capture_output=True,
        check=True,
        text=True,
    )
    first, loaded, *others = [line for line in done.stdout.splitlines() if line != "True" and line[:1] != "#"]
    second = next(line for line in others if "parameters" in line)
    assert re.fullmatch(rf"gmvae on pinwheel, realnvp, {seeds}, into {tmp_path}/default/gmvae-pinwheel-[-/\w]*", first)
    assert loaded == "False"
    assert re.fullmatch(r"[\d,]+ parameters, [\d,]+ training examples, 1 epoch of \d steps, on the CPU", second)
