"""Real engines: results are those of the basic launcher, bit for bit at equal thread count, whatever happens."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prepared import run_program
from runs import TINY, measures
from slurm import OneNodeSlurm, missing

from lid_vae.launch.joblib_pool import visible_devices
from lid_vae.launch.sweeper import divide
from lid_vae.system.files import read_json

ROOT = Path(__file__).resolve().parents[2]
SWEEP = (*TINY, "model=gmvae", "-m", "seed=0-3")
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


def command(folder, *options):
    return [sys.executable, str(ROOT / "train.py"), *SWEEP, *options, f"paths.runs={folder}"]


def sweep(folder, *options, environment=None):
    process = subprocess.run(
        command(folder, *options), env={**ENVIRONMENT, **(environment or {})}, capture_output=True, text=True
    )
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout + process.stderr


def in_one_process(folder, *options):
    """The same of a sweep that starts no other process."""
    done = run_program(command(folder, *options)[1:], Path.cwd(), ENVIRONMENT)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def found(folder):
    """What the configuration alone decides, of each seed; every file of results is whole."""
    results = {path.parent.name: measures(read_json(path)) for path in folder.rglob("result.json")}
    assert not list(folder.rglob("*.lock"))
    return results


@pytest.fixture(scope="module")
def one_by_one(tmp_path_factory):
    folder = tmp_path_factory.mktemp("basic")
    in_one_process(folder, "hydra/launcher=basic")
    results = found(folder)
    assert sorted(results) == [f"seed-{seed}" for seed in range(4)]
    return results


@pytest.fixture(scope="module")
def in_twos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("twos")
    in_one_process(folder, "ensemble.size=2")
    return found(folder)


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    reason = missing()
    if reason:
        pytest.skip(reason)
    # Not pytest's own folder, which munge finds too open.
    folder = Path(tmp_path_factory.mktemp("slurm").anchor) / "tmp" / f"lid_vae-slurm-{os.getpid()}"
    folder.mkdir(mode=0o755)
    cluster = OneNodeSlurm(folder)
    cluster.start()
    yield cluster
    cluster.stop()
    subprocess.run(["rm", "-r", str(folder)], check=False)


def begin(folder, *options, environment=None):
    return subprocess.Popen(
        command(folder, *options),
        env={**ENVIRONMENT, **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finished(process, slurm):
    """The output of ``process``, whose jobs ``slurm`` runs: those put back are started until it has ended."""
    deadline = time.monotonic() + 400
    while True:
        try:
            return process.communicate(timeout=2)[0]
        except subprocess.TimeoutExpired:
            if time.monotonic() > deadline:
                process.kill()
                raise AssertionError(process.communicate()[0] + slurm.account()) from None
            slurm.hurry()


def until(condition, process=None):
    deadline = time.monotonic() + 400
    while not condition():
        assert process is None or process.poll() is None, process.stdout.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)


ENGINES = [("joblib", "joblib"), ("submitit_local", "submitit"), ("ray", "ray")]
# Of what one engine shows for all: the others are for a change of the launchers.
ONE = [
    pytest.param(*names, marks=pytest.mark.full if number else pytest.mark.slow) for number, names in enumerate(ENGINES)
]

# The tests of Slurm show it of submitit, and start its jobs in earnest.
BUT_SUBMITIT = [
    pytest.param(*names, marks=pytest.mark.full if "submitit" in names else pytest.mark.slow) for names in ENGINES
]


class TestOnThisMachine:
    @pytest.mark.parametrize(("launcher", "package"), BUT_SUBMITIT)
    def test_results_are_those_of_one_after_the_other(self, launcher, package, tmp_path, one_by_one):
        pytest.importorskip(package)
        sweep(tmp_path, f"hydra/launcher={launcher}")
        assert found(tmp_path) == one_by_one
        before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("result.json")}
        again = in_one_process(tmp_path, f"hydra/launcher={launcher}")  # as nothing is left to do
        assert again.count("Finished before") == 4
        assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("result.json")} == before

    @pytest.mark.parametrize(("launcher", "package"), ONE)
    def test_seeds_in_twos(self, launcher, package, tmp_path, in_twos):
        pytest.importorskip(package)
        sweep(tmp_path, f"hydra/launcher={launcher}", "ensemble.size=2")
        assert found(tmp_path) == in_twos

    @pytest.mark.parametrize(("launcher", "package"), ONE)
    def test_a_run_that_fails_hides_no_other(self, launcher, package, tmp_path, one_by_one):
        pytest.importorskip(package)
        # a file where the folder of seed 1 should be
        in_one_process(tmp_path / "first", "hydra/launcher=basic", "seed=0")
        name = next((tmp_path / "first").rglob("result.json")).parents[1].relative_to(tmp_path / "first")
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "seed-1").write_text("")
        process = begin(tmp_path / "runs", f"hydra/launcher={launcher}")
        out, _ = process.communicate()
        assert process.returncode == 1
        assert "1 of 4 runs failed; the others are finished" in out
        assert found(tmp_path / "runs") == {seed: one_by_one[seed] for seed in ("seed-0", "seed-2", "seed-3")}


@pytest.mark.slow
def test_a_sweep_is_spread_over_several_gpus_by_itself(tmp_path, in_twos):
    """The names of two devices suffice: each of two processes gets one, and a stack of two seeds (here on the CPU)."""
    out = sweep(tmp_path, environment={"CUDA_VISIBLE_DEVICES": "0,1"})
    assert "spread over 2 GPUs" in out
    assert "Seeds 0-1 train together" in out
    assert "Seeds 2-3 train together" in out
    assert found(tmp_path) == in_twos


@given(
    jobs=st.integers(1, 40), groups=st.integers(1, 6), devices=st.integers(1, 9), size=st.none() | st.integers(1, 12)
)
def test_jobs_are_divided_once_each_and_leave_no_device_idle(jobs, groups, devices, size):
    parts = divide(range(jobs), size, groups, devices)
    assert [job for part in parts for job in part] == list(range(jobs))
    assert all(parts)
    if size is None:
        assert len(parts) * groups >= min(devices, jobs * groups)
        assert max(map(len, parts)) - min(map(len, parts)) <= 1
    else:
        assert max(map(len, parts)) <= size


def test_without_devices_each_job_is_a_chunk():
    assert [list(part) for part in divide(range(3), None, 1, None)] == [[0], [1], [2]]


@pytest.mark.slow
def test_joblib_stops_with_every_run_saved(tmp_path):
    pytest.importorskip("joblib")
    options = ("hydra/launcher=joblib", "hydra.launcher.workers=2", "trainer.max_epochs=3000")
    process = begin(tmp_path, *options, "trainer.check_val_every_n_epoch=100")
    until(lambda: len(list(tmp_path.rglob("last.ckpt"))) == 2, process)  # two first validations: in the training
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 128 + signal.SIGINT, out
    assert len(list(tmp_path.rglob("last.ckpt"))) == 2
    assert not list(tmp_path.rglob("*.lock"))


@pytest.mark.slow
def test_joblib_begins_again_what_lost_its_process(tmp_path, one_by_one):
    pytest.importorskip("joblib")
    process = begin(tmp_path, "hydra/launcher=joblib", "hydra.launcher.workers=2")
    until(lambda: list(tmp_path.rglob("*.lock")), process)
    (lock, *_) = tmp_path.rglob("*.lock")
    os.kill(read_json(lock)["pid"], signal.SIGKILL)
    out, _ = process.communicate(timeout=600)
    assert process.returncode == 0, out
    assert found(tmp_path) == one_by_one


@pytest.mark.slurm
class TestSlurm:
    def test_results_are_those_of_one_after_the_other(self, slurm, tmp_path, one_by_one):
        sweep(tmp_path, "hydra/launcher=submitit_slurm", environment=slurm.environment)
        assert found(tmp_path) == one_by_one

    def test_seeds_in_twos(self, slurm, tmp_path, in_twos):
        sweep(tmp_path, "hydra/launcher=submitit_slurm", "ensemble.size=2", environment=slurm.environment)
        assert found(tmp_path) == in_twos

    def test_a_job_that_runs_out_of_time_goes_on(self, slurm, tmp_path):
        """SIGUSR2, as Slurm sends it before the limit: the job saves its step, goes back to the queue, and finishes."""
        options = ("seed=5", "trainer.max_epochs=600", "trainer.check_val_every_n_epoch=50")
        sweep(tmp_path / "reference", *options, "hydra/launcher=basic")
        process = begin(tmp_path / "runs", *options, "hydra/launcher=submitit_slurm", environment=slurm.environment)
        until(lambda: list((tmp_path / "runs").rglob("last.ckpt")), process)  # the first of twelve validations
        slurm.say("scancel", "--signal=USR2", "--user=root")
        until(slurm.hurry, process)
        out = finished(process, slurm)
        assert process.returncode == 0, out
        assert found(tmp_path / "runs") == found(tmp_path / "reference")
        logs = "".join(path.read_text() for path in (tmp_path / "runs" / ".submitit").rglob("*_log.*"))
        assert "Requeued job" in logs
        assert "Resuming from" in logs

    def test_one_run_over_two_tasks(self, slurm, tmp_path, one_by_one):
        """srun starts the processes, which find each other and train seed 0 as one process does."""
        options = (*TINY, "model=gmvae", "trainer=ddp", "trainer.devices=2", "trainer.accelerator=cpu")
        words = [sys.executable, str(ROOT / "train.py"), *options, f"paths.runs={tmp_path}"]
        environment = {**ENVIRONMENT, **slurm.environment}
        done = subprocess.run(
            ["srun", "--ntasks-per-node=2", *words], env=environment, capture_output=True, text=True, timeout=500
        )
        assert done.returncode == 0, done.stdout + done.stderr
        result = found(tmp_path)["seed-0"]
        assert result["ll"]["mean"] == pytest.approx(one_by_one["seed-0"]["ll"]["mean"], rel=1e-3)
        assert done.stdout.count("result  ") == 1


def test_devices_by_rotation(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3, GPU-aa,5")
    assert visible_devices("auto") == ["3", "GPU-aa", "5"]
    assert visible_devices("cpu") == []
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert visible_devices("auto") == []
