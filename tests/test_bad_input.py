"""What is wrong is told in one paragraph, with status 1; finished results and earlier checkpoints stay as they were."""

import os
from pathlib import Path

import pytest
import torch
from runs import TINY, Programs, digest, measures

from lid_vae.train.ensemble import Ensemble
from lid_vae.train.step.take_step import take_step

OPTIONS = [
    ("trainer.max_epochs=0", "trainer.max_epochs=0 must be a whole number, at least 1"),
    ("trainer.max_epochs=-1", "trainer.max_epochs=-1"),
    ("trainer.max_epochs=2.5", "trainer.max_epochs=2.5"),
    ("trainer.max_epochs=three", "trainer.max_epochs=three"),
    ("samples=1", "samples=1 must be a whole number, at least 2"),
    ("samples=0", "samples=0"),
    ("width=0", "width=0"),
    ("latent_dimension=0", "latent_dimension=0"),
    ("latent_dimension=3", "Use latent_dimension=2 or less"),
    ("categories=0", "categories=0"),
    ("categories=6", "categories=6 are more than the 5 classes of pinwheel. Use categories=5 or fewer"),
    ("categories=1000 extra_categories=true", "more than the 300 training examples"),
    ("gradient_clip=-1", "gradient_clip=-1 must be above zero"),
    ("gradient_clip=0", "gradient_clip=0 must be above zero"),
    ("validation_samples=1", "Measures need two samples at least, got validation_samples=1"),
    ("optimizer.lr=-0.1", "Invalid learning rate: -0.1"),
    ("data.train_size=100000", "Choose data.train_size of at most 300"),
    ("data.train_size=0", "data.train_size=0 must be at least 1"),
    ("data.train_size=2.5", "data.train_size=2.5 must be at least 1, a whole number"),
    ("data.batch_size=0", "data.batch_size=0"),
    ("data.batch_size=many", "data.batch_size=many must be at least 1, a whole number"),
    ("model=lidgmvae map=mlp", "LIDGMVAE needs an injective map, got MLP"),
    ("model=lidgmvae map=mlp", "(On the command line: model=gmvae, map=brenier, map=gradient_network, map=anchored.)"),
    ("model=lidvae map=linear", "LIDVAE needs an injective map"),
    ("map.lift=svd", "map.lift=svd is not known"),
    ("map.sharpness=-1", "BrenierMap needs sharpness > 0, got map.sharpness=-1. Use map.sharpness=10."),
    ("trainer.accelerator=abacus", "abacus"),
    ("modle=gmvae", "Did you mean model?"),
    ("model=lidgmvea", "Did you mean model=lidgmvae?"),
    ("model=laging_vae", "Did you mean model=lagging_vae?"),
    ("model=savae", "Did you mean model=sa_vae?"),
    ("inference=semi_amortised", "Did you mean inference=semi_amortized?"),
    ("objective=freebits", "Did you mean objective=free_bits?"),
    ("model=sa_vae inference.step=1", "Did you mean inference.steps?"),
    ("model=sa_vae inference.steps=-1", "SA-VAE needs steps >= 0"),
    ("model=lagging_vae inference.window=0", "needs window >= 1"),
    ("objective=free_bits objective.free_bits=-1", "Use objective.free_bits=0"),
    ("objective=free_bits objective.per=dimension", "Use objective.per=total, or gaussian_family"),
    ("objective=free_bits objective.per=dimension", "(On the command line: family=gaussian.)"),
    ("data.tran_size=3", "Did you mean data.train_size?"),
    ("trainer.max_epoch=3", "Did you mean trainer.max_epochs?"),
    ("data=images", "data.path"),
    ("data=images data.path=/nowhere/images.npy", "/nowhere/images.npy"),
]


@pytest.fixture
def programs(tmp_path):
    return Programs(tmp_path)


@pytest.mark.parametrize(("options", "words"), OPTIONS, ids=[f"{row[0]}: {row[1]}" for row in OPTIONS])
def test_refused_options(programs, options, words):
    given = {option.partition("=")[0] for option in options.split()}
    tiny = [option for option in TINY if option.partition("=")[0] not in given]
    if "data=images" in options:
        tiny = [option for option in tiny if not option.startswith("data.")]
    outcome = programs.train(*options.split(), tiny=tuple(tiny))
    assert words in outcome.paragraph
    assert "  epoch" not in outcome.out, "refused before training"
    assert not list(programs.folder.rglob("*.ckpt"))


def test_a_traceback_on_request(programs, monkeypatch):
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    outcome = programs.train("gradient_clip=-1")
    assert outcome.status == 1
    assert "Traceback" in outcome.err
    assert "gradient_clip=-1 must be above zero" in outcome.err


@pytest.mark.parametrize("options", ["categories=3", "categories=7 extra_categories=true", "model=vae categories=50"])
def test_other_numbers_of_categories_are_allowed(programs, options):
    run = programs.train(*options.split(), "trainer.max_epochs=1")
    assert run.status == 0, run.err
    if "model=vae" not in options:
        assert len(run.result["latent"]["z"]["usage"]) == int(options[len("categories=")])


# --- a loss that is not finite ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options", [("optimizer.lr=1e9",), ("optimizer.lr=1e30", "trainer.max_epochs=1", "data.batch_size=300")]
)
def test_a_bound_that_is_not_finite(programs, options):
    """In training, or only at the validation, where the one step there is has spoilt the weights."""
    finished = programs.train("seed=1")
    before = digest(finished.folder)
    tiny = tuple(option for option in TINY if option.partition("=")[0] not in {o.partition("=")[0] for o in options})
    outcome = programs.train(*options, "schedule=constant", tiny=tiny)
    assert "Lower optimizer.lr" in outcome.paragraph
    assert len(list(programs.folder.rglob("result.json"))) == 1
    assert digest(finished.folder) == before


def test_an_infinite_value_in_the_middle(programs, monkeypatch):
    times = []

    def spoilt(*arguments):
        value = take_step(*arguments)
        times.append(1)
        return value / 0 if len(times) == 12 else value

    with monkeypatch.context() as patch:
        patch.setattr("lid_vae.train.training.take_step", spoilt)
        message = programs.train().paragraph
    assert "inf at step 11" in message
    (last,) = programs.folder.rglob("last.ckpt")
    assert programs.evaluate(last).status == 0
    reference = Programs(programs.folder / "reference").train()
    assert measures(programs.train().result) == measures(reference.result)


# --- places that cannot be written -----------------------------------------------------------------------------------


def test_a_file_where_the_runs_should_go(programs, tmp_path):
    (tmp_path / "taken").write_text("")
    outcome = programs.train(f"paths.runs={tmp_path / 'taken'}")
    assert str(tmp_path / "taken") in outcome.paragraph
    assert "  epoch" not in outcome.out
    assert (tmp_path / "taken").read_text() == ""


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no /proc")
def test_a_place_that_no_one_can_write(programs):
    outcome = programs.train("paths.runs=/proc/runs")
    assert "/proc/runs" in outcome.paragraph
    assert "  epoch" not in outcome.out


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="an administrator may write everywhere")
def test_a_folder_without_leave(programs, tmp_path):
    (tmp_path / "closed").mkdir(mode=0o500)
    assert "Access is refused" in programs.train(f"paths.runs={tmp_path / 'closed'}").paragraph


@pytest.mark.parametrize(
    "name",
    [
        "result.json",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("last.ckpt", "best.ckpt", "metrics.csv", "latents.png")
        ),
    ],
)
def test_a_full_disk(programs, monkeypatch, name):
    """While that file is written; once there is room again, the same command ends as if nothing had been."""
    finished = programs.train("seed=1")
    before = digest(finished.folder)
    replace = os.replace

    def full(source, target):
        if Path(target).name == name:
            raise OSError(28, "No space left on device")
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr("lid_vae.system.files.os.replace", full)
        message = programs.train().paragraph
    assert "The disk is full" in message
    assert name in message
    assert not list(programs.folder.rglob("*.tmp"))
    assert digest(finished.folder) == before
    assert len(list(programs.folder.rglob("result.json"))) == 1
    reference = Programs(programs.folder / "reference").train()
    assert measures(programs.train().result) == measures(reference.result)


def test_a_full_disk_when_evaluating(programs, monkeypatch):
    finished = programs.train()
    before = digest(finished.folder)

    def full(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lid_vae.system.files.os.replace", full)
    message = programs.evaluate(finished.folder / "checkpoints" / "best.ckpt").paragraph
    assert "The disk is full" in message
    assert "evaluation-test-" in message
    assert digest(finished.folder) == before


def test_a_failed_run_does_not_hide_the_other_seeds(programs, monkeypatch):
    training_step = Ensemble.training_step

    def step(self, batch, index):
        with monkeypatch.context() as patch:
            if self.seed == "1":
                spoilt = lambda *arguments: take_step(*arguments) * float("nan")  # noqa: E731
                patch.setattr("lid_vae.train.training.take_step", spoilt)
            training_step(self, batch, index)

    monkeypatch.setattr(Ensemble, "training_step", step)
    outcome = programs.train("-m", "seed=0-2", "trainer.max_epochs=1", "hydra/launcher=basic")
    assert outcome.status == 1
    assert "1 of 3 runs failed; the others are finished:" in outcome.err
    assert "seed=1: The training bound became nan" in outcome.err
    assert "Traceback" not in outcome.err
    assert sorted(path.parent.name for path in programs.folder.rglob("result.json")) == ["seed-0", "seed-2"]


# --- checkpoints through evaluate.py ---------------------------------------------------------------------------------


def test_checkpoints_that_are_none(programs, tmp_path):
    run = programs.train()
    before = digest(run.folder)
    good = run.folder / "checkpoints" / "best.ckpt"
    bad = tmp_path / "bad.ckpt"
    assert "check the spelling" in programs.evaluate(bad).paragraph
    bad.write_bytes(good.read_bytes()[:-2000])
    assert "truncated" in programs.evaluate(bad).paragraph
    bad.write_text("notes")
    assert "no checkpoint of this program" in programs.evaluate(bad).paragraph
    torch.save({"state_dict": {}}, bad)
    assert "another program" in programs.evaluate(bad).paragraph
    assert "folder" in programs.evaluate(tmp_path).paragraph

    checkpoint = torch.load(good, weights_only=True)
    weights = checkpoint["state_dict"]
    torch.save({**checkpoint, "state_dict": dict(list(weights.items())[1:])}, bad)
    assert "do not fit" in programs.evaluate(bad).paragraph

    made = tmp_path / "made by the checkpoint"
    for node in ("data", "map", "optimizer", "model"):
        config = {**checkpoint["lid_vae"]["config"], node: {"_target_": "os.mkdir", "path": str(made)}}
        torch.save({**checkpoint, "lid_vae": {**checkpoint["lid_vae"], "config": config}}, bad)
        assert "asks for os.mkdir to be called" in programs.evaluate(bad).paragraph
        assert not made.exists()
    assert digest(run.folder) == before
    assert not list(tmp_path.glob("evaluation*"))
