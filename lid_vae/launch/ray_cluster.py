"""Chunks of a sweep over a Ray cluster, or over this machine as one; fractions of a GPU are Ray's to give."""

import os
from contextlib import chdir

from lid_vae.errors import UserError
from lid_vae.launch.chunk import Chunk, Outcomes, default_threads, lost, with_threads
from lid_vae.system.invocation import ROOT

__all__ = ["run_ray"]


def run_ray(chunks: list[Chunk], address: str | None, cpus: float, gpus: float | None, retries: int) -> Outcomes:
    """The outcomes of ``chunks``, each of ``cpus`` cores and ``gpus`` (None: one where there is any).

    ``retries``: how often one is begun again whose process was lost.

    ``address``: of a running cluster (``auto`` finds it); None: one is started here, and ends with the sweep. The
    project and the folder of runs must have the same path on every node.
    """
    try:
        import ray
    except ImportError as error:
        raise UserError("hydra/launcher=ray needs Ray. Install it: pip install 'lid_vae[ray]'.") from error

    asked = os.environ.get("OMP_NUM_THREADS", "")
    threads = default_threads(1) if asked.isdigit() else max(1, int(cpus))
    names = ("PYTHONPATH", "PYTHONSAFEPATH", "LID_VAE_DATA", "WANDB_MODE")
    environment = {name: os.environ[name] for name in names if name in os.environ}
    ours = not ray.is_initialized()
    if ours:
        board = None if address else False
        with chdir(ROOT):  # workers import from where this is called, before all else
            ray.init(address=address, runtime_env={"env_vars": environment}, include_dashboard=board)
    try:
        if gpus is None:
            gpus = min(1.0, ray.cluster_resources().get("GPU", 0.0)) if chunks[0].plan.accelerator != "cpu" else 0.0
        remote = ray.remote(_run).options(num_cpus=cpus, num_gpus=gpus, max_retries=retries)
        handles = {remote.remote(chunk): chunk for chunk in with_threads(chunks, threads)}
        outcomes: Outcomes = {}
        waiting = list(handles)
        try:
            while waiting:
                ready, waiting = ray.wait(waiting, num_returns=1)
                for handle in ready:
                    try:
                        outcomes |= ray.get(handle)
                    except ray.exceptions.RayError as error:
                        outcomes |= lost(handles[handle], f"Its process was lost: {type(error).__name__}")
        except BaseException:
            for handle in waiting:
                ray.cancel(handle, force=False)  # as Ctrl-C: every run saves its step
            ray.wait(waiting, num_returns=len(waiting), timeout=60)
            raise
    finally:
        if ours:
            ray.shutdown()
    return outcomes


def _run(chunk: Chunk) -> Outcomes:
    return chunk()
