"""Training from the command line: what a run leaves, when it is done again, and that it is a function of its seed."""

import json
import os

import pytest
import torch
from omegaconf import OmegaConf
from runs import TINY, Programs, digest, measures, read_metrics

from lid_vae.run.store import config_hash
from lid_vae.system.checkpoint import load_checkpoint

KEYS = [
    "model",
    "base_model",
    "experiment",
    "data",
    "family",
    "map",
    "depth",
    "objective",
    "inference",
    "seed",
    "train_size",
    "config_hash",
    "split",
    "examples",
    "steps",
    "seconds",
    "version",
    "command",
    "latent",
    "ll",
    "elbo",
    "accuracy",
    "validation",
]
BLOCK = {"au", "kl", "mi", "mi_upper", "mi_se"}


@pytest.fixture
def programs(tmp_path):
    return Programs(tmp_path)


def test_what_a_run_leaves(programs):
    run = programs.train("map.depth=2", "logger=default", "callbacks.panels.every=1")
    folder = run.folder
    files = set(digest(folder))
    plain = {
        "config.yaml",
        "result.json",
        "metrics.csv",
        "latents.png",
        "checkpoints/best.ckpt",
        "checkpoints/last.ckpt",
    }
    assert plain <= files
    events = files - plain
    assert len(events) == 1
    assert "events.out.tfevents" in events.pop()
    assert not any("=" in str(path) for path in programs.folder.rglob("*"))
    assert {path.name for path in programs.folder.iterdir()} == {"runs"}  # no outputs/, multirun/ or lightning_logs/

    assert run.err == ""
    assert [line.split()[0] for line in run.out.splitlines()[-4:-1]] == ["result", "picture", "checkpoint"]
    assert run.out.splitlines()[-3].split()[1] == str(folder / "latents.png")
    assert run.out.splitlines()[-2].split()[1] == str(folder / "checkpoints" / "best.ckpt")
    summary = run.out.splitlines()[-1]
    assert all(f" {name} " in summary for name in ("AU", "KL", "MI", "LL", "accuracy"))
    assert (folder / "latents.png").read_bytes().startswith(b"\x89PNG")

    result = run.result
    assert set(KEYS) <= set(result)
    assert all(set(result["latent"][block]) >= BLOCK for block in ("z", "w"))
    assert set(result["ll"]) == {"mean", "se", "samples"}
    told = {key: result[key] for key in ("model", "base_model", "experiment", "data", "family", "map", "seed", "split")}
    assert told == {
        "model": "lidgmvae",
        "base_model": "lidgmvae",
        "experiment": "default",
        "data": "pinwheel",
        "family": "realnvp",
        "map": "brenier",
        "seed": 0,
        "split": "test",
    }
    assert (result["objective"], result["inference"], result["depth"]) == ("elbo", "amortized", 2)
    # 5 classes of 60, and what is held out of them or generated beside them
    assert (result["examples"], result["validation"]["examples"], result["ll"]["samples"]) == (60, 50, 4)
    assert result["validation"]["split"] == "valid"
    assert set(result["validation"]) >= {"latent", "ll", "elbo", "accuracy"}
    assert result["command"].startswith("python train.py data.per_class=60 ")
    assert f"LL {result['ll']['mean']:.3f}" in summary

    config = OmegaConf.to_container(OmegaConf.load(folder / "config.yaml"))
    assert config_hash(config) == result["config_hash"]
    assert "${" not in (folder / "config.yaml").read_text()
    best, last = (load_checkpoint(folder / "checkpoints" / f"{name}.ckpt") for name in ("best", "last"))
    assert best["lid_vae"]["config"] == config
    assert best["lid_vae"]["config_hash"] == result["config_hash"]
    assert last["lid_vae"]["step"] == result["steps"] == result["train_size"] // 64 * 3


def test_the_best_checkpoint_is_that_of_the_highest_validation_bound(programs):
    run = programs.train("trainer.max_epochs=6", "optimizer.lr=0.3", "schedule=constant", "seed=1")
    bounds = {int(row["step"]): float(row["valid/bound"]) for row in read_metrics(run.folder) if row["valid/bound"]}
    assert len(bounds) == 6
    steps = sorted(bounds)
    best = max(bounds, key=bounds.__getitem__)
    assert best != steps[-1], "this run is to end worse than it was"
    assert load_checkpoint(run.folder / "checkpoints" / "best.ckpt")["lid_vae"]["step"] == best + 1
    assert run.result["steps"] == load_checkpoint(run.folder / "checkpoints" / "last.ckpt")["lid_vae"]["step"]


def test_a_finished_run_is_left_alone_and_force_does_it_again(programs):
    first = programs.train()
    before = digest(first.folder)
    stamps = {path: os.stat(path).st_mtime_ns for path in first.folder.rglob("*")}
    again = programs.train()
    assert again.status == 0
    assert f"Finished before: {first.folder} (force=true does it again)" in again.out
    assert again.out.splitlines()[-1] == first.out.splitlines()[-1]
    assert digest(first.folder) == before
    assert {path: os.stat(path).st_mtime_ns for path in first.folder.rglob("*")} == stamps

    forced = programs.train("force=true")
    assert forced.folder == first.folder
    assert measures(forced.result) == measures(json.loads(before["result.json"]))
    assert os.stat(forced.result_path).st_mtime_ns != stamps[first.result_path]
    assert "force=true" in forced.result["command"]
    assert [path.name for path in first.folder.parent.iterdir()] == ["seed-0"]


def test_a_damaged_result_is_left_alone_and_made_again_once_it_is_gone(programs):
    first = programs.train()
    path = first.result_path
    path.write_text(path.read_text()[:100])
    assert f"{path} is damaged" in programs.train().paragraph
    path.unlink()
    again = programs.train()
    assert measures(again.result) == measures(first.result)


def test_a_seed_decides_the_run_bit_for_bit(programs, tmp_path):
    runs = {}
    for name, options in {
        "zero": ["seed=0", "paths.runs=a"],
        "again": ["seed=0", "paths.runs=b", "logger=default", "callbacks.panels.every=1"],
        "one": ["seed=1", "paths.runs=a"],
    }.items():
        runs[name] = programs.train(*[option.replace("paths.runs=", f"paths.runs={tmp_path}/") for option in options])
    weights = {
        name: load_checkpoint(run.folder / "checkpoints" / "last.ckpt")["state_dict"] for name, run in runs.items()
    }
    assert all(torch.equal(weights["zero"][key], weights["again"][key]) for key in weights["zero"])
    assert measures(runs["zero"].result) == measures(runs["again"].result)
    assert runs["zero"].result["ll"] != runs["one"].result["ll"]
    parameters = [key for key, value in weights["zero"].items() if value.numel() > 1]
    moved = [key for key in parameters if not torch.equal(weights["zero"][key], weights["one"][key])]
    assert len(moved) > 0.8 * len(parameters)  # all but fixed buffers
    # the same configuration but for seed, place and loggers, and so the same folder name
    assert len({run.result["config_hash"] for run in runs.values()}) == 1
    assert runs["one"].folder == runs["zero"].folder.with_name("seed-1")


def test_the_presets_alone_need_no_hash_in_the_name(programs, monkeypatch):
    """Without training: the folder is known once the run is to begin."""
    named = []

    def stop(plan, member, locks):
        named.append(str(member.folder))
        raise KeyboardInterrupt

    monkeypatch.setattr("lid_vae.run.fit._enter", stop)
    for options in (["seed=0"], ["seed=3"], ["model=gmvae"], ["trainer.max_epochs=7"], ["optimizer.lr=0.5"]):
        assert programs.train(*options, tiny=()).status == 130
    runs = programs.folder / "runs" / "default"
    assert named[:3] == [str(runs / f"{name}-pinwheel-realnvp/seed-{n}") for name, n in
                         (("lidgmvae", 0), ("lidgmvae", 3), ("gmvae", 0))]  # fmt: skip
    assert len(set(named)) == 5
    assert all(folder.startswith(f"{runs}/lidgmvae-pinwheel-realnvp-") for folder in named[3:])


def named_folders(programs, monkeypatch, options):
    named = []

    def stop(plan, member, locks):
        named.append(str(member.folder))
        raise KeyboardInterrupt

    monkeypatch.setattr("lid_vae.run.fit._enter", stop)
    for option in options:
        assert programs.train(option).status == 130
    return named


def test_different_options_never_share_a_folder(programs, monkeypatch):
    options = ["seed=0", "seed=1", "samples=5", "data.seed=1", "objective.beta=0.5", "map.depth=3", "experiment_name=x"]
    assert len(set(named_folders(programs, monkeypatch, options))) == len(options)


def test_options_that_change_nothing_share_a_folder(programs, monkeypatch):
    options = ["seed=0", "logger=default", "trainer.accelerator=cpu", "trainer.enable_progress_bar=false"]
    assert len(set(named_folders(programs, monkeypatch, options))) == 1


@pytest.mark.parametrize("model", ["vae", "lidvae"])
def test_a_continuous_latent(programs, model):
    result = programs.train(f"model={model}").result
    assert set(result["latent"]) == {"z"}
    assert set(result["latent"]["z"]) >= BLOCK
    assert result["accuracy"] is None
    assert (result["inverse_lipschitz"] is None) == (model == "vae")


def test_images(programs):
    tiny = tuple(option for option in TINY if "per_class" not in option)
    run = programs.train("data=digits", "data.train_size=100", "map.depth=3", "model=lidmvae", tiny=tiny)
    result = run.result
    assert result["bits_per_dimension"] > 0
    assert (result["train_size"], result["depth"], result["model"]) == (100, 3, "lidmvae")
