"""q(z | x) of every test example by trained models with categories, side by side: a flat field is collapse.

    python benchmarks/collapse_figure.py <best.ckpt> <best.ckpt> docs/figures/collapse.png

Data are looked for in ``data/`` or where ``LID_VAE_DATA`` says.
"""

import os
import sys
from pathlib import Path

import bench  # noqa: F401  puts the repository on the path
import torch
from matplotlib.figure import Figure

import lid_vae
from lid_vae.run.evaluation import load_run
from lid_vae.train.display_name import display_name


def main(checkpoints: list[str], target: str) -> None:
    figure = Figure(figsize=(4.4 * len(checkpoints), 4.2), layout="constrained")
    for axis, checkpoint in zip(figure.subplots(1, len(checkpoints)), checkpoints, strict=True):
        module, data, *_ = load_run(Path(checkpoint), os.environ.get("LID_VAE_DATA", "data"), "cpu")
        model, batches = lid_vae.load(checkpoint), list(data.batches("test"))
        q = torch.cat([model.encode(batch.x).category_probability for batch in batches])
        lid_vae.plot.categories(q, torch.cat([batch.y for batch in batches]), axis, display_name(module))
    figure.savefig(target, dpi=130)


if __name__ == "__main__":
    main(sys.argv[1:-1], sys.argv[-1])
