"""One optimiser for each seed, on its own part of the stacked parameters, stepped as one."""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from lid_vae.shapes import Tensor

__all__ = ["SeedOptimizer"]

# Those that treat every number of a parameter by itself, so that seeds stacked in one tensor do not see one another.
ELEMENTWISE = (torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD, torch.optim.RMSprop)


class SeedOptimizer(torch.optim.Optimizer):
    """The optimisers of N seeds under one ``step``, so that any optimiser trains each seed exactly as it would alone.

    Each seed's moments, step counts and state dict are its own: seeds step at different times under the aggressive
    loop, and a single run can go on from what a seed left. ``stepping`` says which seeds the next step moves, ``over``
    which are never to move again. As long as all others have always moved, an elementwise optimiser moves the stacked
    parameters (those of ``joint``, in the order of each seed's) at once, and each seed's state is a view of the stacked
    one; seeds that are over are put back where they were.
    """

    def __init__(self, optimizers: Sequence[torch.optim.Optimizer], joint: torch.optim.Optimizer) -> None:
        groups = [group for optimizer in optimizers for group in optimizer.param_groups]
        super().__init__([{"params": group["params"]} for group in groups], {})
        self.optimizers = list(optimizers)
        self.param_groups = groups  # the same objects: a learning rate set here is set there
        self.stepping = [True] * len(self.optimizers)
        self.over = [False] * len(self.optimizers)
        self.kept: dict[int, list[Tensor]] = {}
        self.leaves: list[Tensor] = [leaf for group in joint.param_groups for leaf in group["params"]]
        self.members = [
            [parameter for group in optimizer.param_groups for parameter in group["params"]]
            for optimizer in self.optimizers
        ]
        self.shared = 0  # how many parameters have a state that is shared
        simple = type(joint) in ELEMENTWISE and all(len(o.param_groups) == 1 for o in (joint, *self.optimizers))
        self.joint = joint if simple and self._stack_states(joint) else None

    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """Moves the seeds that are ``stepping`` by the gradients of the stacked parameters."""
        result = None if closure is None else closure()
        moving = [step or over for step, over in zip(self.stepping, self.over, strict=True)]
        if self.joint is not None and all(moving) and self._equal_options():
            lead = self.optimizers[0].param_groups[0]
            self.joint.param_groups[0].update({name: value for name, value in lead.items() if name != "params"})
            for seed in (seed for seed, over in enumerate(self.over) if over and seed not in self.kept):
                self.kept[seed] = [parameter.detach().clone() for parameter in self.members[seed]]
            self.joint.step()
            for seed, kept in self.kept.items():
                for parameter, value in zip(self.members[seed], kept, strict=True):
                    parameter.data.copy_(value)
            self._share_states(self.joint)
        else:
            self._part()
            self._hand_out()
            for optimizer, stepping in zip(self.optimizers, self.stepping, strict=True):
                if stepping:
                    optimizer.step()
        return result

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Nothing to clear: every gradient is replaced."""

    def _hand_out(self) -> None:
        """Gives each parameter of each seed its part of the gradient."""
        for number, leaf in enumerate(self.leaves):
            parts = [None] * len(self.members) if leaf.grad is None else leaf.grad.unbind(0)
            for parameters, part in zip(self.members, parts, strict=True):
                parameters[number].grad = part

    def _equal_options(self) -> bool:
        lead = self.optimizers[0].param_groups[0]
        return all(optimizer.param_groups[0]["lr"] == lead["lr"] for optimizer in self.optimizers)

    def _stack_states(self, joint: torch.optim.Optimizer) -> bool:
        """Whether the states that the seeds bring along are at one step, and so can be one."""
        stacked: dict[Tensor, dict[str, Tensor]] = {}
        for number, leaf in enumerate(self.leaves):
            states = [
                optimizer.state.get(parameters[number], {})
                for optimizer, parameters in zip(self.optimizers, self.members, strict=True)
            ]
            for name, value in states[0].items():
                if value is None:
                    continue
                values = [state.get(name) for state in states]
                if not all(isinstance(other, Tensor) and other.shape == value.shape for other in values):
                    return False
                if value.shape == leaf.shape[1:] and name != "step":
                    stacked.setdefault(leaf, {})[name] = torch.stack(values)
                elif all(torch.equal(other, value) for other in values):
                    stacked.setdefault(leaf, {})[name] = value.clone()
                else:
                    return False
        joint.state.update(stacked)
        self._share_states(joint)
        return True

    def _share_states(self, joint: torch.optim.Optimizer) -> None:
        """Each seed's state becomes a part of the joint one, once that is there."""
        if len(joint.state) == self.shared:
            return
        self.shared = len(joint.state)
        for number, leaf in enumerate(self.leaves):
            for name, value in joint.state.get(leaf, {}).items():
                if value is not None:
                    parts = value.unbind(0) if value.shape == leaf.shape else [value] * len(self.members)
                    for optimizer, parameters, part in zip(self.optimizers, self.members, parts, strict=True):
                        optimizer.state[parameters[number]][name] = part

    def _part(self) -> None:
        """From here on each seed steps by itself: what they have shared is copied."""
        if self.joint is None:
            return
        for number, leaf in enumerate(self.leaves):
            for name, value in self.joint.state.get(leaf, {}).items():
                if value is not None and value.shape != leaf.shape:
                    for optimizer, parameters in zip(self.optimizers, self.members, strict=True):
                        optimizer.state[parameters[number]][name] = value.clone()
        self.joint = None
