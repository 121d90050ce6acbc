"""A run over several devices: it is the run of one device with the same batch, and ends as one, however it ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from pytorch_lightning.plugins.environments import LightningEnvironment
from runs import TINY, Programs, measures

from lid_vae.data.split import Batch
from lid_vae.data.stream import SharedLoader, SharedStream
from lid_vae.errors import UserError
from lid_vae.system.checkpoint import load_checkpoint
from lid_vae.system.files import read_json
from lid_vae.system.lock import lock_path
from lid_vae.system.process_group import ProcessGroup
from lid_vae.system.processes import ALONE, ProcessPlace, average, sharing

ROOT = Path(__file__).parents[2]
# In double precision, so that what is left of a difference is the order of sums; several batches for each process.
EXACT = (*TINY, "trainer.precision=64-true", "trainer.accelerator=cpu", "data.eval_batch_size=10")
TWO = ("trainer=ddp", "trainer.devices=2")
# The group ``trainer`` is chosen on the command line, so that its options must stand after it.
SHARED = (*EXACT, *TWO)


@pytest.fixture
def programs(tmp_path):
    return Programs(tmp_path)


def close(value, other, relative=1e-9):
    """Whether two results agree to rounding, number by number."""
    if isinstance(value, dict):
        return value.keys() == other.keys() and all(close(value[key], other[key], relative) for key in value)
    if isinstance(value, list):
        return len(value) == len(other) and all(close(a, b, relative) for a, b in zip(value, other, strict=True))
    if isinstance(value, float):
        return value == pytest.approx(other, rel=relative, abs=1e-12)
    return value == other


def weights(folder):
    return load_checkpoint(folder / "checkpoints" / "last.ckpt")["state_dict"]


def assert_same_run(two, one):
    """Weights, Adam's moments and all measures."""
    assert two.result["devices"] == 2
    assert one.result["devices"] == 1
    assert close(measures(two.result), measures(one.result))
    for name, value in weights(one.folder).items():
        assert torch.allclose(weights(two.folder)[name], value, rtol=1e-9, atol=1e-12), name
    moments = [load_checkpoint(run.folder / "checkpoints" / "last.ckpt")["optimizer_states"] for run in (two, one)]
    for ours, theirs in zip(*moments, strict=True):
        for key, state in theirs["state"].items():
            # the mean of the gradients so far, and of their squares: of the processes' joint gradient
            assert torch.allclose(ours["state"][key]["exp_avg"], state["exp_avg"], rtol=1e-7, atol=1e-12)
            assert torch.allclose(ours["state"][key]["exp_avg_sq"], state["exp_avg_sq"], rtol=1e-7, atol=1e-14)


@pytest.mark.slow
def test_two_processes_are_one_with_the_joint_batch(programs, tmp_path):
    two = programs.train(tiny=SHARED)
    one = Programs(tmp_path / "one").train(tiny=EXACT)
    assert_same_run(two, one)
    assert "LOCAL_RANK" not in os.environ
    assert not torch.distributed.is_initialized()
    # One process evaluates what two have trained.
    assert close(programs.evaluate(two.folder / "checkpoints" / "best.ckpt").result["ll"], two.result["ll"], 1e-5)


SHOWN = [
    ("model=lagging_vae", "inference.window=2", "inference.most=6", "inference.patience=2"),
    ("model=gmvae", "family.mixture=enumerate"),
    ("model=vae", "family.context=true"),
    ("model=vae", "data.eval_batch_size=1000"),  # one batch, which each process evaluates
]
# Nothing of these is shared in a way of its own: for a change of the processes.
BESIDE = [
    ("model=vae", "family=gaussian", "objective=importance_weighted"),
    ("model=lidgmvae", "map=gradient_network", "data=digits"),
]


@pytest.mark.parametrize(
    "options",
    [
        *(pytest.param(options, marks=pytest.mark.slow) for options in SHOWN),
        *(pytest.param(options, marks=pytest.mark.full) for options in BESIDE),
    ],
    ids=lambda options: options[0] + " " + options[-1],
)
def test_two_processes_are_one_whatever_is_trained(programs, tmp_path, options):
    points = ("data.per_class", "data.test_size")  # options of the pinwheel
    keep = [option for option in EXACT if not (options[-1] == "data=digits" and option.startswith(points))]
    two = programs.train(*options, tiny=(*keep, *TWO))
    assert_same_run(two, Programs(tmp_path / "one").train(*options, tiny=tuple(keep)))


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [("model=sa_vae",), ("model=lidsvae", "data=synthetic_text", "data.train_size=64", "likelihood.dropout=0.1")],
)
def test_what_draws_for_each_share_trains_too(programs, options):
    """SA-VAE refines on the draws of a neighbour in the share, dropout differs between shares: no sum to compare."""
    keep = [option for option in EXACT if options[0] == "model=sa_vae" or not option.startswith("data.")]
    assert programs.train(*options, tiny=(*keep, *TWO)).result["devices"] == 2


@pytest.mark.slow
def test_a_sweep_is_run_once_with_processes_for_each_run(programs, tmp_path):
    sweep = programs.train("-m", "seed=0-1", tiny=SHARED)
    assert sweep.status == 0, sweep.err
    assert "Seeds 0-1 train one after the other: each takes 2 devices" in sweep.out
    paths = sorted(programs.folder.rglob("result.json"))
    assert [path.parent.name for path in paths] == ["seed-0", "seed-1"]
    for path in paths:
        alone = Programs(tmp_path / path.parent.name).train(f"seed={path.parent.name[5:]}", tiny=EXACT)
        assert close(measures(read_json(path)), measures(alone.result))


def command(folder, *options):
    return [sys.executable, str(ROOT / "train.py"), *SHARED, f"paths.runs={folder}", *options]


def begin(folder, *options):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.Popen(
        command(folder, *options), env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def others(pid):
    """The processes that ``pid`` has started."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == pid and b"lid_vae.run.follow" in (path / "cmdline").read_bytes():
                found.append(int(path.name))
        except OSError:  # it has ended
            pass
    return found


def in_training(folder, process):
    """Waits for the first of ten validations."""
    deadline = time.monotonic() + 300
    while not list(folder.rglob("last.ckpt")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


LONG = ("trainer.max_epochs=80", "trainer.check_val_every_n_epoch=8", "trainer.log_every_n_steps=1000")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    return measures(Programs(tmp_path_factory.mktemp("one")).train(*LONG, tiny=EXACT).result)


@pytest.mark.slow
def test_a_signal_saves_the_step_of_all_processes(tmp_path, undisturbed):
    process = begin(tmp_path / "runs", *LONG)
    in_training(tmp_path, process)
    started = others(process.pid)
    assert len(started) == 1
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 128 + signal.SIGTERM, out + err
    assert "Traceback" not in err
    assert not Path(f"/proc/{started[0]}").exists()
    (last,) = tmp_path.rglob("last.ckpt")
    assert load_checkpoint(last)["lid_vae"]["step"] % 4 != 0  # within an epoch
    assert not lock_path(last.parents[1]).exists()
    resumed = begin(tmp_path / "runs", *LONG)
    out, err = resumed.communicate(timeout=300)
    assert resumed.returncode == 0, err
    assert "Resuming from" in out
    (path,) = (tmp_path / "runs").rglob("result.json")
    assert close(measures(read_json(path)), undisturbed, 1e-6)


@pytest.mark.slow
def test_a_process_that_dies_ends_the_run_in_a_paragraph(tmp_path):
    process = begin(tmp_path, *LONG)
    in_training(tmp_path, process)
    os.kill(others(process.pid)[0], signal.SIGKILL)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 1, out + err
    assert "Process 1 of 1 beside the first was ended by signal 9. The same command goes on" in err
    (last,) = tmp_path.rglob("last.ckpt")
    load_checkpoint(last)


@pytest.mark.slow
def test_the_first_process_takes_the_others_with_it(tmp_path):
    process = begin(tmp_path, *LONG)
    in_training(tmp_path, process)
    (other,) = others(process.pid)
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 30
    while Path(f"/proc/{other}").exists() and "Z" not in Path(f"/proc/{other}/stat").read_text().rpartition(")")[2][:3]:
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.slow
def test_processes_that_torchrun_has_started(tmp_path, programs):
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}

    def go(*options):
        words = command(tmp_path / "torchrun", *options)[1:]
        return subprocess.run([*torchrun, *words], env=environment, capture_output=True, text=True, timeout=300)

    first = go()
    assert first.returncode == 0, first.stderr
    (path,) = (tmp_path / "torchrun").rglob("result.json")
    assert close(measures(read_json(path)), measures(programs.train(tiny=EXACT).result))
    assert first.stdout.count("result  ") == 1
    again = go()
    assert again.returncode == 0, again.stderr
    assert again.stdout.count("Finished before") == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("-m", "seed=0-1"), "Each of the 2 processes that were started would run the whole sweep"),
        (("trainer.devices=3",), "and 2 were started. Let the two agree"),
    ],
)
def test_refused_where_torchrun_has_started_processes(programs, monkeypatch, options, message):
    started = {"TORCHELASTIC_RUN_ID": "one", "WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0", "GROUP_RANK": "0"}
    for name, value in {**started, "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)
    refused = programs.train(*options, tiny=SHARED)
    assert refused.status == 1
    assert message in refused.err
    assert "Traceback" not in refused.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("data.batch_size=63",), "cannot be divided among 2 devices"),
        (("model=bn_vae",), "BatchNormPosterior takes averages over a batch"),
        (("objective=free_bits",), "FreeBits takes averages over a batch"),
        (("likelihood=optimal_gaussian",), "OptimalGaussianLikelihood takes averages over a batch"),
        (("trainer.strategy=fsdp",), "trainer.strategy=fsdp is not known here"),
        (("trainer.num_nodes=2",), "srun --nodes=2 --ntasks-per-node=2"),
        (("trainer.devices=some",), "trainer.devices=some is not known"),
    ],
)
def test_refused_over_several_devices(programs, monkeypatch, options, message):
    """Before other processes are started, each of which would import PyTorch first."""
    monkeypatch.setattr(ProcessGroup, "_start", lambda *_: pytest.fail("processes were started"))
    assert message in programs.train(*options, tiny=SHARED).paragraph
    assert not torch.distributed.is_initialized()
    assert "LOCAL_RANK" not in os.environ


class Numbers:
    """A stream whose batches are rows of numbers, and a loader of five."""

    def __len__(self):
        return 5

    def batch(self, step, draw=0):
        x = torch.arange(6.0).unsqueeze(1) + 10 * step + 100 * draw
        return Batch(x, torch.arange(6), torch.arange(6))

    def __iter__(self):
        return (self.batch(step) for step in range(5))


@pytest.mark.parametrize("size", [1, 2, 3, 6])
def test_shares_of_a_batch_make_it_whole(size):
    shares = [SharedStream(Numbers(), ProcessPlace(rank, size)).batch(3, 1) for rank in range(size)]
    assert torch.equal(torch.cat([share.x for share in shares]), Numbers().batch(3, 1).x)
    assert torch.equal(torch.cat([share.y for share in shares]), torch.arange(6))
    loaders = [SharedLoader(Numbers(), ProcessPlace(rank, size)) for rank in range(size)]
    assert sum(len(loader) for loader in loaders) == 5
    assert [len(list(loader)) for loader in loaders] == [len(loader) for loader in loaders]
    seen = sorted(float(batch.x[0]) for loader in loaders for batch in loader)
    assert seen == [0.0, 10.0, 20.0, 30.0, 40.0]


def test_shares_that_do_not_divide_are_refused():
    with pytest.raises(UserError, match="A batch of 6 examples cannot be divided among 4 devices"):
        SharedStream(Numbers(), ProcessPlace(0, 4)).batch(0)


def test_one_process_is_alone():
    assert sharing(3) == ALONE
    value = torch.tensor(2.0, requires_grad=True)
    assert average(value) is value
    group = ProcessGroup(1, 1, False, LightningEnvironment())
    assert group.agree(None) is None
    assert group.agree(15) == 15
    assert not group.external
    assert group.trainer_options("ddp") == {"strategy": "auto"}
