"""Checkpoints are whole or absent, and reading one never runs what it holds."""

import contextlib
import io
import os
import pickle
import zipfile

import pytest
import torch

from lid_vae.errors import UserError
from lid_vae.system.checkpoint import AtomicCheckpointIO, load_checkpoint

DESCRIPTION = {"config": {}, "config_hash": "0", "checksum": "0", "shape": [2], "labels": None, "step": 1}
GOOD = {"state_dict": {"weight": torch.arange(500.0)}, "lid_vae": DESCRIPTION}


class Code:
    """Unpickling this makes a folder."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def saved(value):
    content = io.BytesIO()
    torch.save(value, content)
    return content.getvalue()


def archive():
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        file.writestr("notes.txt", "not a checkpoint")
    return content.getvalue()


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "checkpoints" / "best.ckpt"
    io_ = AtomicCheckpointIO()
    io_.save_checkpoint(GOOD, path)
    for read in (load_checkpoint(path), load_checkpoint(str(path)), io_.load_checkpoint(path)):
        assert torch.equal(read["state_dict"]["weight"], GOOD["state_dict"]["weight"])
        assert read["lid_vae"] == DESCRIPTION
    assert [file.name for file in path.parent.iterdir()] == ["best.ckpt"]


def test_a_checkpoint_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "best.ckpt"
    AtomicCheckpointIO().save_checkpoint(GOOD, path)
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lid_vae.system.files.os.fsync", full)
    with pytest.raises(UserError, match=r"best\.ckpt \(No space left on device\)\. The disk is full"):
        AtomicCheckpointIO().save_checkpoint({**GOOD, "more": 1}, path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["best.ckpt"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "truncated or damaged"),
        (saved(GOOD)[:-300], "truncated or damaged"),
        (saved(GOOD)[:1000], "truncated or damaged"),
        (saved(GOOD)[:40], "truncated or damaged"),
        (archive(), "truncated or damaged"),
        (b"the cat likes an apple\n", "no checkpoint, or is truncated or damaged"),
        (b"These are my notes.\n", "no checkpoint of this program"),
        (b"\x89PNG\r\n\x1a\n" + bytes(200), "no checkpoint of this program"),
        (pickle.dumps({"weights": [1.0]}), "no checkpoint of this program"),
        (saved(torch.zeros(3)), "another program"),
        (saved([1, 2]), "another program"),
        (saved({"state_dict": {}, "epoch": 3}), "another program"),
        (saved({"lid_vae": DESCRIPTION}), "another program"),
        (saved({"state_dict": {}, "lid_vae": {"step": 3}}), "another program"),
        (saved({"state_dict": {}, "lid_vae": "text"}), "another program"),
        (saved(torch.nn.Linear(2, 2)), "holds code"),
    ],
    ids=range(16),
)
def test_what_is_no_checkpoint_of_ours(tmp_path, content, words):
    path = tmp_path / "some.ckpt"
    path.write_bytes(content)
    with pytest.raises(UserError) as refused:
        load_checkpoint(path)
    assert words in str(refused.value)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_missing_or_a_folder(tmp_path):
    with pytest.raises(UserError, match="does not exist: check the spelling"):
        load_checkpoint(tmp_path / "none.ckpt")
    with pytest.raises(UserError, match="is a folder, and a checkpoint is a file"):
        load_checkpoint(tmp_path)
    best = tmp_path / "checkpoints" / "best.ckpt"
    best.parent.mkdir()
    best.touch()
    with pytest.raises(UserError, match=f"is a folder, .* Use {best}"):
        load_checkpoint(tmp_path)


def test_a_flipped_bit_is_never_a_traceback(tmp_path):
    content = bytearray(saved(GOOD))
    path = tmp_path / "some.ckpt"
    for position in range(0, len(content), 61):
        content[position] ^= 0x10
        path.write_bytes(content)
        content[position] ^= 0x10
        with contextlib.suppress(UserError):  # where the bit is in a name or a number, it may pass
            load_checkpoint(path)


@pytest.mark.parametrize("write", [pickle.dumps, saved], ids=["pickle", "torch"])
@pytest.mark.parametrize("place", ["alone", "beside the weights", "in the description"])
def test_code_in_a_pickle_is_never_run(tmp_path, write, place):
    made = tmp_path / "made by the checkpoint"
    code = Code(made)
    value = {
        "alone": code,
        "beside the weights": {**GOOD, "callbacks": code},
        "in the description": {**GOOD, "lid_vae": {**DESCRIPTION, "config": {"seed": code}}},
    }[place]
    path = tmp_path / "some.ckpt"
    path.write_bytes(write(value))
    with pytest.raises(UserError, match="holds code: it was refused and nothing in it was run"):
        load_checkpoint(path)
    assert not made.exists()
    # the test can fail: this is what would have happened
    torch.load(path, weights_only=False) if write is saved else pickle.loads(path.read_bytes())
    assert made.exists()
