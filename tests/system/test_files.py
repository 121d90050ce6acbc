"""A file is whole or as it was before."""

import errno
import json
import math
import os

import numpy as np
import pytest

from lid_vae.errors import UserError
from lid_vae.system.files import explain_os_error, read_json, remove_unfinished, write_atomic, write_json_atomic


@pytest.mark.parametrize("content", ["text é 中\n", b"\x00\xff", ""])
def test_write_and_replace(tmp_path, content):
    path = tmp_path / "new" / "folder" / "file"
    write_atomic(path, "before")
    write_atomic(path, content)
    assert path.read_bytes() == (content if isinstance(content, bytes) else content.encode())
    assert os.listdir(path.parent) == ["file"]


def test_permissions_follow_the_umask(tmp_path):
    before = os.umask(0o022)
    try:
        write_atomic(tmp_path / "file", "x")
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, step, error):
    path = tmp_path / "result.json"
    write_atomic(path, "before")

    def fail(*args):
        raise error

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(UserError if isinstance(error, OSError) else KeyboardInterrupt) as failed:
        write_atomic(path, "after")
    assert path.read_text() == "before"
    assert os.listdir(tmp_path) == ["result.json"]
    if isinstance(error, OSError):
        assert str(path) in str(failed.value)
        assert "free some space" in str(failed.value)


def test_the_content_is_on_disk_before_the_name(tmp_path, monkeypatch):
    calls = []
    for step in ("fsync", "replace"):
        real = getattr(os, step)
        monkeypatch.setattr(os, step, lambda *args, step=step, real=real: (calls.append(step), real(*args)))
    write_atomic(tmp_path / "file", "x")
    assert calls[:2] == ["fsync", "replace"]


def test_a_file_where_a_folder_should_be(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file stands where a folder"):
        write_atomic(tmp_path / "file" / "result.json", "x")


def test_json_round_trip(tmp_path):
    path = tmp_path / "x.json"
    value = {
        "a": [1, 2.5, None, True, "é"],
        "b": (np.float32(0.5), np.int64(3)),
        4: tmp_path,
        "bad": [math.nan, -math.inf],
    }
    write_json_atomic(path, value)
    expected = {"a": [1, 2.5, None, True, "é"], "b": [0.5, 3], "4": str(tmp_path), "bad": [None, None]}
    assert read_json(path) == expected
    assert json.loads(path.read_text(), parse_constant=pytest.fail) == expected


def test_json_refuses_what_it_cannot_hold(tmp_path):
    with pytest.raises(TypeError, match="set"):
        write_json_atomic(tmp_path / "x.json", {"a": {1}})
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("content", [b'{"a": 1', b"", b"\xff\xfe", b"{'a': 1}"])
def test_a_damaged_file_is_named(tmp_path, content):
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(UserError, match="damaged") as damaged:
        read_json(path)
    assert str(path) in str(damaged.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match="does not exist") as missing:
        read_json(tmp_path / "x.json")
    assert str(tmp_path / "x.json") in str(missing.value)


def test_a_copy_that_finds_the_disk_full_names_its_target():
    error = OSError(errno.ENOSPC, "No space left on device", "/tmp/x", None, "/runs/best.ckpt")
    assert "/runs/best.ckpt" in explain_os_error(error)
    assert "/tmp/x" in explain_os_error(OSError(errno.ENOENT, "No such file", "/tmp/x", None, "/runs/best.ckpt"))


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EIO])
def test_every_reason_has_a_way_to_mend_it(code):
    text = explain_os_error(OSError(code, os.strerror(code), "/a/b"))
    assert "/a/b" in text
    assert os.strerror(code) in text
    assert len(text.split(". ")) >= 2 or ": " in text


def test_what_a_killed_process_left_is_removed(tmp_path):
    whole = tmp_path / "checkpoints" / "last.ckpt"
    write_atomic(whole, b"whole")
    left = whole.with_name(".last.ckpt.0123.tmp")
    left.write_bytes(b"hal")
    remove_unfinished(tmp_path)
    assert [path.name for path in whole.parent.iterdir()] == ["last.ckpt"]
    remove_unfinished(tmp_path / "absent")
