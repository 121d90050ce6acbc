"""Metrics that several processes have updated, made whole in each of them."""

from collections.abc import Sequence
from itertools import chain
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.utils._pytree import tree_map_only
from torchmetrics import Metric

__all__ = ["gather"]


def gather(metrics: Sequence[Metric]) -> None:
    """Adds to each metric what the others of the process group have seen; all of them must call this, once.

    torchmetrics gathers within ``compute`` alone, and forgets again after it; the standard errors and bounds beside it
    would be those of one process. The metrics are to be made with ``sync_on_compute=False``; their states are sums, and
    lists of rows, which come in the order of the processes, so that all compute the same to the last bit.
    """
    own = [tree_map_only(Tensor, Tensor.cpu, metric.metric_state) for metric in metrics]
    everyone: list[list[dict[str, Any]]] = [[] for _ in range(dist.get_world_size())]
    dist.all_gather_object(everyone, own)
    for metric, *states in zip(metrics, *everyone, strict=True):
        for name, state in states[0].items():
            found = [other[name] for other in states]
            whole = list(chain.from_iterable(found)) if isinstance(state, list) else torch.stack(found).sum(0)
            setattr(metric, name, tree_map_only(Tensor, lambda value: value.to(metric.device), whole))  # noqa: B023
