"""For every test: signatures checked at run time, one thread, and properties searched repeatably."""

import gc
import os
import signal
from collections.abc import Iterator

# Before PyTorch and NumPy are there: one thread for each of the processes that share the machine, and for all that they
# start; threads that wait for each other cost more than they bring to tensors as small as these.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import jaxtyping
import pytest
import torch
from composing import composed_faster
from hypothesis import HealthCheck, settings
from signatures import begin_anew, check_signatures

# Rooms whose arguments are tensors and options; those above take Hydra's containers, which beartype cannot read.
CHECKED = (
    "classical",
    "data",
    "diagnosis",
    "distribution",
    "inference",
    "likelihood",
    "log",
    "map",
    "measure",
    "metrics",
    "noise",
    "objective",
    "picture",
    "posterior",
    "prior",
    "text",
    "train",
    "vae",
)
check_signatures([f"lid_vae.{room}" for room in CHECKED])

settings.register_profile(
    "repeatable",
    derandomize=True,
    deadline=None,
    max_examples=25,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.differing_executors],
)
settings.load_profile("repeatable")


def pytest_configure(config: pytest.Config) -> None:
    # torch.func.jacfwd scripts a function when it is first called, which some releases of PyTorch call deprecated.
    config.addinivalue_line("filterwarnings", "ignore:.torch.jit.script. is deprecated:FutureWarning")
    # Lightning's hint on machines that have a Slurm.
    config.addinivalue_line("filterwarnings", "ignore:The `srun` command is available")
    # Lightning asks for leaves in a way that PyTorch calls deprecated.
    config.addinivalue_line("filterwarnings", "ignore:.*LeafSpec.*:FutureWarning")
    # Lightning's advice to start everything by srun, on a machine that has it.
    config.addinivalue_line("filterwarnings", "ignore:The `srun` command is available")


@pytest.fixture(autouse=True, scope="session")
def ctrl_c_is_heard() -> None:
    """A background job of a shell is started deaf to Ctrl-C, and so would the tests of it be."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True, scope="session")
def cycles_are_looked_for_later() -> Iterator[None]:
    """Imported modules are half a million objects that stay: to go through them was a thirtieth of all tests' time."""
    before = gc.get_threshold()
    gc.set_threshold(50_000, 10, 10)
    yield
    gc.set_threshold(*before)


@pytest.fixture(autouse=True, scope="session")
def no_power_fails() -> Iterator[None]:
    """What is written need not reach the disk: a tiny run asks for that fifty times, an eighth of its time and more."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture(autouse=True, scope="session")
def configurations_are_composed_faster() -> Iterator[None]:
    with composed_faster():
        yield


@pytest.fixture(autouse=True)
def signatures_of_each_test() -> None:
    begin_anew()


@pytest.fixture(autouse=True)
def unchecked_where_refused(request: pytest.FixtureRequest) -> Iterator[None]:
    """Tests of what is refused give wrong names and shapes on purpose: there the program's own checks must speak."""
    if "refused" not in request.node.name:
        yield
        return
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
