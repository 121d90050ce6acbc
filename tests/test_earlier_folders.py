"""Folders that earlier revisions wrote are skipped, resumed and evaluated, to the numbers that they have then told.

``folders/<revision>/`` holds them, ``folders/make.py`` says how they came about. Only what a user has of a run is taken
here: its command, its folder, and what stands in its files.
"""

import csv
import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from runs import Programs, digest, read_metrics

ROOT = Path(__file__).resolve().parents[1]
REVISIONS = sorted(path for path in (ROOT / "tests" / "folders").iterdir() if (path / "finished").is_dir())
# What the machine and the version say of themselves.
OTHERWISE = ("version", "torch", "device", "seconds", "seconds_per_step")
# Shares of forty examples and of a few dimensions: one of them lies on the edge some day.
COUNTED = ("accuracy", "au", "au_absolute")
# Another processor's instructions change the last bits of a weight (1e-7), which Adam multiplies at each of twenty-four
# large steps: to 1e-5 without vector instructions. An optimiser, a noise or a schedule that begins anew changes more.
RESUMED = 1e-3
# The same weights and the same noise: sums of forty examples in single precision, to 2e-6 without vector instructions.
EVALUATED = 1e-5
# These squared draws of q in single precision, and were so far off in the information's upper bound where q is narrow,
# as SA-VAE makes it.
ROUNDING = {"8b0afb5": 1e-3}
# A bound that no training has; see ``mark``.
MARK = 12345.0


def told(part, pattern, quick=2):
    """Every command of which such files of a part tell, with these files; all but some ``quick`` ones are slow."""
    commands = {}
    for revision in REVISIONS:
        for path in sorted((revision / part).rglob(pattern)):
            commands.setdefault((revision, json.loads(path.read_text())["command"]), []).append(path)
    return [
        pytest.param(
            revision / part,
            command,
            paths,
            id=f"{revision.name}-{paths[0].parents[1].name}",
            marks=[] if number < quick else pytest.mark.slow,
        )
        for number, ((revision, command), paths) in enumerate(commands.items())
    ]


@pytest.fixture
def programs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LID_VAE_DATA", raising=False)
    return Programs(tmp_path)


def start(programs, command):
    python, program, *options = shlex.split(command)
    assert python == "python"
    outcome = programs.start(program.removesuffix(".py"), *options)
    assert outcome.status == 0, outcome.err
    return outcome


def runs_in(folder):
    """The seeds' folders, with the bytes of every file in them."""
    return {path: digest(path) for path in folder.rglob("seed-*")}


def differences(found, expected, tolerance, name=""):
    """Where ``found`` is not as ``expected``, key by key; it may have further keys."""
    key = name.rpartition(".")[2]
    if key in OTHERWISE:
        return []
    if isinstance(expected, dict) and isinstance(found, dict):
        return [text for k, v in expected.items() for text in differences(found.get(k), v, tolerance, f"{name}.{k}")]
    if isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        pairs = enumerate(zip(found, expected, strict=True))
        return [text for k, (f, e) in pairs for text in differences(f, e, tolerance, f"{name}.{k}")]
    if isinstance(expected, float):
        expected = pytest.approx(expected, rel=tolerance, abs=0.1 if key in COUNTED else tolerance)
    return [] if found == expected else [f"{name.lstrip('.')} is {found}, not {expected}"]


@pytest.mark.parametrize(("part", "command", "results"), told("finished", "result.json", quick=8))
def test_what_is_finished_is_skipped(programs, part, command, results):
    runs = Path("runs")
    shutil.copytree(part, runs)
    before = runs_in(runs)
    outcome = start(programs, command)
    for result in results:
        assert f"Finished before: {runs / result.parent.relative_to(part)} " in outcome.out
    assert outcome.out.count("Finished before") == len(results)
    assert runs_in(runs) == before


@pytest.mark.parametrize(("part", "command", "results"), told("uninterrupted", "result.json", quick=3))
def test_what_was_interrupted_goes_on(programs, part, command, results):
    runs = Path("runs")
    folders = [result.parent.relative_to(part) for result in results]
    for folder in folders:
        shutil.copytree(part.with_name("interrupted") / folder, runs / folder)
        mark(runs / folder)
    outcome = start(programs, command)
    for folder, result in zip(folders, results, strict=True):
        assert f"Resuming from {runs / folder / 'checkpoints' / 'last.ckpt'}\n" in outcome.out
        found, expected = (json.loads(path.read_text()) for path in (runs / folder / "result.json", result))
        # What a text model says is chosen symbol by symbol, and one other choice makes another sentence.
        expected.pop("text", None)
        assert not differences(found, expected, RESUMED)
        rows = read_metrics(runs / folder)
        assert [int(row["step"]) for row in rows] == list(range(expected["steps"]))
        assert float(rows[0]["train/bound"]) == MARK, "the first steps were done again"
        for row, there in zip(rows[1:], read_metrics(result.parent)[1:], strict=True):
            numbers, known = ({k: float(v) for k, v in each.items() if v} for each in (row, there))
            assert numbers["train/bound"] == pytest.approx(known["train/bound"], rel=RESUMED, abs=RESUMED)
            assert numbers["train/learning_rate"] == pytest.approx(known["train/learning_rate"], rel=1e-6)
    assert sorted(runs_in(runs)) == sorted(runs / folder for folder in folders)


def mark(folder):
    """Another bound in the first row of ``metrics.csv``: a run begun anew ends as well, and does not know of it."""
    rows = read_metrics(folder)
    rows[0]["train/bound"] = str(MARK)
    with (folder / "metrics.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


@pytest.mark.parametrize(("part", "command", "evaluations"), told("finished", "evaluation-*.json", quick=3))
def test_a_checkpoint_has_the_same_numbers(programs, part, command, evaluations):
    (evaluation,), revision = evaluations, part.parent
    folder = evaluation.parent.relative_to(part)
    checkpoint = Path("runs") / folder / "checkpoints" / "best.ckpt"
    checkpoint.parent.mkdir(parents=True)
    shutil.copy(evaluation.parent / "checkpoints" / "best.ckpt", checkpoint)
    found, expected = start(programs, command).result, json.loads(evaluation.read_text())
    if revision.name in ROUNDING and expected["inference"] == "semi_amortized":
        upper = expected["latent"]["w"].pop("mi_upper")
        assert found["latent"]["w"]["mi_upper"] == pytest.approx(upper, rel=ROUNDING[revision.name])
    assert not differences(found, expected, EVALUATED)


@pytest.mark.parametrize("part", ["finished", "interrupted"])
@pytest.mark.parametrize("revision", REVISIONS, ids=lambda revision: revision.name)
def test_their_state_is_told(revision, part):
    folder = revision / part
    command = [sys.executable, "-m", "lid_vae.sweep", "status", str(folder)]
    told = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert f"{len(runs_in(folder))} {part}" in told
    assert "missing" not in told
