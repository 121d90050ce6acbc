"""A TensorBoard log of the run's metrics and pictures, and of nothing else; it survives resuming."""

from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING, Any

import numpy as np
from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities import rank_zero_only

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

__all__ = ["TensorBoardLogger"]


class TensorBoardLogger(Logger):
    """Event files in ``<folder>/tensorboard``.

    Lightning's own logger adds an ``hparams.yaml`` and an ``hp_metric`` that say nothing here, and shows the steps
    between a checkpoint and a crash twice after a resume; here the old ones are purged.
    """

    name, version = "tensorboard", ""

    def __init__(self, folder: str) -> None:
        super().__init__()
        self.folder = Path(folder) / "tensorboard"
        self.writer: SummaryWriter | None = None

    def log_hyperparams(self, *_: Any, **__: Any) -> None:
        """The run's config.yaml holds them."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        writer = self._open(step or 0)
        for name, value in metrics.items():
            if name != "epoch":
                writer.add_scalar(name, value, step or 0)

    @rank_zero_only
    def log_image(self, key: str, images: list[np.ndarray], step: int | None = None) -> None:
        """RGB images [height, width, 3] of bytes."""
        writer = self._open(step or 0)
        for number, image in enumerate(images):
            name = key if len(images) == 1 else f"{key}/{number}"
            writer.add_image(name, image, step or 0, dataformats="HWC")

    @rank_zero_only
    def log_text(self, key: str, text: str, step: int | None = None) -> None:
        """Line by line, as it stands: TensorBoard reads Markdown, in which indented lines are kept so."""
        self._open(step or 0).add_text(key, indent(text, "    ", lambda line: True), step or 0)

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

            resumed = self.folder.is_dir() and any(self.folder.iterdir())
            self.writer = SummaryWriter(str(self.folder), purge_step=step if resumed else None)
        return self.writer
