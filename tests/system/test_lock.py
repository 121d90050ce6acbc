"""One process for each run, and no run lost to one that is gone."""

import json
import os
import socket
import subprocess
import sys
import time
from dataclasses import asdict, replace

import pytest

from lid_vae.errors import UserError
from lid_vae.system import lock
from lid_vae.system.lock import STALE, LeftAlone, Owner, claim, is_held, lock_path, owner_of


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "vae-pinwheel-gaussian" / "seed-3"


def leave(folder, owner, age=0.0):
    """A lock such as ``owner`` would have left, its last heartbeat ``age`` seconds ago."""
    path = lock_path(folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(owner if isinstance(owner, str) else json.dumps(asdict(owner)))
    os.utime(path, (time.time() - age,) * 2)


def free(folder):
    try:
        with claim(folder):
            assert owner_of(lock_path(folder))[0].pid == os.getpid()
            return True
    except LeftAlone:
        return False


def ended_process():
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    process.wait()
    return process.pid


def test_a_run_is_claimed_once_and_freed(folder):
    with claim(folder):
        assert is_held(lock_path(folder), Owner.here())
        with pytest.raises(LeftAlone, match=rf"process {os.getpid()} on {socket.gethostname()}.*left alone") as refused:
            claim(folder).__enter__()
        assert isinstance(refused.value, UserError)
    assert list(folder.parent.iterdir()) == []
    assert free(folder)


def test_an_error_frees_it_too(folder):
    with pytest.raises(ZeroDivisionError), claim(folder):
        raise ZeroDivisionError
    assert free(folder)


def test_here_a_dead_process_holds_nothing_at_once(folder):
    here = Owner.here()
    leave(folder, replace(here, pid=ended_process(), process="1"))
    assert free(folder)
    # another process of the same number
    leave(folder, replace(here, process="1"))
    assert free(folder)


def test_elsewhere_the_heartbeat_decides(folder):
    there = replace(Owner.here(), host="elsewhere", pid=1)
    leave(folder, there, age=STALE / 2)
    assert not free(folder)
    leave(folder, there, age=STALE * 2)
    assert free(folder)
    # a container with this machine's name
    there = replace(Owner.here(), namespace="pid:[0]", pid=ended_process())
    leave(folder, there)
    assert not free(folder)


def test_a_job_that_slurm_started_again_has_its_run_back(folder, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    leave(folder, replace(Owner.here(), host="elsewhere"))
    assert not free(folder), "another step of the same job"
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    assert free(folder)


@pytest.mark.parametrize("text", ["", "{", '{"host": "x"}', "[]"])
def test_a_damaged_lock_counts_by_its_age(folder, text):
    leave(folder, text)
    assert not free(folder)
    leave(folder, text, age=STALE * 2)
    assert free(folder)


def test_a_lock_that_vanishes_while_it_is_looked_at(folder, monkeypatch):
    """Its owner lets go, or another process takes the stale lock away, between two looks."""
    leave(folder, replace(Owner.here(), pid=ended_process(), process="1"))

    def read_and_lose(path):
        found = owner_of(path)
        path.unlink(missing_ok=True)
        return found

    monkeypatch.setattr(lock, "owner_of", read_and_lose)
    with claim(folder):
        assert lock_path(folder).exists()


def test_of_many_who_find_a_stale_lock_one_gets_it(folder):
    """Each waits for the others to be ready, and holds on until all have tried."""
    leave(folder, replace(Owner.here(), pid=ended_process(), process="1"))
    script = (
        "import sys, time, pathlib\n"
        "from lid_vae.system.lock import LeftAlone, claim\n"
        "folder, start = pathlib.Path(sys.argv[1]), float(sys.argv[2])\n"
        "time.sleep(max(0, start - time.time()))\n"
        "try:\n"
        "    with claim(folder):\n"
        "        print('mine', flush=True)\n"
        "        sys.stdin.read()\n"
        "except LeftAlone:\n"
        "    print('left', flush=True)\n"
    )
    start = str(time.time() + 1.5)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(folder), start],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(6)
    ]
    said = [process.stdout.readline().strip() for process in processes]
    for process in processes:
        process.communicate()
    assert sorted(said) == ["left"] * 5 + ["mine"]
    assert list(folder.parent.iterdir()) == []


def test_a_heartbeat_keeps_the_lock_young(folder, monkeypatch):
    monkeypatch.setattr(lock, "BEAT", 0.01)
    with claim(folder):
        os.utime(lock_path(folder), (0, 0))
        deadline = time.monotonic() + 30
        while owner_of(lock_path(folder))[1] > 1000:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_a_process_that_stood_still_learns_that_its_run_is_anothers(folder):
    with claim(folder) as held:
        held.beat()
        held.check()
        leave(folder, replace(Owner.here(), host="elsewhere"))
        held.beat()
        with pytest.raises(LeftAlone, match="stood still"):
            held.check()
    assert owner_of(lock_path(folder))[0].host == "elsewhere", "the other's lock stays"


def test_without_links_a_lock_is_created(folder, monkeypatch):
    def link(source, target):
        raise PermissionError("no links here")

    monkeypatch.setattr(os, "link", link)
    with claim(folder), pytest.raises(LeftAlone):
        claim(folder).__enter__()
    assert free(folder)
