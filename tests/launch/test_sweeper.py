"""Each combination is one run of all its seeds, cut where a launcher asks for it; all are launched, come what may."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, JobStatus
from hydra.types import RunMode
from hypothesis import given
from hypothesis import strategies as st

from lid_vae.errors import UserError
from lid_vae.launch.sweeper import (
    RunFailed,
    Sweep,
    SweepFailed,
    configuration,
    divide,
    launch_all,
    parameters,
    seeds_of,
    split_seeds,
)
from lid_vae.run.store import own_presets


class Launcher:
    """Fails the jobs it is told to, and remembers what it was given. Foreign: it does not say how to cut."""

    def __init__(self, failing=()):
        self.failing = dict(failing)
        self.launched = []

    def launch(self, batch, initial_job_idx):
        self.launched.append((initial_job_idx, batch))
        return [self.result(job) for job in batch]

    def result(self, job):
        error = self.failing.get(job[-1])
        status = JobStatus.COMPLETED if error is None else JobStatus.FAILED
        return JobReturn(overrides=job, status=status, _return_value=error)


class Ours(Launcher):
    """One that takes all seeds of a run, two in a job."""

    def cut(self, cfg, seeds, groups):
        return divide(seeds, 2, groups, None)


@pytest.fixture
def sweep(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    presets = own_presets()
    return Sweep(lambda job: presets.loader.load_configuration("train", job, RunMode.MULTIRUN), presets)


BATCHES = [[["model=vae"]], [["model=gmvae"]]]


def test_every_batch_is_launched_and_failures_are_listed(sweep):
    launcher = Launcher({"seed=0": RunFailed("Unlucky."), "seed=7": KeyError("lost\nmore")})
    with pytest.raises(SweepFailed) as failed:
        launch_all(launcher, BATCHES, [0, 7], sweep)
    vae, gmvae = ([[f"model={model}", "seed=0"], [f"model={model}", "seed=7"]] for model in ("vae", "gmvae"))
    assert launcher.launched == [(0, vae), (2, gmvae)], "a launcher that is not ours has one seed in each job"
    first, *lines = str(failed.value).splitlines()
    assert first == "4 of 4 runs failed:"
    assert lines[:2] == ["  model=vae seed=0: Unlucky.", "  model=vae seed=7: KeyError: 'lost\\nmore'"]


def test_our_launchers_take_several_seeds_and_say_which_have_failed(sweep):
    launcher = Ours({"seed=[2,3]": RunFailed("Unlucky.", {3: "Unlucky."})})
    with pytest.raises(SweepFailed) as failed:
        launch_all(launcher, [[["model=vae"]]], [0, 1, 2, 3, 4], sweep)
    ((_, jobs),) = launcher.launched
    assert jobs == [["model=vae", "seed=[0,1]"], ["model=vae", "seed=[2,3]"], ["model=vae", "seed=4"]]
    assert str(failed.value).splitlines() == [
        "1 of 5 runs failed; the others are finished:",
        "  model=vae seed=3: Unlucky.",
    ]


def test_runs_that_failed_alike_share_a_reason(sweep):
    launcher = Ours({"seed=[0,1]": RunFailed("No data."), "seed=2": RunFailed("No data.")})
    with pytest.raises(SweepFailed) as failed:
        launch_all(launcher, [[["model=vae"]]], [0, 1, 2], sweep)
    lines = ["  model=vae seed=0", "  model=vae seed=1", "  model=vae seed=2: No data."]
    assert str(failed.value).splitlines()[1:] == lines


def test_results_in_order_when_all_is_well(sweep):
    results = launch_all(Launcher(), BATCHES, [], sweep)
    assert [[result.overrides for result in batch] for batch in results] == BATCHES


@pytest.mark.parametrize("seeds", [[], [3], [0, 1]])
def test_the_first_job_is_composed_once(sweep, seeds):
    """Hydra takes its time for it, and the first line waits; of the others nothing is kept."""
    composed = []

    def compose(job):
        composed.append(job)
        return sweep.compose(job)

    launcher = Ours()
    launch_all(launcher, BATCHES, seeds, Sweep(compose, sweep.presets))
    first, second = (job for _, jobs in launcher.launched for job in jobs)
    assert configuration(first, compose) == sweep.compose(list(first))
    assert composed == [first, second]
    assert configuration(second, compose) == sweep.compose(list(second))
    assert composed == [first, second, second]


def test_nothing_is_launched_when_a_later_batch_is_wrong(sweep):
    launcher = Launcher()
    with pytest.raises(Exception, match="nonsense"):
        launch_all(launcher, [[["model=vae"]], [["model=nonsense"]]], [0], sweep)
    assert launcher.launched == []


def test_what_the_seeds_are():
    def split(*texts):
        seeds, others = split_seeds(OverridesParser.create().parse_overrides(list(texts)))
        return seeds, [other.input_line for other in others]

    assert split("model=vae", "seed=range(0,3)") == ([0, 1, 2], ["model=vae"])
    assert split("seed=4,2", "model=a,b") == ([4, 2], ["model=a,b"])
    assert split("seed=3") == ([3], [])
    assert split("seed=[1,2]", "x=1") == ([1, 2], ["x=1"])
    assert split("seed=0,1", "seed=5") == ([5], [])
    assert split("seed=${other}") == ([], ["seed=${other}"])
    assert split("data.seed=1,2") == ([], ["data.seed=1,2"])


@given(st.lists(st.integers(0, 99), min_size=1, max_size=9, unique=True))
def test_a_job_names_its_seeds(seeds):
    assert seeds_of(["model=vae", f"seed=[{','.join(map(str, seeds))}]"]) == seeds
    assert seeds_of([f"seed={seeds[0]}"]) == seeds[:1]
    assert seeds_of(["data.seed=1"]) == []


def test_parameters_of_a_file():
    assert parameters({"seed": "0-2,7", "model": "vae,lidvae"}) == ["seed=0,1,2,7", "model=vae,lidvae"]
    assert parameters({"seed": "range(0,3)"}) == ["seed=range(0,3)"]
    assert parameters(None) == []
    with pytest.raises(UserError, match="backwards"):
        parameters({"seed": "9-0"})


def test_the_end_is_called_once_also_after_failures(sweep):
    calls = []
    with pytest.raises(SweepFailed):
        launch_all(Launcher({"seed=0": KeyError()}), BATCHES, [0], sweep, finish=lambda: calls.append("end"))
    assert calls == ["end"]
