"""What Lightning does for everyone and does not suit here: remarks, and a search for GPUs at every step."""

import logging
import os
import warnings

import torch

__all__ = ["prepare_lightning"]

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
NVML = "PYTORCH_NVML_BASED_CUDA_CHECK"


def prepare_lightning() -> None:
    """Hardware banners and tips go; warnings about the run stay.

    Lightning has PyTorch look for GPUs by NVML, so that processes may fork before CUDA starts. Where there is no GPU
    nothing starts, and every step of an optimiser looks again, for most of a millisecond: there PyTorch's own way, of
    a few microseconds, is put back.
    """
    logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.WARNING)
    for remark in REMARKS:
        warnings.filterwarnings("ignore", remark)
    if not torch.cuda.is_available():
        os.environ.pop(NVML, None)
