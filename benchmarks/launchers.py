"""What a launcher adds to each run of a sweep, in seconds of wall-clock time.

    python benchmarks/launchers.py --jobs 6                                     # basic, joblib, submitit_local, ray
    python benchmarks/launchers.py --launchers basic joblib submitit_slurm      # on a cluster, or see below

Runs that take a moment, one thread each and one at a time (but those of submitit_local, which begin all at once). The
share of a run is the time of a sweep of ``--jobs`` less that of a sweep of one, divided by the difference; the rest
stands once for each sweep. Without a cluster ``submitit_slurm`` is run on a Slurm of one node, started from
tests/launch/slurm.py (by root, where slurm-wlm and munge are installed). Wants a machine on which nothing else runs.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import ROOT, options_of, publish, table

RUN = (
    "data.per_class=60", "data.valid_size=50", "data.test_size=60", "data.batch_size=64", "trainer.max_epochs=1",
    "width=8", "samples=4", "model=gmvae", "logger=none", "callbacks.panels.every=0",
)  # fmt: skip
MORE = {
    "joblib": ("hydra.launcher.workers=1",),
    "submitit_slurm": ("hydra.launcher.options.slurm_array_parallelism=1",),
}


@contextmanager
def cluster(launchers: list[str]) -> Iterator[dict[str, str]]:
    """What the environment of a sweep needs: nothing, or a Slurm of one node for as long as this lasts."""
    if "submitit_slurm" not in launchers or os.environ.get("SLURM_CONF") or Path("/etc/slurm/slurm.conf").exists():
        yield {}
        return
    sys.path.insert(0, str(ROOT / "tests" / "sweep"))
    from slurm import OneNodeSlurm

    with tempfile.TemporaryDirectory(prefix="lid_vae-slurm-") as name:
        Path(name).chmod(0o755)
        slurm = OneNodeSlurm(Path(name) / "cluster")
        slurm.folder.mkdir()
        slurm.start()
        try:
            yield slurm.environment
        finally:
            slurm.stop()


def seconds(launcher: str, jobs: int, rounds: int, environment: dict[str, str]) -> float:
    """Of a sweep from start to end; the least of some."""
    times = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            words = [*RUN, f"paths.runs={folder}", f"hydra/launcher={launcher}", *MORE.get(launcher, ())]
            start = time.perf_counter()
            subprocess.run(
                [sys.executable, str(ROOT / "train.py"), "-m", f"seed=0-{jobs - 1}" if jobs > 1 else "seed=0", *words],
                check=True,
                capture_output=True,
                env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
            )
            times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    parser = options_of(__doc__, jobs=6, rounds=2)
    parser.add_argument("--launchers", nargs="+", default=["basic", "joblib", "submitit_local", "ray"])
    options = parser.parse_args()
    if options.jobs < 2:
        parser.error("What each further run takes needs a further run: --jobs 2 or more.")
    found = {}
    with cluster(options.launchers) as environment:
        for launcher in options.launchers:
            one, many = (seconds(launcher, jobs, options.rounds, environment) for jobs in (1, options.jobs))
            found[launcher] = one, (many - one) / (options.jobs - 1)
    base = found.get("basic", (0.0, 0.0))
    rows = [
        [f"`hydra/launcher={name}`", f"{one:.1f}", f"{each:.2f}", f"{one - base[0]:+.1f}", f"{each - base[1]:+.2f}"]
        for name, (one, each) in found.items()
    ]
    header = ["launcher", "sweep of one run, s", "each further run, s", "a sweep over basic", "a run over basic"]
    note = f"One run, then {options.jobs}; the least of {options.rounds} rounds."
    publish("Launchers", options, [note, "", *table(header, rows)])


if __name__ == "__main__":
    main()
