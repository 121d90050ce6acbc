"""Pictures drawn elsewhere are those drawn here, whatever becomes of who draws them."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from multiprocessing import active_children, parent_process
from pathlib import Path

import numpy as np
import pytest
from runs import Programs

from lid_vae.picture.studio import Studio

NAMES = re.compile(rb"\bp[0-9a-f]{10}\b")
ROOT = Path(__file__).resolve().parents[2]
IDLE = """
import sys, time
from lid_vae.picture.studio import studio

if __name__ == "__main__":
    studio().processes = 2
    print(studio().begin(abs, -3)(), flush=True)
    time.sleep(600)
"""


def sleeps_elsewhere():
    if parent_process() is not None:
        time.sleep(600)
    return os.getpid()


@pytest.fixture
def two():
    studio = Studio(2)
    yield studio
    studio.close()


def test_work_is_done_here_where_there_is_one_processor():
    studio = Studio(1)
    assert studio.begin(os.getpid)() == os.getpid()
    with pytest.raises(ValueError, match="negative"):
        studio.begin(np.zeros, -1)
    studio.close()


def test_work_is_done_elsewhere_and_fails_where_it_is_waited_for(two, capfd):
    waits = [two.begin(pow, number, exp=2) for number in range(5)]
    elsewhere = two.begin(os.getpid)
    wrong = two.begin(np.zeros, -1)
    assert [wait() for wait in waits] == [0, 1, 4, 9, 16]
    assert elsewhere() != os.getpid()
    with pytest.raises(ValueError, match="negative"):
        wrong()
    assert two.begin(print, "not on this terminal")() is None
    two.close()
    assert capfd.readouterr() == ("", "")


def kill_all():
    """Those that work elsewhere at this moment; how many."""
    killed = active_children()
    for process in killed:
        process.kill()
    return len(killed)


def test_where_a_process_dies_its_work_is_done_here_and_what_follows_elsewhere(two):
    dying = two.begin(sleeps_elsewhere)
    deadline = time.monotonic() + 60
    while not kill_all() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert dying() == os.getpid()
    after = [two.begin(os.getpid) for _ in range(4)]
    assert os.getpid() not in {wait() for wait in after}


@pytest.mark.parametrize("pause", [0.0, 0.05, pytest.param(0.5, marks=pytest.mark.slow)])
def test_nobody_waits_for_the_dead(pause):
    """Whenever a process dies: as it starts, as it works, or as the next work is given."""
    studio = Studio(2)
    waits, killed = [], 0
    while killed < 3:
        waits.append(studio.begin(os.getpid))
        time.sleep(pause)
        killed += kill_all()
    done = []
    ending = threading.Thread(target=lambda: done.extend(wait() for wait in waits) or studio.close(), daemon=True)
    ending.start()
    ending.join(60)
    assert not ending.is_alive()
    assert len(done) == len(waits)


def test_who_closes_does_not_wait_where_the_pipe_is_held_by_another():
    """As by a data loader's worker, a fork of this process."""
    studio = Studio(2)
    assert studio.begin(os.getpid)() != os.getpid()
    held = os.dup(studio._made[0][0].fileno())
    closing = threading.Thread(target=studio.close, daemon=True)
    closing.start()
    closing.join(30)
    os.close(held)
    assert not closing.is_alive()


def test_where_no_process_can_be_started_the_work_is_done_here(two, monkeypatch):
    def refuse(*_):
        raise OSError("no more processes")

    monkeypatch.setattr("multiprocessing.process.BaseProcess.start", refuse)
    assert [wait() for wait in [two.begin(os.getpid) for _ in range(3)]] == [os.getpid()] * 3


@pytest.mark.slow
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGKILL])
def test_who_draws_leaves_with_who_has_asked(tmp_path, signum):
    script = tmp_path / "idle.py"
    script.write_text(IDLE)
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    program = subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env, start_new_session=True
    )
    assert program.stdout.readline() == b"3\n"
    assert group(program.pid) > 1
    (os.killpg if signum == signal.SIGINT else os.kill)(program.pid, signum)
    _, told = program.communicate(timeout=60)
    assert told.count(b"KeyboardInterrupt") == (signum == signal.SIGINT)
    deadline = time.monotonic() + 30
    while group(program.pid) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert group(program.pid) == 0


def group(session: int) -> int:
    """Its processes, the dead that nobody has buried left out."""
    found = subprocess.run(["ps", "-o", "stat=", "-s", str(session)], capture_output=True, text=True).stdout
    return sum(not state.startswith("Z") for state in found.split())


@pytest.mark.slow
def test_pictures_of_a_stack_are_the_same_from_elsewhere(tmp_path, monkeypatch):
    """Those of a validation for its loggers too."""
    monkeypatch.setattr("lid_vae.run.finish._measured_together", lambda *_: 3)
    options = ("-m", "seed=0-2", "callbacks.panels.every=1", "logger=default", "vector_pictures=true")
    options += ("trainer.max_epochs=1",)
    begun = []
    begin = Studio.begin

    def counted(self, work, *given, **options):
        begun.append(work.__name__)
        return begin(self, work, *given, **options)

    monkeypatch.setattr(Studio, "begin", counted)
    two = Studio(2)
    monkeypatch.setattr("lid_vae.picture.page.studio", lambda: two)
    monkeypatch.setattr("lid_vae.run.panels.studio", lambda: two)
    here = Programs(tmp_path / "here", pictures=True).train(*options)
    assert here.status == 0, here.err
    assert not begun
    for place in ("lid_vae.picture.page.PAYS", "lid_vae.run.panels.PAYS"):
        monkeypatch.setattr(place, {"cpu"})
    there = Programs(tmp_path / "there", pictures=True).train(*options)
    two.close()
    assert there.status == 0, there.err
    assert sorted(begun) == ["render_panels"] * 3 + ["write_page"] * 3
    for suffix in ("png", "svg", "pdf"):
        ours, theirs = (sorted((tmp_path / name).rglob(f"latents.{suffix}")) for name in ("here", "there"))
        assert len(ours) == len(theirs) == 3
        # But for the names of clipping paths in an SVG.
        assert [NAMES.sub(b"", path.read_bytes()) for path in ours] == [NAMES.sub(b"", p.read_bytes()) for p in theirs]
    ours, theirs = (shown(tmp_path / name) for name in ("here", "there"))
    assert len(ours) >= 3 * 3
    assert ours == theirs


def shown(folder: Path) -> dict[tuple[str, str], list[bytes]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = {}
    for seed in sorted(folder.rglob("seed-*")):
        events = EventAccumulator(str(seed), size_guidance={"images": 0}).Reload()
        for tag in events.Tags()["images"]:
            found[seed.name, tag] = [image.encoded_image_string for image in events.Images(tag)]
    return found
