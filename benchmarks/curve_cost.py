"""What the measures of validation cost: their share of a training's time, by a clock around them.

    python benchmarks/curve_cost.py --threads 1

A share of one process's own time, so that other work on the machine lengthens both sides.
"""

import shlex
import sys
import tempfile
from collections.abc import Sequence
from time import perf_counter
from typing import Any

from bench import begin, options_of, publish, table

RUNS = {
    "pinwheel, lidgmvae": "model=lidgmvae data=pinwheel trainer.max_epochs=10",
    "pinwheel, vae, ten seeds": "model=vae data=pinwheel trainer.max_epochs=5 -m seed=0-9",
    "digits, gmvae": "model=gmvae data=digits trainer.max_epochs=20",
    "digits, lidgmvae": "model=lidgmvae data=digits trainer.max_epochs=20",
    "toy language, lidsvae": "model=lidsvae data=synthetic_text trainer.max_epochs=2",
}


class Clock:
    """Seconds within some functions."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def around(self, function: Any) -> Any:
        def timed(*args: Any, **options: Any) -> Any:
            start = perf_counter()
            try:
                return function(*args, **options)
            finally:
                self.seconds += perf_counter() - start

        return timed


def main(arguments: Sequence[str] | None = None) -> None:
    parser = options_of(__doc__)
    parser.add_argument("--options", default="", help="further options of every run")
    parser.add_argument("--runs", nargs="+", default=list(RUNS), choices=list(RUNS))
    options = parser.parse_args(arguments)
    begin(options)
    from lid_vae.command_line import main as program
    from lid_vae.train.curves import Curves
    from lid_vae.train.training import Training

    curves, fit = Clock(), Clock()
    plain = Curves.update
    Curves.update = curves.around(plain)  # type: ignore[method-assign]
    for name in ("training_step", "validation_step", "on_validation_epoch_start", "on_validation_epoch_end"):
        setattr(Training, name, fit.around(getattr(Training, name)))
    rows = []
    for name in options.runs:
        curves.seconds = fit.seconds = 0.0
        with tempfile.TemporaryDirectory() as folder:
            small = f"logger=none callbacks.panels.every=0 samples=2 paths.runs={folder} {options.options}"
            words = [word for word in shlex.split(RUNS[name]) if not word.startswith("-")]
            flags = [word for word in shlex.split(RUNS[name]) if word.startswith("-")]
            try:
                program("train", ["train.py", *flags, *words, *shlex.split(small)])
            except SystemExit as end:
                if end.code:
                    sys.exit(f"{name} ended with status {end.code}")
        rows.append([name, f"{fit.seconds:.2f}", f"{curves.seconds:.2f}", f"{curves.seconds / fit.seconds:.1%}"])
    header = ["run", "training and validation, s", "measures of curves, s", "share"]
    publish("The cost of true curves", options, table(header, rows))


if __name__ == "__main__":
    main()
