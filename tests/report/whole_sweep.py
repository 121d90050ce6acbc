"""A table of five models by ten seeds as a sweep leaves it: results, curves, pictures and a hostile name."""

import io
import json
from math import exp
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

__all__ = ["HOSTILE", "MODELS", "write_sweep"]

# Each with KL, AU and LL where training ends.
MODELS = {
    "gmvae": (0.001, 0.0, -3.31),
    "sa_vae": (1.2, 0.8, -2.7),
    "lagging_vae": (0.1, 1.0, -2.5),
    "beta_vae": (1.45, 1.0, -2.2),
    "lidgmvae": (1.59, 1.0, -1.85),
}
HOSTILE = "</script><script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\"> & ' $1 \\y %"
CURVES = ("valid/kl", "valid/mutual_information", "valid/bound", "valid/log_likelihood", "valid/active_units")


def write_sweep(runs: Any, seeds: int = 10, steps: int = 400, pictures: bool = True) -> None:
    """Finished runs of ``MODELS`` by ``seeds``, each with ``steps`` validations; one more has failed, hostilely."""
    for model, (kl, au, ll) in MODELS.items():
        for seed in range(seeds):
            rng = np.random.default_rng([seed, len(model)])
            shift = 1 + 0.02 * rng.normal()
            end = kl * shift
            place = runs.write(
                model, seed, ll * shift, kl=end, mi=0.99 * end, au=au, accuracy=0.3 + 0.4 * end,
                command=f"python train.py experiment=table -m model={model} seed=0-{seeds - 1}",
                version="0.3.0", torch="2.9.1", device="cpu",
            ).parent  # fmt: skip
            lines = ["step,train/bound," + ",".join(CURVES)]
            for number in range(1, steps + 1):
                rise = 1 - exp(-6 * number / steps)
                noise = 0.02 * rng.normal(size=3)
                values = [
                    end * rise + noise[0] * end,
                    0.97 * end * rise,
                    (ll - 0.2) * shift - 8 * (1 - rise) + noise[1],
                ]
                values += [ll * shift - 7 * (1 - rise) + noise[2], au * round(rise, 1)]
                lines.append(f"{97 * number},-9," + ",".join(map(repr, map(float, values))))
            (place / "metrics.csv").write_text("\n".join(lines) + "\n")
            if pictures and seed == 0:
                (place / "latents.png").write_bytes(latents(rng))
    runs.expect(gmvae=f"0-{seeds}", lidgmvae=f"0-{seeds - 1}")
    (runs.place("gmvae", seeds) / "failed.json").write_text(json.dumps({"error": HOSTILE}))


def latents(rng: np.random.Generator) -> bytes:
    """Dots in five colours, of the size and about the weight of a run's picture."""
    image = Image.new("RGB", (1848, 495), "white")
    draw = ImageDraw.Draw(image, "RGBA")
    for panel in range(4):
        for k, colour in enumerate(((51, 34, 136), (204, 102, 119), (17, 119, 51), (221, 204, 119), (136, 204, 238))):
            centre = 462 * panel + 231 + 140 * np.cos(k * 1.26), 247 + 140 * np.sin(k * 1.26)
            for x, y in rng.normal(centre, 28, (400, 2)):
                draw.ellipse([x - 3, y - 3, x + 3, y + 3], (*colour, 150))
    file = io.BytesIO()
    image.save(file, format="png")
    return file.getvalue()
