"""The parameters of several modules as one: stacked leaves, of which every module's own parameters are views."""

import copy
from collections.abc import Callable, Sequence

import torch
from torch import nn
from torch.func import functional_call, vmap

from lid_vae.errors import UserError
from lid_vae.inference.base import Group, Inference
from lid_vae.measure.look import Look
from lid_vae.noise import generator
from lid_vae.shapes import Bool, Float, Observations, Tensor
from lid_vae.train.vae_module import VAEModule

__all__ = ["Stack", "obstacle"]


class Stack:
    """N modules of one kind, their parameters and buffers stacked along a leading axis.

    The modules stay whole: their parameters are views of the stacked ones, so that an update of the stack is an update
    of each, and each can be evaluated, saved and loaded by itself. ``forward`` is that of all modules at once (vmap).
    ``inference`` is the strategy with the stacked buffers: its ``update`` and ``validated`` serve all seeds.
    """

    def __init__(self, modules: Sequence[VAEModule]) -> None:
        self.modules = list(modules)
        # What the stacked tensors are put through: the structure of one module, none of whose own values are read.
        self.frame = copy.deepcopy(self.modules[0])
        self.parameters: dict[str, Tensor] = {}
        self.buffers: dict[str, Tensor] = {}
        for name, parameter in self.modules[0].named_parameters():
            leaf = torch.stack([module.get_parameter(name).detach() for module in self.modules])
            for module, view in zip(self.modules, leaf.unbind(0), strict=True):
                module.get_parameter(name).data = view
            self.parameters[name] = leaf.requires_grad_(parameter.requires_grad)
        for name, _ in self.modules[0].named_buffers():
            leaf = torch.stack([module.get_buffer(name) for module in self.modules])
            for module, view in zip(self.modules, leaf.unbind(0), strict=True):
                _place(module, name, view)
            self.buffers[name] = leaf
        self.inference: Inference = copy.deepcopy(self.modules[0].inference)
        for name, _ in list(self.inference.named_buffers()):
            _place(self.inference, name, self.buffers[f"inference.{name}"])

    def __len__(self) -> int:
        return len(self.modules)

    def forward(
        self, x: Float[Tensor, "N B D"], noise: Float[Tensor, "N S K B M"], chosen: Bool[Tensor, " N"] | None = None
    ) -> Float[Tensor, "N B"]:
        """The objective of each seed's examples under its own parameters; of seeds that are not ``chosen``, zeros."""
        if chosen is None:
            return vmap(self._one)(self.parameters, self.buffers, x, noise)
        index = chosen.nonzero().squeeze(1)
        parameters = {name: leaf[index] for name, leaf in self.parameters.items()}
        buffers = {name: leaf[index] for name, leaf in self.buffers.items()}
        value = vmap(self._one)(parameters, buffers, x[index], noise[index])
        return value.new_zeros(len(chosen), *value.shape[1:]).index_copy(0, index, value)

    def look(self, function: Callable[[VAEModule], Look], chosen: slice = slice(None)) -> Look:
        """``function`` of each of the ``chosen`` modules, in evaluation, at once: its tensors, the seeds in front.

        What ``function`` draws at random is the same for all of them.
        """
        parameters = {f"frame.{name}": leaf.detach()[chosen] for name, leaf in self.parameters.items()}
        buffers = {f"frame.{name}": leaf[chosen] for name, leaf in self.buffers.items()}
        within, training = _Within(self.frame), self.frame.training

        def one(parameters: dict[str, Tensor], buffers: dict[str, Tensor]) -> Look:
            return functional_call(within, (parameters, buffers), (function,))

        self.frame.eval()
        try:
            return vmap(one, randomness="same")(parameters, buffers)
        finally:
            self.frame.train(training)

    def advance(self, step: int, steps: int) -> None:
        """Moves the schedules of every objective."""
        for module in (self.frame, *self.modules):
            module.objective.advance(step, steps)

    def group(self, group: Group) -> list[str]:
        """The names of the trainable parameters of a group, in the order of ``parameter_group``."""
        names = {id(parameter): name for name, parameter in self.frame.named_parameters()}
        return [names[id(parameter)] for parameter in self.frame.parameter_group(group)]

    def _one(self, parameters: dict[str, Tensor], buffers: dict[str, Tensor], x: Tensor, noise: Tensor) -> Tensor:
        return functional_call(self.frame, (parameters, buffers), (x, noise))


def obstacle(module: VAEModule, x: Observations) -> str | None:
    """Why modules like this one cannot be stacked, found by trying it on a few examples; None where they can."""
    for name, part in module.vae.named_modules():
        if isinstance(part, nn.RNNBase):
            return f"{type(part).__name__} ({name}) has no rule for vectorising"
    stack = Stack([copy.deepcopy(module) for _ in range(2)])
    noise = module.vae.posterior.draw_noise(module.objective.samples, len(x), generator("probe"))
    try:
        value = stack.forward(torch.stack([x, x]), torch.stack([noise, noise]))
        value.sum().backward()  # type: ignore[no-untyped-call]
    except UserError:
        return None  # what one run refuses, with a better message than this probe could give
    except (RuntimeError, NotImplementedError, ValueError) as error:  # how torch.func says that it has no rule
        return str(error).strip().split("\n")[0][:200]
    return None


class _Within(nn.Module):
    """Calls a function of ``frame``: ``functional_call`` replaces the weights for a ``forward`` alone."""

    def __init__(self, frame: VAEModule) -> None:
        super().__init__()
        self.frame = frame

    def forward(self, function: Callable[[VAEModule], Look]) -> Look:
        return function(self.frame)


def _place(module: nn.Module, name: str, value: Tensor) -> None:
    """Puts ``value`` where the buffer ``name`` is."""
    path, _, last = name.rpartition(".")
    module.get_submodule(path)._buffers[last] = value
