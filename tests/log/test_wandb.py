"""Dashboards of wandb, read back from the files that it records: sections, calls, tables, artifacts; and workspaces."""

import json
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
import yaml
from hydra import compose, initialize_config_dir
from test_loggers import CONF, RESULT, run_folder, wandb_offline
from wandb_file import config, finished, history, of_kind

from lid_vae.appearance import MODELS
from lid_vae.console import main as console
from lid_vae.errors import UserError
from lid_vae.log.loggers import Shown, finish_loggers, show
from lid_vae.log.offline import sync_command
from lid_vae.log.wandb_logger import wandb_logger
from lid_vae.log.wandb_run import FIT, STEP, placed
from lid_vae.shown import CORE, logged
from lid_vae.text.texts import Section, Texts

__all__ = ["wandb_offline"]

with_workspaces = pytest.mark.skipif(find_spec("wandb_workspaces") is None, reason="wandb-workspaces is not installed")


@pytest.fixture
def recorded(tmp_path, wandb_offline):
    """The file of a finished run: three validations, of which one shows pictures, a table and texts."""
    folder = run_folder(tmp_path, 4, resumed=True)
    (folder / "checkpoints" / "best.ckpt").write_bytes(b"weights")
    logger = wandb_logger(str(folder), tags=["lidgmvae", "seed-4"], checkpoint=True)
    for step, bound in ((10, -3.0), (20, -1.0), (30, -2.0)):
        logger.log_metrics({"train/bound": bound, "epoch": 1}, step)
        logger.log_metrics({**logged(RESULT, "valid"), "valid/own_measure": 1.0, "valid/bound": bound}, step)
        logger.log_metrics({"kl_by_dimension/000": 0.1, "kl_by_dimension/001": 2.0}, step)
    pixels = np.zeros((4, 6, 3), np.uint8)
    texts = Texts("title", "verdict", [Section("samples", [["it's <unk>"]])])
    show([logger], "valid", Shown({"latents": pixels, "samples": pixels}, texts, np.array([[1, 0], [0.25, 0.75]])), 30)
    finish_loggers([logger], {**RESULT, "validation": {"elbo": -1.0}})
    return finished(folder)


def test_the_run_and_its_configuration_are_flat(recorded):
    (run,) = of_kind(recorded, "run")
    assert (run.run_group, run.job_type) == ("first/lidgmvae", "train")
    assert set(run.tags) == {"lidgmvae", "seed-4"}
    assert config(recorded) == {"model": "lidgmvae", "seed": 4, "latent_dimension": 2}


def test_metrics_stand_in_sections_at_their_step(recorded):
    calls = history(recorded)
    for name in ("Fit/train/bound", "Fit/valid/bound"):
        assert [(call[STEP], call[name]) for call in calls if name in call] == [(10, -3), (20, -1), (30, -2)]
    steps = [call for call in calls if "Fit/valid/bound" in call]
    assert steps[0]["Collapse/valid/kl"] == 1.5
    assert steps[0]["Collapse/valid/mutual_information_upper"] == 1.45
    assert steps[0]["Measures/valid/own_measure"] == 1
    histograms = [call for call in calls if "Collapse/valid/kl_by_dimension/values" in call]
    assert [sum(call["Collapse/valid/kl_by_dimension/values"]) for call in histograms] == [2, 2, 2]
    assert not [key for call in calls for key in call if "epoch" in key or "/000" in key]


def test_all_that_a_validation_shows_comes_in_one_call(recorded):
    (call,) = [call for call in history(recorded) if any(key.startswith("Pictures/") for key in call)]
    kinds = {key.removesuffix("/_type"): value for key, value in call.items() if key.endswith("/_type")}
    assert {key: kind for key, kind in kinds.items() if "kl_by" not in key} == {
        "Pictures/valid/latents": "image-file",
        "Pictures/valid/samples": "image-file",
        "Texts/valid/texts": "table-file",
        "Collapse/valid/categories_by_label": "table-file",
    }
    (table,) = recorded.parent.glob("files/media/table/Collapse/valid/categories_by_label*.json")
    assert json.loads(table.read_text()) == {
        "columns": ["label", "z = 0", "z = 1"],
        "data": [[0, 1, 0], [1, 0.25, 0.75]],
    }


def test_summaries_hold_the_best_and_the_last(recorded):
    metrics = {record.name: record for record in of_kind(recorded, "metric") if record.name}
    for number in CORE:
        if number.curve is not None and number.best is not None:
            summary = metrics[placed(f"valid/{number.curve}")].summary
            assert (summary.last, summary.max, summary.min) == (True, number.best == "highest", number.best == "lowest")
    assert {record.step_metric for name, record in metrics.items() if name != STEP} == {STEP}
    final = {
        item.key or "/".join(item.nested_key): json.loads(item.value_json)
        for record in of_kind(recorded, "summary")
        for item in record.update
    }
    assert final["Fit/test/log_likelihood"] == -2.5
    assert final["Collapse/test/kl_joint"] == 5.5
    assert final["Fit/valid/best_bound"] == -1


def test_standard_errors_are_recorded_and_have_no_panel(recorded):
    hidden = {record.name for record in of_kind(recorded, "metric") if record.options.hidden}
    assert hidden == {placed(f"valid/{number.curve}_se") for number in CORE if number.curve is not None}
    assert hidden & {name for call in history(recorded) for name in call}


def test_the_whole_configuration_and_the_best_checkpoint_are_artifacts(recorded):
    artifacts = {artifact.type: artifact for artifact in of_kind(recorded, "artifact")}
    run = recorded.parents[2]
    assert [entry.path for entry in artifacts["config"].manifest.contents] == ["config.yaml"]
    (weights,) = artifacts["model"].manifest.contents
    assert (weights.path, weights.local_path, weights.size) == ("best.ckpt", str(run / "checkpoints/best.ckpt"), 7)
    assert "best" in artifacts["model"].aliases


def test_no_checkpoint_is_kept_where_none_is_asked_for_nor_of_a_run_that_fails(tmp_path, wandb_offline):
    for seed, checkpoint, result in ((0, False, RESULT), (1, True, None)):
        folder = run_folder(tmp_path, seed, resumed=True)
        (folder / "checkpoints" / "best.ckpt").write_bytes(b"weights")
        finish_loggers([wandb_logger(str(folder), checkpoint=checkpoint)], result)
        path = finished(folder)
        assert [artifact.type for artifact in of_kind(path, "artifact")] == ["config"]
        (end,) = of_kind(path, "exit")
        assert end.exit_code == (result is None)


def test_the_command_that_sends_what_is_offline(tmp_path):
    runs = [tmp_path / "my runs" / "first" / model / f"seed-{seed}" for model in "ab" for seed in (0, 1)]
    assert sync_command(runs) is None
    for run in runs[:3]:
        place = run / "wandb" / f"offline-run-{run.name}"
        place.mkdir(parents=True)
        (place / "run-x.wandb").touch()
    assert sync_command(runs) == f"wandb sync '{tmp_path}/my runs/first'/*/seed-*/wandb/offline-run-*"
    assert sync_command(runs[1:2]) == f"wandb sync '{runs[1]}'/wandb/offline-run-*"
    (runs[1] / "wandb" / "offline-run-seed-1" / "run-x.wandb.synced").touch()
    assert sync_command(runs[1:2]) is None


def test_the_search_of_wandbs_own_is_made_of_options(tmp_path):
    search = yaml.safe_load((Path(CONF) / "wandb" / "sweep.yaml").read_text())
    assert (Path(CONF).parent / search["program"]).is_file()
    options = [
        f"{name}={asked.get('value', (asked.get('values') or [asked.get('min')])[-1])}"
        for name, asked in search["parameters"].items()
    ]
    assert "logger=wandb" in options
    with initialize_config_dir(CONF, version_base="1.3"):
        made = compose("train", [*options, f"paths.run={tmp_path}", "choices=null"])
    assert (made.seed, made.optimizer.lr) == (2, 0.001)
    assert search["metric"] == {"name": f"{FIT}/valid/best_bound", "goal": "maximize"}


@with_workspaces
def test_a_workspace_has_the_registrys_curves_by_model(tmp_path, capsys):
    path = tmp_path / "workspace.json"
    console(["wandb", "workspace", "entity=someone", f"spec={path}"])
    assert str(path) in capsys.readouterr().out
    spec = json.loads(path.read_text())["section"]
    sections = {section["name"]: section["panels"] for section in spec["panelBankConfig"]["sections"]}
    assert list(sections) == ["Collapse", "Fit", "Pictures", "Texts"]
    lines = [panel["config"] for panels in sections.values() for panel in panels if "metrics" in panel["config"]]
    assert {key for line in lines for key in line["metrics"]} == {
        placed(f"valid/{number.curve}") for number in CORE if number.curve is not None
    }
    assert {(line["groupAgg"], line["groupArea"], line["xAxis"]) for line in lines} == {("mean", "minmax", STEP)}
    assert "model" in json.dumps(spec["runSets"][0]["grouping"])
    groups = {unquote(key).partition(":[")[2]: colour for key, colour in spec["customRunColors"].items()}
    for model, look in MODELS.items():
        (colour,) = (colour for group, colour in groups.items() if f'"value":"{model}"' in group)
        assert colour == look.colour


@with_workspaces
def test_saving_a_workspace_needs_a_login(wandb_offline, capsys):
    with pytest.raises(SystemExit):
        console(["wandb", "workspace", "entity=someone"])
    assert "Run `wandb login`" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["work"], "There is no lid-vae wandb work."),
        (["workspace"], "Whose project is it?"),
        (["workspace", "entiti=x"], "Did you mean entity=?"),
        (["workspace", "entity="], "entity= is no option"),
    ],
)
def test_what_is_no_workspace(words, said, capsys):
    with pytest.raises(SystemExit):
        console(["wandb", *words])
    assert said in capsys.readouterr().err


def test_without_wandb_workspaces_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "wandb_workspaces", None)
    from lid_vae.log.workspace import workspace

    with pytest.raises(UserError, match=r"pip install 'lid_vae\[workspace\]'"):
        workspace("someone")
