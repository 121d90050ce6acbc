"""Options of any kind end in a run or in one paragraph: never in a traceback, and nothing is spilt."""

import os
import tempfile
from pathlib import Path

import pytest
from fuzzing import Ending, commands, play
from hypothesis import example, given, settings
from runs import TINY, Programs


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a case writes, it writes there."""
    monkeypatch.chdir(tmp_path)


def played(command: tuple[str, ...], train: bool) -> Ending:
    with tempfile.TemporaryDirectory(dir=os.getcwd()) as folder:
        return play(command, Path(folder), train=train)


def check_refused(command: tuple[str, ...], *, train: bool = False) -> None:
    ending = played(command, train)
    assert ending.sound, f"{' '.join(command)}\n{ending.kind}: {ending.text}"


@settings(max_examples=6)
@example(("map=null",))
@example(("objective._target_=lid_vae.nowhere.X",))
@example(("logger.csv.folder=${nowhere}",))
@given(commands())
def test_any_options_are_built_or_refused(command: tuple[str, ...]) -> None:
    check_refused(command)


@pytest.mark.parametrize(
    "options",
    [
        "seed=[0,1]",
        "seed=[0,1] data.seed=${seed}",
        "gradient_clip=null",
        "map=polar map.shears=1 map.shear_bound=null",
        "map.curvature=1 optimizer.lr=1",
        "objective=cyclical_annealing",
        "inference=semi_amortized inference.clip=null",
        "measures=[distortion,ais]",
        "callbacks=early_stopping callbacks.early_stopping.min_delta=0",
        "trainer.precision=32 trainer.log_every_n_steps=null",
        "data.train_size=100",
        "logger=default",
    ],
)
def test_what_is_right_is_built(options: str) -> None:
    ending = played(tuple(options.split()), train=False)
    assert ending.kind == "works", ending.text


@pytest.mark.slow
@settings(max_examples=40)
@given(commands())
def test_many_options_are_built_or_refused(command: tuple[str, ...]) -> None:
    check_refused(command)


@pytest.mark.slow
@settings(max_examples=12)
@given(commands())
def test_any_options_are_trained_or_refused(command: tuple[str, ...]) -> None:
    check_refused(command, train=True)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("map.depth=null", "map.depth=null does not fit: a whole number belongs there"),
        ("depth=null", "depth=null does not fit"),
        ("data.batch_size=null", "data.batch_size=null"),
        ("validation_samples=null", "validation_samples=null"),
        ("optimizer.lr=null", "optimizer.lr=null"),
        ("width=null", "width=null must be a whole number"),
        ("ensemble=null", "ensemble=null takes away options"),
        ("optimizer=null", "optimizer=null takes away options"),
        ("model=null", "model=null is no choice"),
        ("sharpness=high", "sharpness=high is not a number"),
        ("sharpness=[1,2]", "sharpness=[1, 2] is several values for one option"),
        ("sharpness=nan", "sharpness=nan is no number to compute with"),
        ("sharpness=1e40", "beyond what 32 bits hold"),
        ("force=maybe", "force=maybe is neither true nor false"),
        ("width=1000000000000", "width=1000000000000 is more than any machine could hold"),
        ("width=1000000", "TiB, and this machine has"),
        ("data.per_class=1000000000000", "is more than any machine could hold"),
        ("data.per_class=9000000000", "The memory does not suffice"),
        ("map._target_=lid_vae.nowhere.X", "map._target_=lid_vae.nowhere.X cannot be found"),
        ("map._target_=os", "map._target_=os is no class and no function"),
        ("schedule._target_=builtins.dict", "schedule._target_=builtins.dict makes a dict, and a Schedule belongs"),
        ("callbacks.checkpoint.monitor=valid/nothing", "monitor=valid/nothing is not among the metrics"),
        ("data.test_size=1", "The test split of pinwheel has 1 examples, and measures need two at least"),
        ("model=language_model", "likelihood.wiring=none is no option of gaussian_likelihood"),
        ("map.sharpness=${nowhere}", "map.sharpness refers to what is not there"),
    ],
)
def test_refused_kinds(tmp_path: Path, options: str, words: str) -> None:
    given = options.partition("=")[0]
    tiny = tuple(option for option in TINY if option.partition("=")[0] != given)
    assert words in Programs(tmp_path).train(options, tiny=tiny).paragraph


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("--resolve", "--cfg job --resolve"),
        ("--run -m", "--run and --multirun are different things"),
        ("--experimental-rerun made.pickle", "it was refused"),
        ("-sc", "as in -sc install=bash"),
        ("-sc install=cobol", "as in -sc install=bash"),
    ],
)
def test_refused_flags(tmp_path: Path, flags: str, words: str) -> None:
    assert words in Programs(tmp_path).start("train", *flags.split()).paragraph


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("ckpt=null", "ckpt=null is no checkpoint"),
        ("ckpt=a nucleus.p=high", "nucleus.p=high is not a number"),
        ("ckpt=a beam=null", "beam=null takes away options"),
        ("ckpt=a measure=maybe", "measure=maybe is neither true nor false"),
    ],
)
def test_refused_evaluations(tmp_path: Path, options: str, words: str) -> None:
    assert words in Programs(tmp_path).start("evaluate", *options.split()).paragraph


@pytest.mark.parametrize("content", [b"", b"\x00\xff\x80", b"[" * 100_000, b"[1, 2]", b"a: {b", b"a: &a [*a]", b"3"])
def test_damaged_files_of_a_run_are_told(tmp_path: Path, content: bytes) -> None:
    """And left alone: a configuration that cannot be read; a result that is none is made again, as it always was."""
    programs = Programs(tmp_path)
    once = ("trainer.max_epochs=1", "seed=0")
    run = programs.train(*once)
    config = run.folder / "config.yaml"
    whole, finished = config.read_bytes(), (run.folder / "result.json").read_bytes()
    config.write_bytes(content)
    ending = programs.train(*once)
    if content:
        assert "config.yaml is no configuration of a run" in ending.paragraph
    assert config.read_bytes() == content
    config.write_bytes(whole)
    (run.folder / "result.json").write_bytes(content)
    assert "Traceback" not in programs.train(*once).err
    edited = finished.replace(b'"elbo"', b'"elbow"')
    (run.folder / "result.json").write_bytes(edited)
    assert "has no bound of the validation split" in programs.train(*once).paragraph
    assert (run.folder / "result.json").read_bytes() == edited
