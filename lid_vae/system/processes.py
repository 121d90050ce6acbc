"""The processes that share one run, as ``torch.distributed`` knows them: one without a group."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple, TypeVar

import torch.distributed as dist

from lid_vae.shapes import Tensor

__all__ = ["ALONE", "ProcessPlace", "average", "process_place", "sharing"]

Item = TypeVar("Item")


class ProcessPlace(NamedTuple):
    """This process's place among ``size``: its number, ``rank``, from 0."""

    rank: int
    size: int

    def take(self, items: Iterable[Item]) -> Iterator[Item]:
        """Those of ``items`` that fall to this process: numbers ``rank``, ``rank + size``, ..."""
        return islice(items, self.rank, None, self.size)


ALONE = ProcessPlace(0, 1)


def process_place() -> ProcessPlace:
    """Of the default process group."""
    if dist.is_available() and dist.is_initialized():
        return ProcessPlace(dist.get_rank(), dist.get_world_size())
    return ALONE


def sharing(count: int) -> ProcessPlace:
    """How ``count`` items are divided: each process does all of them where there are fewer than processes."""
    return process_place() if count >= process_place().size else ALONE


def average(value: Tensor) -> Tensor:
    """The mean of ``value`` over the processes, the same in each of them; with several it has no gradient."""
    size = process_place().size
    if size == 1:
        return value
    value = value.detach().clone()
    dist.all_reduce(value)
    return value / size
