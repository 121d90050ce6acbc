"""Where the numbers of a run go: metrics.csv, TensorBoard, wandb; what they hold at the end, and after a failure."""

import csv
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from hydra.types import RunMode
from hydra.utils import instantiate
from PIL import Image
from pytorch_lightning.loggers import Logger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lid_vae.errors import UserError
from lid_vae.log import wandb_logger as wandb_module
from lid_vae.log.csv_logger import CSVLogger
from lid_vae.log.loggers import finish_loggers, picture_loggers
from lid_vae.log.tensorboard_logger import TensorBoardLogger
from lid_vae.run.fit import train
from lid_vae.run.plan import plan_run
from lid_vae.run.store import own_presets
from lid_vae.shown import logged
from lid_vae.text.texts import Section, Texts

CONF = str(Path(__file__).parents[2] / "conf")
RESULT = {
    "split": "test",
    "steps": 40,
    "elbo": -3.0,
    "ll": {"mean": -2.5, "se": 0.1, "samples": 100},
    "latent": {
        "z": {"au": 1.0, "kl": 1.5, "mi": 1.4, "mi_upper": 1.45},
        "w": {"au": 0.5, "kl": 4.0},
        "joint": {"kl": 5.5},
    },
    "accuracy": None,
}


class Recorder(Logger):
    """Remembers what it was told and how it was finished; ``latest`` is the last one made."""

    latest = None
    name, version = "recorder", ""

    def __init__(self):
        super().__init__()
        self.ends, self.images = [], []
        Recorder.latest = self

    def log_hyperparams(self, *_, **__):
        pass

    def log_metrics(self, *_, **__):
        pass

    def log_image(self, key, images, step=None):
        self.images.append((key, step))

    def finalize(self, status):
        self.ends.append(status)


def train_with_recorder(root, *overrides):
    """``train.py`` with a ``Recorder`` for its only logger."""
    sizes = [
        "width=16",
        "data.per_class=60",
        "data.valid_size=40",
        "data.test_size=50",
        "data.batch_size=64",
        "samples=2",
    ]
    options = [
        *sizes,
        f"paths.runs={root}",
        "~logger.tensorboard",
        f"+logger.recorder._target_={__name__}.Recorder",
        "trainer.enable_progress_bar=false",
        "trainer.accelerator=cpu",
        *overrides,
    ]
    plan = plan_run(own_presets().loader.load_configuration("train", options, RunMode.RUN))
    (outcome,) = train(plan).values()
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def rows(folder):
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def events(folder):
    accumulator = EventAccumulator(str(folder))
    accumulator.Reload()
    return accumulator


def run_folder(root, seed, resumed=False):
    folder = root / "runs" / "first" / "lidgmvae-pinwheel-realnvp" / f"seed-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(
        f"choices:\n  model: lidgmvae\nseed: {seed}\nlatent_dimension: ${{two}}\ntwo: 2\n"
    )
    if resumed:
        (folder / "checkpoints").mkdir(exist_ok=True)
        (folder / "checkpoints" / "last.ckpt").touch()
    return folder


def remember_summary(run, summaries):
    """A finished run does not show its summary any more."""
    finish = run.finish
    run.finish = lambda **options: summaries.append(dict(run.summary)) or finish(**options)


def holds(path, content, seconds=30):
    """Whether ``content`` comes to stand in a file, which wandb's service writes in its own time."""
    end = time.monotonic() + seconds
    while content not in path.read_bytes():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "latents.png"
    Image.fromarray(np.full((30, 50, 3), 200, np.uint8)).save(path, compress_level=0)  # who compresses it anew shows
    return path


@pytest.fixture
def wandb_offline(monkeypatch, tmp_path):
    """wandb without a network, a login or a home."""
    for name in (
        "WANDB_API_KEY",
        "WANDB_IDENTITY_TOKEN_FILE",
        "WANDB_PROJECT",
        "WANDB_MODE",
        "NETRC",
        "WANDB_BASE_URL",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("WANDB_SILENT", "true")
    # It reads the environment once: what a test before has told it is forgotten, and what this one tells it.
    wandb = pytest.importorskip("wandb")
    wandb.teardown()
    yield monkeypatch
    wandb.teardown()


def test_csv_has_a_row_for_each_step_and_a_column_for_each_metric(tmp_path):
    logger = CSVLogger(str(tmp_path))
    logger.log_metrics({"train/bound": -3.0, "epoch": 0}, 5)
    logger.log_metrics({"valid/bound": -2.0}, 5)
    logger.log_metrics({"train/bound": -1.0}, 7)
    assert not (tmp_path / "metrics.csv").exists()
    logger.save()
    assert rows(tmp_path) == [
        {"step": "5", "train/bound": "-3.0", "valid/bound": "-2.0"},
        {"step": "7", "train/bound": "-1.0", "valid/bound": ""},
    ]


def test_csv_of_a_resumed_run_drops_the_steps_that_are_done_again(tmp_path):
    first = CSVLogger(str(tmp_path))
    for step in (10, 20, 30):
        first.log_metrics({"train/bound": float(step)}, step)
    first.save()
    second = CSVLogger(str(tmp_path))
    second.log_metrics({"train/bound": -1.0}, 20)
    second.finalize("success")
    assert [(row["step"], row["train/bound"]) for row in rows(tmp_path)] == [("10", "10.0"), ("20", "-1.0")]


def test_tensorboard_holds_what_was_logged_and_what_the_run_was(make, run, tmp_path):
    folder = run_folder(tmp_path, 3)
    logger = TensorBoardLogger(str(folder))
    run(make("data=pinwheel"), 1, False, logger=logger)
    logger.log_metrics({"kl_by_dimension/000": 0.1, "kl_by_dimension/001": 2.0}, 8)
    logger.log_metrics({"kl_by_dimension/000": 0.1, "kl_by_dimension/001": float("nan")}, 9)
    finish_loggers([logger], RESULT)
    assert [path.name[:19] for path in folder.iterdir() if path.name != "config.yaml"] == ["events.out.tfevents"]
    found = events(folder)
    scalars = found.Tags()["scalars"]
    assert {"valid/bound", "valid/active_units", "test/log_likelihood"} <= set(scalars)
    assert not [name for name in scalars if name.startswith(("hp", "kl_by_dimension")) or name == "epoch"]
    assert found.Tags()["tensors"] == []
    assert [(event.step, event.value) for event in found.Scalars("test/log_likelihood")] == [(40, -2.5)]
    (histogram,) = found.Histograms("valid/kl_by_dimension")
    assert histogram.histogram_value.num == 2
    began = hparams(found, "_hparams_/session_start_info").session_start_info.hparams
    assert {name: value.number_value or value.string_value for name, value in began.items()} == {
        "model": "lidgmvae",
        "latent_dimension": 2,
        "seed": 3,
    }
    shown = hparams(found, "_hparams_/experiment").experiment.metric_infos
    assert {metric.name.tag for metric in shown} == set(logged(RESULT, "test")) <= set(scalars)


def hparams(found, tag):
    """What TensorBoard's table of runs reads, by its name."""
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    return HParamsPluginData.FromString(found.summary_metadata[tag].plugin_data.content)


def test_a_run_begun_in_a_folder_of_tensorboards_own_goes_on_there(tmp_path):
    (tmp_path / "tensorboard").mkdir()
    logger = TensorBoardLogger(str(tmp_path))
    logger.log_metrics({"bound": 1.0}, 3)
    logger.close()
    assert not list(tmp_path.glob("events*"))
    assert events(tmp_path / "tensorboard").Tags()["scalars"] == ["bound"]


def test_tensorboard_of_a_resumed_run_purges_the_steps_that_are_done_again(tmp_path):
    for steps, value in (((10, 20, 30), 1.0), ((20, 40), 2.0)):
        logger = TensorBoardLogger(str(tmp_path))
        for step in steps:
            logger.log_metrics({"bound": value}, step)
        logger.close()
    assert [(event.step, event.value) for event in events(tmp_path).Scalars("bound")] == [(10, 1), (20, 2), (40, 2)]


def test_final_metrics_carry_the_names_of_validation():
    metrics = logged(RESULT, "test")
    assert metrics["test/active_units"] == 1.0
    assert metrics["test/log_likelihood"] == -2.5
    assert metrics["test/active_units_w"] == 0.5
    assert metrics["test/kl_joint"] == 5.5
    assert "test/accuracy" not in metrics
    assert logged({**RESULT, "accuracy": 0.9}, "valid")["valid/accuracy"] == 0.9


def test_loggers_end_with_success_or_failure(tmp_path, picture):
    recorder, tensorboard = Recorder(), TensorBoardLogger(str(tmp_path))
    finish_loggers([recorder, tensorboard], RESULT, picture)
    assert events(tmp_path).Tags()["images"] == ["visuals/test/picture"]
    (shown,) = events(tmp_path).Images("visuals/test/picture")
    assert shown.encoded_image_string == picture.read_bytes()
    assert (shown.step, shown.width, shown.height) == (RESULT["steps"], 50, 30)
    assert picture_loggers([tensorboard, CSVLogger(str(tmp_path))]) == [tensorboard]
    assert recorder.ends == ["success"]


def test_a_run_ends_its_loggers_with_the_results(tmp_path, capsys):
    train_with_recorder(tmp_path, "trainer.max_epochs=1", "callbacks.panels.every=0")
    assert Recorder.latest.images == [("visuals/test/picture", 4)]
    assert Recorder.latest.ends == ["success"]
    assert next(tmp_path.rglob("latents.png")).stat().st_size > 10_000


@pytest.mark.parametrize("where", ["finish.evaluate_split", "fit.Ensemble.training_step"])
@pytest.mark.parametrize("error", [UserError, KeyboardInterrupt])
def test_a_run_that_fails_ends_its_loggers(where, error, tmp_path, monkeypatch):
    def fail(*_):
        raise error("out of luck")

    monkeypatch.setattr(f"lid_vae.run.{where}", fail)
    with pytest.raises(error):
        train_with_recorder(tmp_path, "trainer.max_epochs=1")
    assert Recorder.latest.ends == ["failed"]
    assert not list(tmp_path.rglob("result.json"))


@pytest.mark.parametrize(("name", "kinds"), [("none", ["csv"]), ("default", ["csv", "tensorboard"])])
def test_loggers_by_name(tmp_path, name, kinds):
    with initialize_config_dir(CONF, version_base="1.3"):
        cfg = compose("train", ["choices=null", f"logger={name}", f"paths.run={tmp_path}"])
    assert [logger.name for logger in instantiate(cfg.logger).values()] == kinds


def test_a_run_does_without_wandb(make, run, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "wandb", None)  # importing it now fails
    loggers = [CSVLogger(str(tmp_path)), TensorBoardLogger(str(tmp_path))]
    run(make("data=pinwheel"), 1, False, logger=loggers)
    finish_loggers(loggers, RESULT)
    assert rows(tmp_path)


@pytest.mark.slow
def test_wandb_is_imported_only_where_asked_for(tmp_path):
    program = """
import sys
from hydra import compose, initialize_config_dir
from hydra.types import RunMode
from hydra.utils import instantiate
import lid_vae.run.fit, lid_vae.run.panels, lid_vae.picture.page
with initialize_config_dir(sys.argv[1], version_base="1.3"):
    instantiate(compose("train", ["choices=null", f"paths.run={sys.argv[2]}"]).logger)
sys.exit("wandb" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", program, CONF, str(tmp_path)], check=False).returncode == 0


@pytest.mark.slow
def test_two_seeds_in_one_process_are_two_wandb_runs_each_finished(tmp_path, wandb_offline, picture):
    seen, summaries, records = [], [], []
    for seed in (0, 1):
        folder = run_folder(tmp_path, seed)
        with initialize_config_dir(CONF, version_base="1.3"):
            overrides = [
                f"paths.run={folder}",
                "logger=wandb",
                "choices.model=lidgmvae",
                "choices.data=pinwheel",
                "choices.family=realnvp",
                f"seed={seed}",
            ]
            cfg = compose("train", [*overrides, *(f"choices.{n}=x" for n in ("experiment", "map", "prior"))])
        loggers = list(instantiate(cfg.logger).values())
        assert [type(logger).__name__ for logger in loggers] == ["CSVLogger", "TensorBoardLogger", "WandbRun"]
        run = loggers[-1].experiment
        remember_summary(run, summaries)
        loggers[-1].log_metrics({"valid/bound": -1.0 - seed}, 3)
        finish_loggers(loggers, RESULT, picture, Texts("title", "verdict", [Section("samples", [["it's <unk>"]])]))
        seen.append(run)
        assert run.name == f"lidgmvae-pinwheel-realnvp/seed-{seed}"
        assert run.group == "first/lidgmvae"
        assert run.job_type == "train"
        assert set(run.tags) == {"lidgmvae", "pinwheel", "realnvp", f"seed-{seed}"}
        assert dict(run.config) == {"model": "lidgmvae", "seed": seed, "latent_dimension": 2}
        assert summaries[-1]["Fit/test/log_likelihood"] == -2.5
        assert dict(summaries[-1]["Fit/valid/bound"]) == {"last": -1.0 - seed, "max": -1.0 - seed}
        assert run.settings.mode == "offline"
        (recorded,) = (folder / "wandb").glob(f"offline-run-*-{run.id}")
        (record,) = recorded.glob("*.wandb")
        records.append(record)
        assert list(recorded.glob("files/media/images/Pictures/test/picture*.png"))
        (table,) = recorded.glob("files/media/table/Texts/test/texts*.json")
        assert json.loads(table.read_text())["data"] == [["verdict", "verdict"], ["samples", "it's <unk>"]]
    assert seen[0].id != seen[1].id
    for record in records:
        assert holds(record, b"test/log_likelihood")
    import wandb

    assert wandb.run is None


def test_wandb_run_goes_on_where_the_run_resumes_and_is_new_where_it_begins_again(tmp_path, wandb_offline):
    def begin(folder):
        logger = wandb_module.wandb_logger(str(folder))
        finish_loggers([logger], RESULT)
        return logger.experiment.id

    folder = run_folder(tmp_path, 0)
    first = begin(folder)
    second = begin(folder)
    assert second != first, "without a checkpoint the run begins again"
    run_folder(tmp_path, 0, resumed=True)
    assert begin(folder) == second
    assert begin(run_folder(tmp_path, 1, resumed=True)) not in (first, second)


def test_wandb_run_of_an_agent_goes_on_outside_of_it(tmp_path, wandb_offline, capfd):
    """``wandb agent`` tells a run its id by the environment, and no other is heeded: that one is to be continued."""
    import wandb

    folder = run_folder(tmp_path, 0, resumed=True)
    wandb_offline.delenv("WANDB_SILENT")
    wandb_offline.setenv("WANDB_MODE", "offline")

    def begin(agent):
        for name, value in {"WANDB_SWEEP_ID": agent and "sweep1", "WANDB_RUN_ID": agent}.items():
            wandb_offline.setenv(name, value) if value else wandb_offline.delenv(name, raising=False)
        wandb.teardown()  # it reads the environment once
        logger = wandb_module.wandb_logger(str(folder))
        finish_loggers([logger], RESULT)
        return logger.experiment.id, logger.experiment.sweep_id

    try:
        assert begin("agent1") == ("agent1", "sweep1")
        assert begin(None) == ("agent1", None), "the same run, begun again by hand"
        assert begin("agent2") == ("agent2", "sweep1")
        assert begin(None) == ("agent2", None)
    finally:
        wandb.teardown()
    assert "Ignoring" not in "".join(capfd.readouterr()), "wandb's warnings of what an agent overrules"


def test_wandb_disabled_writes_nothing(tmp_path, wandb_offline):
    wandb_offline.setenv("WANDB_MODE", "disabled")
    folder = run_folder(tmp_path, 0)
    logger = wandb_module.wandb_logger(str(folder))
    logger.log_metrics({"valid/bound": -1.0}, 3)
    finish_loggers([logger], RESULT)
    assert [path.name for path in folder.rglob("*") if path.is_file()] in (["config.yaml"], ["config.yaml", "run-id"])


def test_wandb_records_offline_where_its_server_does_not_answer(tmp_path, wandb_offline):
    import wandb

    modes = []

    class Run:
        id = "offline1"

        def define_metric(self, *_, **__):
            pass

        log_artifact = define_metric

    def init(mode=None, **_):
        modes.append(mode)
        if mode != "offline":
            raise wandb.errors.CommError("no answer")
        return Run()

    wandb_offline.setattr(wandb, "init", init)
    wandb_offline.setenv("WANDB_API_KEY", "0" * 40)
    with pytest.warns(UserWarning, match="no answer"):
        wandb_module.wandb_logger(str(run_folder(tmp_path, 0)))
    assert modes[-1] == "offline"
    assert len(modes) == 2


@pytest.mark.parametrize(
    ("asked", "logged_in", "mode"),
    [
        (None, False, "offline"),
        ("online", False, "offline"),
        ("disabled", False, "disabled"),
        ("offline", True, "offline"),
        ("online", True, "online"),
    ],
)
def test_wandb_never_asks_for_a_login(wandb_offline, asked, logged_in, mode):
    assert wandb_module._mode(asked, logged_in) == mode


def test_wandb_online_without_a_login_is_refused(wandb_offline):
    wandb_offline.setenv("WANDB_MODE", "online")
    with pytest.raises(UserError, match="wandb login"):
        wandb_module._mode("online", False)


def test_wandb_login_is_found_where_wandb_keeps_it(wandb_offline, tmp_path):
    public, own = "https://api.wandb.ai", "https://wandb.example.org"
    assert not wandb_module._credentials(public, None)
    assert wandb_module._credentials(public, "key")
    (tmp_path / ".netrc").write_text("machine api.wandb.ai\n  login user\n  password secret\n")
    assert wandb_module._credentials(public, None)
    assert not wandb_module._credentials(own, None), "a login at the public service is none at one's own"
    (tmp_path / ".netrc").write_text("not a netrc file")
    assert not wandb_module._credentials(public, None)
    wandb_offline.setenv("NETRC", str(tmp_path / "elsewhere"))
    (tmp_path / "elsewhere").write_text("machine wandb.example.org\n  login user\n  password secret\n")
    assert wandb_module._credentials(own, None)
    wandb_offline.delenv("NETRC")
    wandb_offline.setenv("WANDB_API_KEY", "key")
    assert wandb_module._credentials(public, None)


@pytest.mark.slow
def test_a_sweep_in_one_process_makes_a_finished_wandb_run_of_every_seed(tmp_path):
    """The user's command, in a process of its own: wandb's service neither asks nor hangs."""
    command = "train.py -m seed=0-1 logger=wandb trainer.max_epochs=1 data.per_class=200 data.valid_size=100 samples=2"
    root = Path(CONF).parent
    environment = {**os.environ, "WANDB_MODE": "offline", "HOME": str(tmp_path)}
    arguments = [sys.executable, *command.split(), "data.test_size=100", f"paths.runs={tmp_path / 'runs'}"]
    done = subprocess.run(arguments, cwd=root, env=environment, stdin=subprocess.DEVNULL, timeout=300, check=False)
    assert done.returncode == 0
    assert len(list(tmp_path.glob("runs/*/*/seed-*/wandb/offline-run-*/*.wandb"))) == 2
    assert len(list(tmp_path.glob("runs/*/*/seed-*/result.json"))) == 2
