"""What the host does around a step that a device replays: all of a training step but the step itself, on a CPU.

    python benchmarks/host_share.py --threads 1

The recorded kernels are not done again, so that what is left is the program's and Lightning's: batch, noise, schedules,
checks, logs. Noise and pixels are drawn in earnest, which a GPU does beside the host. Three ways take turns: a batch of
Lightning's for each step and a generator for each seed and step; spans of steps; spans whose numbers are counted, as on
a GPU.
"""

import statistics
from collections.abc import Callable

from bench import TakingTurns, begin, by_lightning, options_of, publish, table
from seeds import configurations, ensemble

from lid_vae import noise
from lid_vae.run.build import build_data
from lid_vae.train.step import captured, spans

OPTIONS = [
    "model=lidgmvae", "data=pinwheel", "data.per_class=4000", "data.batch_size=128", "hidden_layers=2", "width=32",
]  # fmt: skip
WAYS = {
    "a batch a step, generators": (1, set()),
    "spans, generators": (spans.MOST, set()),
    "spans, counted": (spans.MOST, {"cpu"}),
}


def once(work: Callable[[], None]) -> Callable[[], None]:
    """A record whose replay, but for the first that is held against the plain step, does nothing."""
    work()
    left = [work]

    def replay() -> None:
        if left:
            left.pop()()

    return replay


def main() -> None:
    parser = options_of(__doc__, seeds=10, turns=10, rounds=3)
    options = parser.parse_args()
    begin(options)
    captured.RECORDS["cpu"] = once
    configs = configurations(OPTIONS, options.seeds)
    data = build_data(configs[0]["data"])
    found: dict[str, list[float]] = {name: [] for name in WAYS}
    longest = dict.fromkeys(WAYS, 0)
    for _ in range(options.rounds):
        for name, (most, kinds) in WAYS.items():
            spans.MOST, noise.COUNTED = most, kinds
            turns = TakingTurns("ours", dict, 50)
            seconds = by_lightning(*ensemble(configs, data), options.turns, turns)["ours"].median_wall
            assert turns.captured is not None
            assert turns.captured.captures
            found[name].append(1e6 * seconds / turns.length)
            longest[name] = turns.longest
    first = statistics.median(found["a batch a step, generators"])
    rows = []
    for name, times in found.items():
        median = statistics.median(times)
        rows.append(
            [name, longest[name], f"{median:.0f}", f"{min(times):.0f} to {max(times):.0f}", f"{median / first:.2f}"]
        )
    words = f"Microseconds of a step of {options.seeds} seeds without its kernels, median of {options.rounds} rounds."
    head = ["way", "steps of a batch", "median, us", "rounds, us", "ratio"]
    publish("The host's share of a replayed step", options, [words, "", *table(head, rows)])


if __name__ == "__main__":
    main()
