"""What a run shows at Weights & Biases, and in which section: Collapse, Fit, Pictures, Texts or Measures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pytorch_lightning.loggers import WandbLogger
from pytorch_lightning.utilities import rank_zero_only

from lid_vae.shapes import Float
from lid_vae.shown import BY_DIMENSION, CORE
from lid_vae.text.texts import Texts

__all__ = [
    "COLLAPSE",
    "FIT",
    "MEASURES",
    "PICTURES",
    "STEP",
    "TEXTS",
    "Shown",
    "WandbRun",
    "define_metrics",
    "keep_file",
    "placed",
]

STEP = "trainer/global_step"
COLLAPSE, FIT, PICTURES, TEXTS, MEASURES = "Collapse", "Fit", "Pictures", "Texts", "Measures"
_ENDINGS = ("_se", "_upper", "_lower")
_OF_LATENTS = {number.curve for number in CORE if number.at.startswith("latent.")}
_KNOWN = {number.curve for number in CORE if number.curve is not None}
_SUMMARY = {"highest": "max,last", "lowest": "min,last", None: None}  # None: the last


@dataclass(frozen=True)
class Shown:
    """What a validation, or the result of a run, shows beside its numbers.

    ``pictures`` are RGB [height, width, 3] of bytes, or PNG files, by name. ``texts`` are those of a model of text.
    ``usage_CK`` is q(z | label): the mean of q(z | x) over the examples of each label, zero of one without examples.
    """

    pictures: Mapping[str, np.ndarray | Path]
    texts: Texts | None = None
    usage_CK: Float[np.ndarray, "C K"] | None = None


class WandbRun(WandbLogger):
    """Lightning's logger of wandb, whose panels stand in sections and whose validations come in one call each.

    ``folder`` is that of the run; ``keep_checkpoint`` says whether its best checkpoint becomes an artifact.
    ``options`` are those of Lightning's logger.
    """

    def __init__(self, folder: Path, keep_checkpoint: bool, **options: Any) -> None:
        super().__init__(**options)
        self.folder, self.keep_checkpoint = folder, keep_checkpoint

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """``metrics`` at a ``step``, each in its section; the KL of all dimensions as one histogram."""
        shown: dict[str, Any] = {
            placed(name): value
            for name, value in metrics.items()
            if name != "epoch" and not name.startswith(BY_DIMENSION)
        }
        by_dimension = [value for name, value in metrics.items() if name.startswith(BY_DIMENSION)]
        if by_dimension and np.isfinite(by_dimension).all():
            from wandb import Histogram

            shown[f"{COLLAPSE}/valid/kl_by_dimension"] = Histogram(by_dimension)
        if shown:
            super().log_metrics(shown, step)

    @rank_zero_only
    def show(self, split: str, shown: Shown, step: int) -> None:
        """All that is ``shown`` of a ``split`` at a ``step``, in one call: its panels belong to one step of wandb's."""
        from wandb import Image, Table

        panels: dict[str, Any] = {
            f"{PICTURES}/{split}/{name}": Image(str(picture) if isinstance(picture, Path) else picture)
            for name, picture in shown.pictures.items()
        }
        if shown.texts is not None:
            panels[f"{TEXTS}/{split}/texts"] = Table(columns=["what", "text"], data=shown.texts.rows())
        if shown.usage_CK is not None:
            panels[f"{COLLAPSE}/{split}/categories_by_label"] = _by_label(shown.usage_CK)
        if panels:
            self.experiment.log({**panels, STEP: step})

    @rank_zero_only
    def finish(self, metrics: Mapping[str, float] | None, bound: float | None = None) -> None:
        """Ends the run at wandb with its final ``metrics``; with None as failed.

        ``bound`` is that of the validation split at the best checkpoint, nats: what a search of wandb's own maximises.
        """
        run = self.experiment
        if metrics is not None:
            if bound is not None:
                run.log({f"{FIT}/valid/best_bound": bound})
            run.summary.update({placed(name): value for name, value in metrics.items()})
            best = self.folder / "checkpoints" / "best.ckpt"
            if self.keep_checkpoint and best.exists():
                keep_file(run, best, "model", "best")
        run.finish(exit_code=1 if metrics is None else 0)


def define_metrics(run: Any) -> None:
    """Tells a ``run`` of wandb that all goes by the step of training, and what its table shows: best and last.

    Standard errors are recorded and have no panel of their own.
    """
    run.define_metric(STEP)
    run.define_metric("*", step_metric=STEP, step_sync=True)
    for number in CORE:
        if number.curve is not None:
            name = placed(f"valid/{number.curve}")
            run.define_metric(name, step_metric=STEP, summary=_SUMMARY[number.best])
            run.define_metric(f"{name}_se", step_metric=STEP, hidden=True)


def keep_file(run: Any, path: Path, kind: str, *aliases: str) -> None:
    """Gives a file, ``path``, to a ``run`` of wandb as an artifact of this ``kind`` with ``aliases``, uncopied."""
    from wandb import Artifact

    artifact = Artifact(f"{kind}-{run.id}", type=kind)
    artifact.add_file(str(path), policy="immutable", skip_cache=True)
    run.log_artifact(artifact, aliases=[*aliases, "latest"])


def placed(name: str) -> str:
    """The ``name`` of a metric, such as ``valid/kl``, behind its section: ``Collapse/valid/kl``."""
    split, _, stem = name.partition("/")
    for ending in _ENDINGS:
        stem = stem.removesuffix(ending)
    if stem in _OF_LATENTS:
        return f"{COLLAPSE}/{name}"
    return f"{FIT if split == 'train' or stem in _KNOWN else MEASURES}/{name}"


def _by_label(usage_CK: Float[np.ndarray, "C K"]) -> Any:
    from wandb import Table

    rows: Sequence[Sequence[Any]] = [
        [label, *(round(float(share), 4) for share in row)] for label, row in enumerate(usage_CK)
    ]
    return Table(columns=["label", *(f"z = {k}" for k in range(usage_CK.shape[1]))], data=rows)
