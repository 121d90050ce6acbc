"""Options and files of any kind end in a run or in one paragraph: never in a traceback, and nothing is spilt."""

import gzip
import os
import re
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path

import pytest
import torch
from fuzzed_data import Given, archive, bomb, play_data, promising, sources
from fuzzed_files import Change, changes, play_change
from fuzzing import Ending, commands, play
from hypothesis import example, given, settings
from runs import TINY, Programs

import lid_vae
from lid_vae.errors import UserError

# Of an old version, which NumPy reads as Python's own words.
UNEXPECTED_END = f"{'unexpected ' if sys.version_info >= (3, 12) else ''}EOF in multi-line statement"
UNCLOSED = b"\x93NUMPY\x01\x00\x12\x00{'descr': ('<f8', \n"
MEMORY = 4 << 30
"""Bytes that the programs may take beside what there is: what asks for more is told in a paragraph too."""


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
        "callbacks.panels=null callbacks.progress=null callbacks.last=null logger=default logger.csv=null",
        "~callbacks.last",
    ],
)
def test_what_is_right_is_built(options: str) -> None:
    ending = played(tuple(options.split()), train=False)
    assert ending.kind == "works", ending.text


@pytest.mark.slow
@settings(max_examples=12)
@given(commands())
def test_many_options_are_built_or_refused(command: tuple[str, ...]) -> None:
    check_refused(command)


@pytest.mark.slow
@settings(max_examples=8)
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
        ("callbacks.checkpoint=null", "nothing keeps the best checkpoint"),
        ("~callbacks.checkpoint", "nothing keeps the best checkpoint"),
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
        ("trainer._target_=builtins.dict", "trainer._target_=builtins.dict makes a dict, and a Trainer belongs"),
        ("callbacks.panels._target_=builtins.dict", "and a callback belongs there"),
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


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory: pytest.TempPathFactory) -> Programs:
    programs = Programs(tmp_path_factory.mktemp("runs"))
    programs.train(*ONCE, "-m", "seed=0-1")
    return programs


ONCE = ("model=gmvae", "trainer.max_epochs=1")
RUBBISH = [b"", b"\x00\xff\x80", b"[" * 100_000, b"a: {b", b"3"]


@pytest.mark.parametrize("content", [*RUBBISH, b"{}", b'{"config_hash": "aaaaaaaa"}'])
def test_a_result_that_is_none_is_told_and_left_alone(two_runs: Programs, tmp_path: Path, content: bytes) -> None:
    """Never written over and never counted as finished; the other runs of a sweep are finished as before."""
    folder = Path(shutil.copytree(two_runs.folder, tmp_path / "copy"))
    (result,) = folder.glob("runs/default/*/seed-0/result.json")
    result.write_bytes(content)
    sweep = Programs(folder).train(*ONCE, "-m", "seed=0-1")
    assert sweep.status == 1
    assert f"{result} is" in sweep.err
    assert "left alone" in sweep.err
    assert "1 of 2 runs failed" in sweep.err
    assert "seed-1" in sweep.out
    assert result.read_bytes() == content
    assert not (result.parent / "failed.json").exists()


def test_a_result_without_a_bound_is_told(two_runs: Programs, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(two_runs.folder, tmp_path / "copy"))
    (result,) = folder.glob("runs/default/*/seed-0/result.json")
    edited = result.read_bytes().replace(b'"elbo"', b'"elbow"')
    result.write_bytes(edited)
    assert "has no bound of the validation split" in Programs(folder).train(*ONCE, "seed=0").paragraph
    assert result.read_bytes() == edited


@pytest.mark.parametrize("content", RUBBISH)
def test_a_configuration_that_is_none_is_told_and_left_alone(
    two_runs: Programs, tmp_path: Path, content: bytes
) -> None:
    folder = Path(shutil.copytree(two_runs.folder, tmp_path / "copy"))
    (config,) = folder.glob("runs/default/*/seed-0/config.yaml")
    config.write_bytes(content)
    assert Programs(folder).train(*ONCE, "seed=0").status == 0  # it is finished: nobody asks
    (config.parent / "result.json").unlink()
    assert "config.yaml is no configuration of a run" in Programs(folder).train(*ONCE, "seed=0").paragraph
    assert config.read_bytes() == content


@pytest.mark.slow
@settings(max_examples=2)
@example(("seed-0/result.json", "device", None))
@example(("seed-0/result.json", "edited", (("latent", "z", "kl"), [1, 2])))
@example(("seed-2/checkpoints/last.ckpt", "edited", (("optimizer_states", 0, "state", 0, "exp_avg"), torch.zeros(()))))
@given(changes())
def test_a_file_of_a_run_with_any_content_is_used_or_told(change: Change) -> None:
    ending = play_change(change, MEMORY)
    assert ending.sound, f"{change}\n{ending.kind}: {ending.text}"


@pytest.mark.slow
@settings(max_examples=3)
@example(("seed-0/result.json", "edited", (("seeds_together",), None)))
@example(("seed-2/checkpoints/last.ckpt", "edited", (("optimizer_states", 0, "state", 2, "step"), torch.zeros(1) * 1j)))
@example(("seed-2/checkpoints/last.ckpt", "edited", (("pytorch-lightning_version",), torch.zeros(2))))
@example(("seed-2/checkpoints/last.ckpt", "edited", (("pytorch-lightning_version",), "1.0")))
@given(changes())
def test_many_files_of_a_run_with_any_content_are_used_or_told(change: Change) -> None:
    ending = play_change(change, MEMORY)
    assert ending.sound, f"{change}\n{ending.kind}: {ending.text}"


@pytest.mark.slow
@settings(max_examples=5)
@given(sources())
def test_data_of_any_content_is_trained_on_or_refused(source: Given) -> None:
    ending = play_data(source, MEMORY)
    assert ending.sound, f"{source}\n{ending.kind}: {ending.text}"


@pytest.mark.slow
@settings(max_examples=8)
@given(sources())
def test_much_data_of_any_content_is_trained_on_or_refused(source: Given) -> None:
    ending = play_data(source, MEMORY)
    assert ending.sound, f"{source}\n{ending.kind}: {ending.text}"


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("x.npy", promising((10**12, 10)), "promises 80,000,000,000,000 bytes"),
        ("x.npy", UNCLOSED, f"the header of x.npy is none ({UNEXPECTED_END})"),
        ("x.npz", archive(x=UNCLOSED), f"the header of x.npy is none ({UNEXPECTED_END})"),
        ("x.npz", archive(), "it holds no array"),
        ("x.npz", archive(x=b"no"), "x in it is no array"),
        ("x.npz", b"", "cannot be read"),
        ("x.txt.gz", gzip.compress(bytes(2**16)) * 2**5, "more than 1 MiB unpacked"),
    ],
    # not of the content, which holds the time: workers that begin in different seconds would have different tests
    ids=["promise", "unclosed", "unclosed within", "no array", "none of it", "empty", "bomb"],
)
def test_promises_of_files_are_held_against_what_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: bytes, words: str
) -> None:
    monkeypatch.setattr("lid_vae.data.text.text_file.MOST", 2**20)
    path = tmp_path / name
    path.write_bytes(content)
    data = ("data=text", "model=svae") if ".txt" in name else ("data=array", "likelihood=gaussian")
    assert words in Programs(tmp_path).train(*data, f"data.path={path}", tiny=()).paragraph


def test_an_archive_that_unpacks_to_more_than_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lid_vae.machine_memory.machine_memory", lambda: 2**27)
    path = tmp_path / "x.npz"
    path.write_bytes(bomb(2**28))
    assert path.stat().st_size < 4 << 20
    ending = Programs(tmp_path).train("data=array", "likelihood=gaussian", f"data.path={path}", tiny=())
    assert "would take 256 MiB, and this machine has 128 MiB" in ending.paragraph


@pytest.mark.parametrize("options", ["data=text model=svae", "data=array likelihood=gaussian", "data=images"])
def test_a_device_is_no_data(tmp_path: Path, options: str) -> None:
    for name in ("zero.npy", "zero.csv", "zero.txt"):
        path = tmp_path / name
        path.symlink_to("/dev/zero")
        paragraph = Programs(tmp_path).train(*options.split(), f"data.path={path}", tiny=()).paragraph
        assert "zero" in paragraph


def test_a_folder_of_a_user_that_there_is_not(tmp_path: Path) -> None:
    ending = Programs(tmp_path).train("data=array", "data.path=~nobody-at-all/x.npy", tiny=())
    assert "begins with the folder of a user that there is not" in ending.paragraph


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        (("config", "map", "_target_"), "torch.optim.Adam", "of no model that can be built"),
        (("config", "model", "_target_"), "lid_vae.data.Pinwheel", "of no model that can be built"),
        (("config", "family", "encoder", "width"), "wide", "of no model that can be built"),
        (("config", "family", "encoder", "width"), 10**9, "this machine has"),
        (("config", "data"), {"_target_": "os.system", "command": "touch owned"}, "nothing in it was run"),
        (("config", "data", "_target_"), "lid_vae.nowhere.X", "nothing in it was run"),
        (("shape",), [10**9, 10**9], "this machine has"),
        (("shape",), "wide", "shape is none"),
        (("step",), -1, "step is no count"),
        (("config", "data"), None, "of no model that can be built"),
        (("config", "lift"), "${nowhere}", "cannot be read (Interpolation key 'nowhere' not found)"),
    ],
)
def test_checkpoints_made_by_hand(
    two_runs: Programs, tmp_path: Path, place: tuple[str, ...], value: object, words: str
) -> None:
    (best,) = two_runs.folder.glob("runs/default/*/seed-0/checkpoints/best.ckpt")
    checkpoint = torch.load(best, weights_only=True)
    node = checkpoint["lid_vae"]
    for key in place[:-1]:
        node = node[key]
    node[place[-1]] = value
    torch.save(checkpoint, tmp_path / "made.ckpt")
    assert words in two_runs.evaluate(tmp_path / "made.ckpt").paragraph
    with pytest.raises(UserError, match=re.escape(words)):
        lid_vae.load(tmp_path / "made.ckpt")


def test_a_checkpoint_that_unpacks_to_more_than_it_is(two_runs: Programs, tmp_path: Path) -> None:
    """PyTorch packs nothing; a file that is packed may unpack to any size."""
    (best,) = two_runs.folder.glob("runs/default/*/seed-0/checkpoints/best.ckpt")
    path = tmp_path / "bomb.ckpt"
    with zipfile.ZipFile(best) as source, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        for member in source.infolist():
            target.writestr(member.filename, source.read(member))
        target.writestr("archive/data/999", bytes(10**8))
    assert "unpacks to" in two_runs.evaluate(path).paragraph
