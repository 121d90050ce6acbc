"""A TensorBoard log of the run's metrics, pictures and texts, and of what it was; it survives resuming."""

from collections.abc import Mapping
from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING, Any

import numpy as np
from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities import rank_zero_only

from lid_vae.log.described import described
from lid_vae.shown import BY_DIMENSION

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

__all__ = ["TensorBoardLogger"]


class TensorBoardLogger(Logger):
    """Event files in ``folder``, so that TensorBoard names the run as its folder is.

    A run that was begun with them in ``<folder>/tensorboard`` goes on there. Lightning's own logger adds an
    ``hparams.yaml`` and an ``hp_metric`` that say nothing here, and shows the steps between a checkpoint and a crash
    twice after a resume; here the old ones are purged.
    """

    name, version = "tensorboard", ""

    def __init__(self, folder: str) -> None:
        super().__init__()
        self.run = Path(folder)
        former = self.run / "tensorboard"
        self.folder = former if former.is_dir() else self.run
        self.writer: SummaryWriter | None = None

    def log_hyperparams(self, *_: Any, **__: Any) -> None:
        """The run's config.yaml holds them."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """``metrics`` at a ``step``; the KL of all dimensions as one histogram."""
        writer = self._open(step or 0)
        by_dimension = np.array([value for name, value in metrics.items() if name.startswith(BY_DIMENSION)])
        if len(by_dimension) and np.isfinite(by_dimension).all():
            writer.add_histogram("valid/kl_by_dimension", by_dimension, step or 0)
        for name, value in metrics.items():
            if name != "epoch" and not name.startswith(BY_DIMENSION):
                writer.add_scalar(name, value, step or 0)

    @rank_zero_only
    def log_image(self, key: str, images: list[np.ndarray], step: int | None = None) -> None:
        """RGB images [height, width, 3] of bytes."""
        writer = self._open(step or 0)
        for number, image in enumerate(images):
            name = key if len(images) == 1 else f"{key}/{number}"
            writer.add_image(name, image, step or 0, dataformats="HWC")

    @rank_zero_only
    def log_png(self, key: str, path: Path, step: int | None = None) -> None:
        """The PNG file ``path``, RGB, as it is: neither read nor compressed once more."""
        from PIL import Image
        from tensorboard.compat.proto.summary_pb2 import Summary

        with Image.open(path) as image:
            width, height = image.size
        found = Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=path.read_bytes())
        file = self._open(step or 0)._get_file_writer()
        file.add_summary(Summary(value=[Summary.Value(tag=key, image=found)]), step or 0)

    @rank_zero_only
    def log_text(self, key: str, text: str, step: int | None = None) -> None:
        """Line by line, as it stands: TensorBoard reads Markdown, in which indented lines are kept so."""
        self._open(step or 0).add_text(key, indent(text, "    ", lambda line: True), step or 0)

    @rank_zero_only
    def log_final(self, metrics: Mapping[str, float], step: int) -> None:
        """The ``metrics`` of the result, beside what the run was: the table that TensorBoard calls hparams."""
        from torch.utils.tensorboard.summary import hparams

        self.log_metrics(dict(metrics), step)
        known = {
            name: value for name, value in described(self.run).items() if isinstance(value, bool | int | float | str)
        }
        if known:
            # SummaryWriter.add_hparams would make another run of them, in a folder of its own.
            for summary in hparams(known, dict(metrics)):
                self._open(step)._get_file_writer().add_summary(summary)

    @rank_zero_only
    def save(self) -> None:
        if self.writer is not None:
            self.writer.flush()

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Lightning calls this after a fit, when the test results are still to come."""
        self.save()

    @rank_zero_only
    def close(self) -> None:
        """Nothing more will come."""
        if self.writer is not None:
            self.writer.close()
            self.writer = None

    def _open(self, step: int) -> "SummaryWriter":
        if self.writer is None:
            from torch.utils.tensorboard import SummaryWriter

            resumed = any(self.folder.glob("events.out.tfevents.*"))
            self.writer = SummaryWriter(str(self.folder), purge_step=step if resumed else None)
        return self.writer
