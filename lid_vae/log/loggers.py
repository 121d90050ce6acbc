"""What a run says to its loggers at the end, and pictures and texts for those that take them."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from pytorch_lightning.loggers import Logger, WandbLogger

from lid_vae.log.tensorboard_logger import TensorBoardLogger
from lid_vae.log.wandb_run import Shown, WandbRun
from lid_vae.shown import CORE, Number, logged
from lid_vae.text.texts import Texts

__all__ = ["PictureLogger", "Shown", "finish_loggers", "picture_loggers", "show"]

# TensorBoard sorts its sections: after test, train and valid, so that curves come first.
VISUALS = "visuals"


@runtime_checkable
class PictureLogger(Protocol):
    """A logger that takes images: TensorBoard's and wandb's."""

    def log_image(self, key: str, images: list[Any], step: int | None = None) -> None:
        """``images``, RGB [height, width, 3] of bytes, under the name ``key``, at this ``step`` of training."""


def picture_loggers(loggers: Iterable[Logger]) -> list[PictureLogger]:
    """Those of ``loggers`` that take images."""
    return [logger for logger in loggers if isinstance(logger, PictureLogger)]


def show(loggers: Iterable[Logger], split: str, shown: Shown, step: int) -> None:
    """Gives what is ``shown`` of a ``split``, at this ``step`` of training, to those of ``loggers`` that take it.

    Pictures go to ``PictureLogger``s, below ``visuals/<split>``; texts to TensorBoard as text and to wandb as a table.
    """
    for logger in loggers:
        if isinstance(logger, WandbRun):
            logger.show(split, shown, step)
            continue
        if shown.texts is not None and isinstance(logger, TensorBoardLogger):
            logger.log_text(f"{split}/texts", shown.texts.page(), step)
        elif shown.texts is not None and isinstance(logger, WandbLogger):
            logger.log_text(f"{split}/texts", columns=["what", "text"], data=shown.texts.rows(), step=step)
        if isinstance(logger, PictureLogger):
            for name, picture in shown.pictures.items():
                key = f"{VISUALS}/{split}/{name}"
                if isinstance(picture, Path) and isinstance(logger, TensorBoardLogger):
                    logger.log_png(key, picture, step)
                else:
                    logger.log_image(key, [_pixels(picture)], step)


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
    metrics, step = None, 0
    if result is not None:
        split, step = result.get("split", "test"), int(result["steps"])
        metrics = logged(result, split, (*CORE, *numbers))
        pictures = {} if picture is None else {"picture": picture}
        show(loggers, split, Shown(pictures, texts), step)
    for logger in loggers:
        if isinstance(logger, WandbRun):
            logger.finish(metrics, None if result is None else result.get("validation", {}).get("elbo"))
            continue
        if metrics is not None and isinstance(logger, WandbLogger):
            logger.experiment.summary.update(metrics)
        elif metrics is not None and isinstance(logger, TensorBoardLogger):
            logger.log_final(metrics, step)
        elif metrics is not None and isinstance(logger, PictureLogger):
            logger.log_metrics(metrics, step)
        if isinstance(logger, WandbLogger):
            logger.experiment.finish(exit_code=0 if result is not None else 1)
        else:
            logger.finalize("failed" if result is None else "success")
        if isinstance(logger, TensorBoardLogger):
            logger.close()


def _pixels(picture: np.ndarray | Path) -> np.ndarray:
    if not isinstance(picture, Path):
        return picture
    from PIL import Image

    with Image.open(picture) as image:
        return np.asarray(image.convert("RGB"))
