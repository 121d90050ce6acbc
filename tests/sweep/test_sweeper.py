"""All jobs are launched, whatever becomes of each."""

import pytest
from hydra.core.utils import JobReturn, JobStatus

from lid_vae.errors import UserError
from lid_vae.sweep.sweeper import RunFailed, SweepFailed, distinct_but_for_seed, launch_all, parameters


class Launcher:
    """Fails the jobs it is told to, and remembers what it was given."""

    def __init__(self, failing):
        self.failing = failing
        self.launched = []

    def launch(self, batch, initial_job_idx):
        self.launched.append((initial_job_idx, batch))
        return [self.result(job) for job in batch]

    def result(self, job):
        error = self.failing.get(job[0])
        status = JobStatus.COMPLETED if error is None else JobStatus.FAILED
        return JobReturn(overrides=job, status=status, _return_value=error)


BATCHES = [[["seed=0"], ["seed=1"]], [["seed=2"]]]


def test_every_batch_is_launched_and_failures_are_listed():
    launcher = Launcher({"seed=0": RunFailed("Unlucky."), "seed=2": KeyError("lost\nmore")})
    with pytest.raises(SweepFailed) as failed:
        launch_all(launcher, BATCHES, check=lambda jobs: None)
    assert launcher.launched == [(0, BATCHES[0]), (2, BATCHES[1])]
    first, *lines = str(failed.value).splitlines()
    assert first.startswith("2 of 3 runs failed")
    assert lines == ["  seed=0: Unlucky.", "  seed=2: KeyError: 'lost\\nmore'"]


def test_runs_that_failed_alike_share_a_reason():
    alike = RunFailed("No data.")
    with pytest.raises(SweepFailed) as failed:
        launch_all(Launcher({f"seed={seed}": alike for seed in range(3)}), BATCHES, check=lambda jobs: None)
    assert str(failed.value).splitlines()[1:] == ["  seed=0", "  seed=1", "  seed=2: No data."]


def test_results_in_order_when_all_is_well():
    results = launch_all(Launcher({}), BATCHES, check=lambda jobs: None)
    assert [[result.overrides for result in batch] for batch in results] == BATCHES


def test_nothing_is_launched_when_a_later_batch_is_wrong():
    def check(jobs):
        if ["seed=2"] in jobs:
            raise UserError("wrong")

    launcher = Launcher({})
    with pytest.raises(UserError, match="wrong"):
        launch_all(launcher, BATCHES, check)
    assert launcher.launched == []


def test_seeds_alone_are_checked_once():
    jobs = [[f"model={model}", f"seed={seed}"] for model in ("vae", "lidvae") for seed in range(3)]
    assert distinct_but_for_seed(jobs) == [["model=vae", "seed=0"], ["model=lidvae", "seed=0"]]


def test_parameters_of_a_file():
    assert parameters({"seed": "0-2,7", "model": "vae,lidvae"}) == ["seed=0,1,2,7", "model=vae,lidvae"]
    assert parameters({"seed": "range(0,3)"}) == ["seed=range(0,3)"]
    assert parameters(None) == []
    with pytest.raises(UserError, match="backwards"):
        parameters({"seed": "9-0"})


def test_the_end_is_called_once_also_after_failures():
    calls = []
    with pytest.raises(SweepFailed):
        launch_all(Launcher({"seed=0": KeyError()}), BATCHES, lambda jobs: None, finish=lambda: calls.append("end"))
    assert calls == ["end"]
