"""Two trained models side by side: what their categories hold, and what the decoder makes of each.

    python benchmarks/collapse_figure.py <classical best.ckpt> <identifiable best.ckpt> docs/figures/collapse.png

Data are looked for in ``data/`` or where ``LID_VAE_DATA`` says.
"""

import os
import sys
from pathlib import Path

import bench  # noqa: F401  puts the repository on the path
import matplotlib.pyplot as plt
import numpy as np

from lid_vae.picture.drawing import draw_clouds, draw_heat_map, draw_images
from lid_vae.picture.picture_data import take_picture_data
from lid_vae.run.evaluation import load_run
from lid_vae.system.files import read_json
from lid_vae.train.display_name import display_name


def principal(points: np.ndarray) -> np.ndarray:
    """The two leading principal coordinates, where there are more than two dimensions."""
    if points.shape[1] <= 2:
        return points
    centred = points - points.mean(0)
    return centred @ np.linalg.svd(centred, full_matrices=False)[2][:2].T


def main(checkpoints: list[str], target: str) -> None:
    figure, axes = plt.subplots(2, 3, figsize=(10, 6.4), layout="constrained")
    for row, checkpoint in zip(axes, checkpoints, strict=True):
        module, data, *_ = load_run(Path(checkpoint), os.environ.get("LID_VAE_DATA", "data"), "cpu")
        pictured = take_picture_data(module, data, "test", 3000)
        z = read_json(Path(checkpoint).parents[1] / "result.json")["latent"]["z"]
        row[0].set_ylabel(f"{display_name(module)}\nAU {z['au']:.1f}   KL(z) {z['kl']:.2f}   MI(z) {z['mi']:.2f}")
        draw_clouds(row[0], principal(pictured.u_BM), pictured.class_B)
        row[0].set_xticks([])
        row[0].set_yticks([])
        draw_heat_map(row[1], pictured.usage_CK[:, pictured.order_K])
        row[1].set_xticks(range(len(pictured.usage_K)))
        vectors = pictured.vectors
        if vectors.image_shape is None:
            draw_clouds(row[2], vectors.sample_ND, pictured.class_K[vectors.sample_category_N])
        else:
            images = vectors.decoded_KD[pictured.order_K].reshape(-1, *vectors.image_shape)
            draw_images(row[2], images, columns=5)
    axes[0, 0].set_title("posterior of w (principal axes), by label")
    axes[0, 1].set_title("q(z | label): rows are labels")
    axes[0, 2].set_title("decoder's mean at each category")
    figure.savefig(target, dpi=110)


if __name__ == "__main__":
    main(sys.argv[1:3], sys.argv[3])
