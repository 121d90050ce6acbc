"""Steps of a stack of seeds beside other work, by how long a thread that waits for another spins before it sleeps.

    python benchmarks/busy.py                           # four pinwheel seeds, beside a spinning process for each core
    python benchmarks/busy.py --seconds 3 --rounds 1    # a quick look

OpenMP's threads spin while they wait, as another's part of a product soon ends on a quiet machine. Beside other work it
is the part of a thread that does not run, which has the core that the spinning one holds. GNU OpenMP reads
``GOMP_SPINCOUNT`` when it is loaded, so every candidate is a process of its own; all take turns, quiet and busy.
"""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter

from bench import ROOT, options_of, publish, table

WARM = 5
DEFAULT = "default"


def steps(options: Sequence[str], seeds: int, seconds: float) -> float:
    """Milliseconds of a step in this process, the mean over so many ``seconds``."""
    from seeds import bare, configurations

    from lid_vae.run.build import build_data

    configs = configurations(options, seeds)
    step = bare(configs, build_data(configs[0]["data"]))
    for _ in range(WARM):
        step()
    start, done = perf_counter(), 0
    while perf_counter() - start < seconds:
        step()
        done += 1
    return 1000 * (perf_counter() - start) / done


@contextmanager
def hogs(count: int) -> Iterator[None]:
    """Beside so many processes that do nothing but work, each in a session of its own."""
    working = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"], start_new_session=True) for _ in range(count)
    ]
    try:
        yield
    finally:
        for process in working:
            process.kill()
            process.wait()


def measured(threads: int, spins: str, words: Sequence[str]) -> float:
    """Milliseconds of a step in a process of so many ``threads`` that spin so often."""
    environment = {
        name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    }
    environment |= {"OMP_NUM_THREADS": str(threads)} | ({} if spins == DEFAULT else {"GOMP_SPINCOUNT": spins})
    command = [sys.executable, __file__, "--child", *words]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    if done.returncode:
        print(done.stderr[-2000:], file=sys.stderr)
        done.check_returncode()
    return float(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    parser = options_of(__doc__, seeds=4, seconds=8.0, rounds=3, hogs=os.cpu_count() or 1)
    parser.add_argument("--spins", nargs="+", default=["1000", "10000", "30000", "100000", DEFAULT])
    parser.add_argument("--options", nargs="+", default=["model=lidgmvae"], help="of train.py")
    parser.add_argument("--child", action="store_true", help="measures in this process, and prints milliseconds")
    options = parser.parse_args()
    if options.child:
        print(json.dumps(steps(options.options, options.seeds, options.seconds)))
        return
    words = ["--seeds", str(options.seeds), "--seconds", str(options.seconds), "--options", *options.options]
    candidates = dict.fromkeys([(1, DEFAULT), *((options.threads, spins) for spins in options.spins)])
    times: dict[tuple[int, str, int], list[float]] = {}
    for _ in range(options.rounds):
        for beside in (0, options.hogs):
            for threads, spins in candidates:
                with hogs(beside):
                    took = measured(threads, spins, words)
                times.setdefault((threads, spins, beside), []).append(took)
                print(f"{threads} threads, spins {spins}, {beside} hogs: {took:.1f} ms", file=sys.stderr, flush=True)
    last = (options.threads, options.spins[-1])
    quiet = statistics.median(times[*last, 0])
    rows = []
    for threads, spins in candidates:
        alone, busy = (statistics.median(times[threads, spins, beside]) for beside in (0, options.hogs))
        rows.append([f"{threads}", spins, f"{alone:.1f}", f"{alone / quiet:.2f}", f"{busy:.1f}", f"{busy / alone:.1f}"])
    header = [
        "threads",
        "spins",
        "quiet, ms",
        f"over {last[0]} threads, {last[1]}",
        "busy, ms",
        "busy over quiet",
    ]
    what = f"Steps of {options.seeds} seeds of `train.py {' '.join(options.options)}` as one stack"
    lines = [
        f"{what}: milliseconds,",
        f"medians of {options.rounds} processes of {options.seconds:g} seconds each.",
        f"Busy: beside {options.hogs} processes that do nothing but work.",
        "Spins: default is GNU OpenMP's own.",
        "",
        *table(header, rows),
    ]  # fmt: skip
    publish("A stack on a busy machine", options, lines)


if __name__ == "__main__":
    main()
