"""A graph on a processor: the kernels of one step, recorded with their numbers, and done again in the same memory."""

from collections.abc import Callable

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map_only

__all__ = ["FORBIDDEN", "Recorder", "recorded"]

# What waits for the device, chooses shapes by values, or comes from a library that a capture does not allow.
FORBIDDEN = ("_local_scalar_dense", "nonzero", "multinomial", "linalg_", "unique", "masked_select", "item", "svd", "qr")


class Recorder(TorchDispatchMode):
    """Keeps every kernel that runs, with its arguments; raises ``RuntimeError`` for those that no graph can hold."""

    def __init__(self):
        super().__init__()
        self.tape = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket.__name__
        if name.startswith(FORBIDDEN) and name != "linalg_vector_norm":
            raise RuntimeError(f"operation not permitted when stream is capturing: {name}")
        found = function(*args, **(kwargs or {}))
        returns = function._schema.returns
        in_place = any(one.alias_info is not None and one.alias_info.is_write for one in returns)
        given = {place(one) for one in tree_flatten((args, kwargs))[0] if isinstance(one, torch.Tensor)}
        made = [one for one in tree_flatten(found)[0] if isinstance(one, torch.Tensor)]
        # What gives another view of the same memory need not be done again.
        seen = not in_place and any(place(one) in given for one in made)
        if not seen and torch.Tag.inplace_view not in function.tags:
            args, kwargs, made = tree_map_only(torch.Tensor, torch.Tensor.detach, (args, kwargs or {}, made))
            self.tape.append((function, args, kwargs, None if in_place else made))
        return found

    def replay(self):
        with torch.no_grad():
            for function, args, kwargs, made in self.tape:
                again = function(*args, **kwargs)
                if made is not None:
                    again = [one for one in tree_flatten(again)[0] if isinstance(one, torch.Tensor)]
                    for old, new in zip(made, again, strict=True):
                        old.copy_(new)


def place(tensor: torch.Tensor) -> int:
    """Where the memory of a ``tensor`` begins; no two that are empty are in one place."""
    return tensor.untyped_storage().data_ptr() or id(tensor)


def recorded(work: Callable[[], None]) -> Callable[[], None]:
    """As ``cuda_graph``."""
    work()
    with Recorder() as recorder:
        work()
    return recorder.replay
