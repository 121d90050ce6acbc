"""The commands that README.md names, word for word, as programs of their own."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from runs import Programs

from lid_vae.files import read_json

ROOT = Path(__file__).resolve().parents[1]
MNIST = Path(os.environ.get("LID_VAE_DATA", ROOT / "data")) / "mnist"
README = (ROOT / "README.md").read_text()
LINES = re.findall(r"^    (python (?:train|evaluate)\.py.*)$", README, re.MULTILINE)
INLINE = re.findall(r"`(python train\.py [^`]*)`", README)
COMMANDS = [line.split("  #")[0].strip() for line in LINES]
SMALL = ["trainer.max_epochs=1", "width=8", "samples=2", "logger=none", "callbacks.panels.every=0"]
DATA = [
    pytest.param("mnist", ["data.train_size=300", "data.valid_size=100"], 10_000, marks=pytest.mark.slow),
    pytest.param("digits", ["data.train_size=200"], None),
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


def test_the_readme_names_commands():
    assert "python train.py model=lidgmvae data=mnist -m seed=0-9" in COMMANDS
    assert any(command.startswith("python evaluate.py ckpt=") for command in COMMANDS)


@pytest.mark.parametrize("command", [line for line in COMMANDS + INLINE if "train.py" in line and "--help" not in line])
def test_every_option_that_the_readme_names_exists(command, tmp_path):
    """Hydra composes each command's configuration; a sweep's first job stands for the others."""
    words = [word.split(",")[0] for word in shlex.split(command)[2:] if word != "-m"]
    words = [re.sub(r"^(seed=\d+)-\d+$", r"\1", word) for word in words]
    outcome = Programs(tmp_path).start("train", *words, "--cfg", "job")
    assert outcome.status == 0, outcome.err


@pytest.mark.parametrize(("data", "size", "examples"), DATA)
def test_the_users_two_commands(data, size, examples, tmp_path):
    """Ten seeds of one command, each with its result; then its checkpoint's evaluation gives the same numbers.

    Up to rounding: the ten are evaluated as a stack.
    """
    if data == "mnist" and not MNIST.is_dir():
        pytest.skip("needs the corpus mnist below LID_VAE_DATA or data/")
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
    again = start(command, *small)
    assert again.returncode == 0, again.stderr
    assert results[7].read_bytes() == before
    assert again.stdout.count("force=true") >= 1, again.stdout
