"""Silences remarks of Lightning that do not concern our users."""

import logging
import warnings

__all__ = ["quiet_lightning"]

REMARKS = (
    ".*does not have many workers.*",
    ".*Checkpoint directory .* exists and is not empty.*",
    ".*The number of training batches .* is smaller than the logging interval.*",
    ".*torch.jit.script.*",
    ".*GPU available but not used.*",
    ".*isinstance.treespec, LeafSpec.*",
    ".*recommended to use `self.log.*sync_dist=True.*",  # every process logs the same
    ".*`srun` command is available on your system but is not used.*",
)


def quiet_lightning() -> None:
    """Hardware banners and tips go; warnings about the run stay."""
    logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.WARNING)
    for remark in REMARKS:
        warnings.filterwarnings("ignore", remark)
