"""``import lid_vae`` costs nothing until it is used, and offers what it says."""

import subprocess
import sys
from pathlib import Path
from runpy import run_path

import pytest
import torch

import lid_vae

ROOT = Path(__file__).parents[1]
HEAVY = ("torch", "pytorch_lightning", "lightning", "hydra", "omegaconf", "wandb", "matplotlib", "torchmetrics")


def loaded(code: str) -> list[str]:
    """Which of the heavy packages a program loads."""
    program = f"{code}\nimport sys\nprint([name for name in {HEAVY!r} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True)
    return eval(run.stdout.splitlines()[-1])


def test_importing_loads_nothing() -> None:
    assert loaded("import lid_vae") == []
    assert loaded("import lid_vae; lid_vae.__version__; dir(lid_vae); lid_vae.UserError") == []


def test_importing_takes_no_time() -> None:
    """A handful of the standard library's modules beside its own: hundredths of a second."""
    code = "import sys; before = set(sys.modules); import lid_vae; print(len(set(sys.modules) - before))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert int(run.stdout) < 30


def test_maps_come_without_the_program() -> None:
    assert loaded("import lid_vae.map, lid_vae.distribution, lid_vae.objective") == ["torch"]


def test_diagnosing_a_foreign_model_loads_neither_lightning_nor_hydra() -> None:
    code = (
        "import lid_vae, torch; lid_vae.CollapseMonitor(); from torch.distributions import Normal; "
        "lid_vae.diagnose(encode=lambda x: Normal(x, 1.0), prior=Normal(0.0, 1.0), data=torch.zeros(9, 2))"
    )
    assert not {"pytorch_lightning", "lightning", "hydra", "wandb"} & set(loaded(code))


def test_every_name_is_there() -> None:
    for name in lid_vae.__all__:
        assert getattr(lid_vae, name) is not None
        assert name in dir(lid_vae)
    with pytest.raises(AttributeError, match="has no attribute 'diagnosis_of'"):
        _ = lid_vae.diagnosis_of


def test_names_are_at_home_where_type_checkers_are_told() -> None:
    homes = {name for names in lid_vae.HOMES.values() for name in names}
    assert homes == set(lid_vae.__all__) - {"__version__"}
    source = Path(lid_vae.__file__).read_text()
    for home, names in lid_vae.HOMES.items():
        assert f"from {home} import {', '.join(sorted(names, key=lambda name: (not name.isupper(), name)))}" in source


def test_the_example_diagnoses_in_one_call(monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys, "argv", ["diagnose.py", "--steps", "30"])
    with torch.random.fork_rng(devices=[]):
        run_path(str(ROOT / "examples" / "diagnose.py"), run_name="__main__")
    shown = capsys.readouterr().out
    assert "active units" in shown
    assert "collapsed" in shown.lower()
