"""evaluate.py gives the numbers of the end of training, from the checkpoint alone, and leaves the run as it is."""

import json
import shutil

import numpy as np
import pytest
from runs import TINY, Programs, digest, measures

from lid_vae.run.evaluation import load_run

RUNS = {
    "pinwheel": ("model=lidgmvae", *TINY),
    "continuous": ("model=lidvae", "family=gaussian", *TINY),
    "images": (
        "data=digits",
        "model=gmvae",
        "family.mixture=enumerate",
        "data.train_size=100",
        *(option for option in TINY if "per_class" not in option),
    ),
}


@pytest.fixture(scope="module", params=RUNS)
def finished(request, tmp_path_factory):
    programs = Programs(tmp_path_factory.mktemp(request.param))
    return programs, programs.train(tiny=RUNS[request.param])


def without_validation(result):
    return {name: value for name, value in measures(result).items() if name not in ("validation", "steps")}


def test_the_same_numbers_as_the_end_of_training(finished):
    programs, run = finished
    before = digest(run.folder)
    evaluation = programs.evaluate(run.folder / "checkpoints" / "best.ckpt")
    assert evaluation.status == 0, evaluation.err
    assert evaluation.folder == run.folder.resolve()
    assert without_validation(evaluation.result) == without_validation(run.result)
    assert evaluation.result["config_hash"] == run.result["config_hash"]
    assert evaluation.result["command"].startswith("python evaluate.py ckpt=")
    # the same line of AU, KL, MI and LL at the end
    assert evaluation.out.splitlines()[-1] == run.out.splitlines()[-1]
    after = digest(run.folder)
    new = evaluation.result_path.name
    assert new.startswith("evaluation-test-")
    assert "=" not in new
    after.pop(new)
    before.pop(new, None)
    assert after == before


def test_another_split(finished):
    programs, run = finished
    evaluation = programs.evaluate(run.folder / "checkpoints" / "best.ckpt", "split=valid")
    assert evaluation.result_path.name.startswith("evaluation-valid-")
    validation = run.result["validation"]
    assert {name: evaluation.result[name] for name in validation} == validation
    train = programs.evaluate(run.folder / "checkpoints" / "best.ckpt", "split=train")
    assert train.result["examples"] == run.result["train_size"]


def test_without_a_number_of_samples_the_runs_own(finished):
    programs, run = finished
    checkpoint = run.folder / "checkpoints" / "best.ckpt"
    plain = programs.start("evaluate", f"ckpt={checkpoint}")
    assert plain.result["ll"] == run.result["ll"]


def test_another_number_of_samples(finished):
    programs, run = finished
    checkpoint = run.folder / "checkpoints" / "best.ckpt"
    few, more = programs.evaluate(checkpoint), programs.evaluate(checkpoint, "samples=40")
    assert few.result_path != more.result_path
    assert (few.result["ll"]["samples"], more.result["ll"]["samples"]) == (4, 40)
    assert more.result["ll"]["mean"] > few.result["ll"]["mean"]  # the bound rises with S
    assert more.result["examples"] == few.result["examples"]


def test_another_checkpoint_of_the_run_has_a_file_of_its_own(finished):
    programs, run = finished
    best, last = (programs.evaluate(run.folder / "checkpoints" / f"{name}.ckpt") for name in ("best", "last"))
    assert best.result_path != last.result_path
    assert last.result["steps"] == run.result["steps"]


def test_a_run_that_has_moved(finished, tmp_path):
    programs, run = finished
    moved = tmp_path / "elsewhere = here"
    shutil.copytree(run.folder, moved)
    evaluation = programs.evaluate(moved / "checkpoints" / "best.ckpt")
    assert evaluation.folder == moved
    assert without_validation(evaluation.result) == without_validation(run.result)
    assert evaluation.result["checkpoint"] == str(moved / "checkpoints" / "best.ckpt")
    alone = tmp_path / "alone.ckpt"
    shutil.copy(run.folder / "checkpoints" / "best.ckpt", alone)
    evaluation = programs.evaluate(alone)
    assert evaluation.folder == tmp_path
    assert without_validation(evaluation.result) == without_validation(run.result)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["split=foo"], "Use train, valid or test"),
        (["samples=1"], "samples=1"),
        (["samples=many"], "samples=many"),
        (["accelerator=abacus"], "accelerator=abacus"),
        (["sampels=3"], "Did you mean samples?"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_refused_options(finished, options, words):
    programs, run = finished
    before = digest(run.folder)
    assert words in programs.evaluate(run.folder / "checkpoints" / "best.ckpt", *options).paragraph
    assert digest(run.folder) == before


def test_a_checkpoint_must_be_named(finished):
    programs, _ = finished
    assert "ckpt=" in programs.start("evaluate").paragraph


def test_other_data_than_it_was_trained_on(tmp_path):
    programs = Programs(tmp_path)
    images = tmp_path / "images.npy"
    rng = np.random.default_rng(0)
    np.save(images, rng.integers(0, 256, (80, 4, 4), dtype=np.uint8))
    tiny = ("data.batch_size=32", *(option for option in TINY if not option.startswith("data.")))
    run = programs.train("data=images", f"data.path={images}", "latent_dimension=4", "categories=3", tiny=tiny)
    before = digest(run.folder)
    checkpoint = run.folder / "checkpoints" / "best.ckpt"
    same = programs.evaluate(checkpoint)
    assert json.loads(before["result.json"])["ll"] == same.result["ll"]
    np.save(images, rng.integers(0, 256, (80, 4, 4), dtype=np.uint8))
    message = programs.evaluate(checkpoint).paragraph
    assert "is not what" in message
    assert str(checkpoint) in message
    images.unlink()
    assert str(images) in programs.evaluate(checkpoint).paragraph
    after = digest(run.folder)
    after.pop(same.result_path.name)
    assert after == before


def test_a_loaded_model_is_in_evaluation_mode(finished):
    """Dropout off, statistics of the training set in use; it says what it is and how far it was trained."""
    _, run = finished
    loaded = load_run(run.folder / "checkpoints" / "last.ckpt", "data", "cpu")
    assert not any(part.training for part in loaded.module.modules())
    assert loaded.module.step == run.result["steps"]
    assert loaded.module.description["config_hash"] == run.result["config_hash"]
