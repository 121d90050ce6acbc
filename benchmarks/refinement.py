"""What SA-VAE's refinement makes of the bound of trained models: by the paper's steps, and by guarded ones.

    python benchmarks/refinement.py --threads 1
    python benchmarks/refinement.py --threads 1 --ckpt runs/.../best.ckpt

q is refined for each image by a few draws, as in training, and its bound is then measured by others. The models were
trained with what the encoder says alone.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

import torch
from bench import begin, options_of, publish, table
from bounds import mean_and_error, trained

Row = list[object]


def measured(name: str, path: Path, options: argparse.Namespace) -> list[Row]:
    """Rows of a checkpoint: one without refinement, and one for each way of it."""
    from lid_vae.inference import SemiAmortized
    from lid_vae.noise import generator
    from lid_vae.objective import ELBO
    from lid_vae.run.evaluation import load_run

    loaded = load_run(path, os.environ.get("LID_VAE_DATA", "data"), "cpu")
    vae = loaded.module.vae
    images = torch.cat([batch.x for batch in loaded.data.batches("test")])[: options.images]
    objective, unseen = ELBO(), ELBO(samples=options.unseen)

    def bound(inference: SemiAmortized, draws: int) -> tuple[torch.Tensor, float]:
        """Of each image, nats, and the seconds that refinement took."""
        values, seconds = [], 0.0
        for number, x in enumerate(images.split(options.batch)):
            noise = vae.posterior.draw_noise(draws, len(x), generator("refinement", number))
            start = perf_counter()
            with torch.no_grad():
                q = inference.posterior(vae, objective, x, noise)
            seconds += perf_counter() - start
            noise = vae.posterior.draw_noise(options.unseen, len(x), generator("refined", number))
            with torch.no_grad():
                values.append(unseen(vae, x, q, noise))
        return torch.cat(values).double(), seconds

    amortised, seconds = bound(SemiAmortized(steps=0), 1)
    rows: list[Row] = [[name, "none", "", "", "", mean_and_error(amortised), "", f"{seconds:.1f}"]]
    for guard in (False, True):
        for draws in options.draws:
            for steps in options.steps:
                for rate in options.rates:
                    inference = SemiAmortized(steps=steps, learning_rate=rate, guard=guard)
                    found, seconds = bound(inference, draws)
                    change = mean_and_error(found - amortised)
                    kind = "guarded" if guard else "as published"
                    rows.append([name, kind, draws, steps, rate, mean_and_error(found), change, f"{seconds:.1f}"])
                    print(*rows[-1], file=sys.stderr, flush=True)
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    parser = options_of(__doc__, images=1000, batch=500, unseen=50, epochs=50)
    parser.add_argument("--models", nargs="+", default=["lidgmvae", "gmvae"])
    parser.add_argument("--options", default="experiment=table_digits seed=0", help="of train.py")
    parser.add_argument("--ckpt", nargs="+", type=Path, default=[], help="checkpoints in place of a training")
    parser.add_argument("--draws", nargs="+", type=int, default=[1, 4], help="by which q is refined")
    parser.add_argument("--steps", nargs="+", type=int, default=[5, 20])
    parser.add_argument("--rates", nargs="+", type=float, default=[1.0, 0.1, 0.01])
    options = parser.parse_args(arguments)
    begin(options)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        for place in options.ckpt or options.models:
            path = place if isinstance(place, Path) else trained(place, folder, options)
            name = str(place) if isinstance(place, str) else "/".join(path.parts[-4:-2])
            rows += measured(name, path.resolve(), options)
    source = "the checkpoints given" if options.ckpt else f"`train.py {options.options}`, {options.epochs} epochs"
    lines = [
        f"Of {source}. {options.images} test images in batches of {options.batch}; the bound by {options.unseen} draws",
        "that refinement has not seen. Nats per image, +- one standard error over images.",
        "",
        *table(
            ["model", "refinement", "draws", "steps", "learning rate", "bound", "change", "s, wall"],
            rows,
        ),
    ]
    publish("Refinement of q", options, lines)


if __name__ == "__main__":
    main()
