"""The processes that share one run, as ``torch.distributed`` knows them: one without a group."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple, TypeVar

import torch.distributed as dist

from lid_vae.shapes import Tensor

__all__ = ["ALONE", "World", "average", "sharing", "world"]

Item = TypeVar("Item")


class World(NamedTuple):
    """This process's place among ``size``."""

    rank: int
    size: int

    def take(self, items: Iterable[Item]) -> Iterator[Item]:
        """Those that fall to this process: numbers ``rank``, ``rank + size``, ..."""
        return islice(items, self.rank, None, self.size)


ALONE = World(0, 1)


def world() -> World:
    """Of the default process group."""
    if dist.is_available() and dist.is_initialized():
        return World(dist.get_rank(), dist.get_world_size())
    return ALONE


def sharing(count: int) -> World:
    """How ``count`` items are divided: each process does all of them where there are fewer than processes."""
    return world() if count >= world().size else ALONE


def average(value: Tensor) -> Tensor:
    """The mean of ``value`` over the processes, the same in each of them; with several it has no gradient."""
    size = world().size
    if size == 1:
        return value
    value = value.detach().clone()
    dist.all_reduce(value)
    return value / size
