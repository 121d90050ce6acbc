"""How far the likelihood of trained models is known: bounds from both sides, and what importance sampling misses.

    python benchmarks/bounds.py --threads 1
    python benchmarks/bounds.py --threads 1 --ckpt runs/.../best.ckpt

Images that a model itself draws come with an exact posterior sample, so that annealed importance sampling (AIS) bounds
their log-likelihood from below and from above. Of test images there is the lower bound, beside importance sampling's.
"""

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

import torch
from bench import ROOT, begin, options_of, publish, table

Row = list[object]


def trained(model: str, folder: str, options: argparse.Namespace) -> Path:
    """The best checkpoint of a short training."""
    command = [
        sys.executable, "train.py", *shlex.split(options.options), f"model={model}",
        f"trainer.max_epochs={options.epochs}", "logger=none", "callbacks.panels.every=0", "samples=2",
        "trainer.enable_progress_bar=false", f"paths.runs={folder}/{model}",
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": str(options.threads)}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)
    if done.returncode:
        print(done.stdout[-2000:], done.stderr[-2000:], file=sys.stderr)
        done.check_returncode()
    (best,) = Path(folder, model).rglob("best.ckpt")
    return best


def mean_and_error(value: torch.Tensor) -> str:
    return f"{float(value.mean()):.4f} +- {float(value.std() / len(value) ** 0.5):.4f}"


def measured(name: str, path: Path, options: argparse.Namespace) -> tuple[list[Row], list[Row]]:
    """Rows of the two tables of a checkpoint."""
    from lid_vae.measure.annealed import Annealing, annealed_bounds, simulate, target_of
    from lid_vae.measure.evaluator import Evaluator
    from lid_vae.noise import generator
    from lid_vae.run.evaluation import load_run

    loaded = load_run(path, os.environ.get("LID_VAE_DATA", "data"), "cpu")
    module = loaded.module
    make_target = target_of(module.vae, module.infer, inference_samples=module.objective.samples)
    w, simulated = simulate(module.vae, options.images, generator("bounds", options.seed))
    widths: list[Row] = []
    for steps in options.steps:
        settings = Annealing(steps, options.chains, options.leapfrog)
        start = perf_counter()
        found = annealed_bounds(make_target, simulated, settings, w=w, seed=options.seed)
        seconds, numbers = perf_counter() - start, found.summary()
        assert found.upper is not None
        cells = [mean_and_error(value) for value in (found.lower, found.upper, found.upper - found.lower)]
        kept = [f"{numbers['acceptance']:.2f}" if steps else "", f"{numbers['effective']:.1f}"]
        widths.append([name, steps, *cells, *kept, f"{seconds:.1f}"])
        print(*widths[-1], file=sys.stderr, flush=True)
    misses: list[Row] = []
    test = next(iter(loaded.data.batches("test", options.images))).x
    for images, x, lower in (("simulated", simulated, found.lower), ("test", test, None)):
        if lower is None:
            lower = annealed_bounds(make_target, x, settings, seed=options.seed).lower
        for draws in options.draws:
            evaluator = Evaluator(module.vae, module.infer, draws, with_w=False)
            start = perf_counter()
            evidence = evaluator.measure(x, 0)[0]["evidence"]
            seconds = perf_counter() - start
            misses.append(
                [name, images, draws, *map(mean_and_error, (evidence, lower, lower - evidence)), f"{seconds:.1f}"]
            )
    return widths, misses


def main(arguments: Sequence[str] | None = None) -> None:
    parser = options_of(__doc__, images=100, chains=8, leapfrog=2, epochs=50, seed=0)
    parser.add_argument("--models", nargs="+", default=["lidgmvae", "gmvae"])
    parser.add_argument("--options", default="experiment=table_digits seed=0", help="of train.py")
    parser.add_argument("--ckpt", nargs="+", type=Path, default=[], help="checkpoints in place of a training")
    parser.add_argument("--steps", nargs="+", type=int, default=[0, 25, 50, 100, 200, 400], help="temperatures")
    parser.add_argument("--draws", nargs="+", type=int, default=[500, 5000], help="of importance sampling")
    options = parser.parse_args(arguments)
    begin(options)
    widths: list[Row] = []
    misses: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        for place in options.ckpt or options.models:
            path = place if isinstance(place, Path) else trained(place, folder, options)
            name = str(place) if isinstance(place, str) else "/".join(path.parts[-4:-2])
            found = measured(name, path.resolve(), options)
            widths += found[0]
            misses += found[1]
    source = "the checkpoints given" if options.ckpt else f"`train.py {options.options}`, {options.epochs} epochs"
    lines = [
        f"Of {source}. {options.images} images, {options.chains} chains for each, {options.leapfrog} leapfrog steps a",
        "move. Nats per image, +- one standard error over images.",
        "",
        "Images drawn from the model. Without temperatures the lower bound is importance sampling of as many draws as",
        "there are chains.",
        "",
        *table(["model", "temperatures", "lower", "upper", "width", "accepted", "effective chains", "s, wall"], widths),
        "",
        f"What importance sampling misses of the lower bound of {options.steps[-1]} temperatures.",
        "",
        *table(["model", "images", "draws", "importance sampling", "AIS", "missed", "s, wall"], misses),
    ]
    publish("Bounds of the log-likelihood", options, lines)


if __name__ == "__main__":
    main()
