"""What a run says to its loggers at the end, and pictures and texts for those that take them."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from pytorch_lightning.loggers import Logger, WandbLogger

from lid_vae.log.tensorboard_logger import TensorBoardLogger
from lid_vae.shown import CORE, Number, logged
from lid_vae.text.texts import Texts

__all__ = ["PictureLogger", "finish_loggers", "log_texts", "picture_loggers"]


@runtime_checkable
class PictureLogger(Protocol):
    """A logger that takes images: TensorBoard's and wandb's."""

    def log_image(self, key: str, images: list[Any], step: int | None = None) -> None:
        """``images``, RGB [height, width, 3] of bytes, under the name ``key``, at this ``step`` of training."""


def picture_loggers(loggers: Iterable[Logger]) -> list[PictureLogger]:
    """Those of ``loggers`` that take images."""
    return [logger for logger in loggers if isinstance(logger, PictureLogger)]


def log_texts(loggers: Iterable[Logger], key: str, texts: Texts, step: int) -> None:
    """``texts`` as text in TensorBoard, as a table in wandb, under ``key`` at ``step``; other ``loggers`` take none."""
    for logger in loggers:
        if isinstance(logger, TensorBoardLogger):
            logger.log_text(key, texts.page(), step)
        elif isinstance(logger, WandbLogger):
            logger.log_text(key, columns=["what", "text"], data=texts.rows(), step=step)


def finish_loggers(
    loggers: Iterable[Logger],
    result: Mapping[str, Any] | None,
    picture: Path | None = None,
    texts: Texts | None = None,
    numbers: Iterable[Number] = (),
) -> None:
    """Close all ``loggers``; first, where there is a ``result``, its measures, ``picture`` and ``texts`` are logged.

    ``numbers`` are those of further measures. Without a result the run counts as failed. Every run must come here,
    since a wandb run that is not finished keeps the process from ending, and the next seed from a clean start.
    """
    loggers = list(loggers)
    metrics = {} if result is None else logged(result, result.get("split", "test"), (*CORE, *numbers))
    if result is not None and texts is not None:
        log_texts(loggers, "texts", texts, int(result["steps"]))
    for logger in loggers:
        if result is not None and isinstance(logger, PictureLogger):
            step = int(result["steps"])
            if picture is not None:
                logger.log_image("picture", [_pixels(picture)], step)
            if isinstance(logger, WandbLogger):
                logger.experiment.summary.update(metrics)
            elif isinstance(logger, Logger):
                logger.log_metrics(metrics, step)
        if isinstance(logger, WandbLogger):
            logger.experiment.finish(exit_code=0 if result is not None else 1)
        else:
            logger.finalize("failed" if result is None else "success")
        if isinstance(logger, TensorBoardLogger):
            logger.close()


def _pixels(path: Path) -> np.ndarray:
    from PIL import Image

    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))
