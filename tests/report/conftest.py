"""Folders of results as runs leave them, without the runs."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console
from whole_sweep import write_sweep

from lid_vae.report.build import build


class Runs:
    """Writes ``<folder>/<experiment>/<model>-<data>-realnvp[-<tag>]/seed-<n>/result.json``."""

    def __init__(self, folder: Path, experiment: str = "table", data: str = "pinwheel") -> None:
        self.root, self.experiment, self.data = folder, experiment, data
        self.folder = folder / experiment

    def place(self, model: str, seed: int, tag: str = "") -> Path:
        place = self.folder / (f"{model}-{self.data}-realnvp" + (f"-{tag}" if tag else "")) / f"seed-{seed}"
        place.mkdir(parents=True, exist_ok=True)
        return place

    def write(self, model: str, seed: int, ll: float = -2.0, *, tag: str = "", file: str = "result.json", **given: Any):
        """``given`` are further keys of the result; those of z are au, kl, mi, usage."""
        z = {"au": 1.0, "kl": 1.5, "mi": 1.4, "usage": [0.2] * 5}
        z |= {name: given.pop(name) for name in list(given) if name in z}
        result = {
            "model": model,
            "experiment": self.experiment,
            "data": self.data,
            "train_size": 500,
            "scale": 5.0,
            "depth": 2,
            "learning_rate": 0.003,
            "seed": seed,
            "split": "test",
            "examples": 100,
            "ll": {"mean": ll, "se": 0.01, "samples": given.pop("samples", 100)},
            "elbo": ll - 0.5,
            "latent": {"z": z, "w": {"au": 0.5, "kl_by_dimension": [0.5, 2.0]}},
            "accuracy": 0.9,
            "seconds": 50.0,
            "seconds_per_step": 0.02,
            "steps": 2000,
            "command": f"python train.py model={model}",
            "validation": {"elbo": ll - 0.4},
            **given,
        }
        if file != "result.json":  # an evaluation takes no training
            del result["seconds"], result["seconds_per_step"]
        path = self.place(model, seed, tag) / file
        path.write_text(json.dumps(result))
        return path

    def configure(self, model: str, seed: int, *, tag: str = "", **given: Any) -> None:
        """The ``config.yaml`` that a run stores when it begins; ``given`` are options, with __ for the dot."""
        config: dict[str, Any] = {
            "seed": seed,
            "samples": 100,
            "width": 16,
            "experiment_name": None,
            "optimizer": {"lr": 0.003},
            "map": {"depth": 2},
            "trainer": {"max_epochs": 40, "devices": 1},
            "data": {"root": "data", "train_size": None},
            "choices": {"model": model, "data": self.data, "experiment": self.experiment},
        }
        for option, value in given.items():
            node, _, key = option.rpartition("__")
            (config[node] if node else config)[key] = value
        (self.place(model, seed, tag) / "config.yaml").write_text(yaml.safe_dump(config))

    def expect(self, **seeds: str) -> None:
        """What a sweep was to do: ``gmvae="0-9"``, ``gmvae__tag="0-9"``."""
        names = {}
        for key, text in seeds.items():
            model, _, tag = key.partition("__")
            names[f"{model}-{self.data}-realnvp" + (f"-{tag}" if tag else "")] = text
        (self.folder / "sweep.json").write_text(json.dumps({"runs": names}))


@pytest.fixture
def runs(tmp_path) -> Runs:
    return Runs(tmp_path)


@pytest.fixture
def new_runs(tmp_path):
    """Runs of another experiment or other data, below the same folder."""
    return lambda experiment, data="pinwheel": Runs(tmp_path, experiment, data)


@pytest.fixture(scope="session")
def whole(tmp_path_factory) -> Runs:
    """Five models by ten seeds, with their report: to be read, not changed."""
    runs = Runs(tmp_path_factory.mktemp("whole"))
    write_sweep(runs)
    build([runs.folder], console=Console(file=io.StringIO()))
    return runs
