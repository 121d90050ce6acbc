"""Several members as one computation: stacked parameters, of which every member's own are views."""

import copy
from collections.abc import Callable, Sequence
from typing import Any, get_args

import torch
from torch import nn
from torch.func import functional_call, vmap

from lid_vae.errors import UserError
from lid_vae.inference.base import Group, Inference
from lid_vae.measure.batch import BatchMeasures
from lid_vae.noise import generator
from lid_vae.shapes import Bool, Float, Observations, Tensor
from lid_vae.train.step.member_optimizers import MemberOptimizers
from lid_vae.train.step.together import States, Together
from lid_vae.train.vae_module import VAEModule

__all__ = ["Stack", "obstacle"]

# Those that treat every number of a parameter by itself, so that members stacked in one tensor do not see one another.
ELEMENTWISE = (torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD, torch.optim.RMSprop)


class Stack(Together):
    """N >= 2 modules of one kind, their parameters and buffers stacked along a leading axis, called at once by vmap.

    The modules stay whole: their parameters are views of the stacked ones, so that an update of the stack is an update
    of each, and each can be evaluated, saved and loaded by itself. Where all always step, one elementwise optimiser
    moves the stacked parameters; elsewhere each member has its own.
    """

    def __init__(self, modules: Sequence[VAEModule]) -> None:
        self.modules = list(modules)
        # What the stacked tensors are put through: the structure of one module, none of whose own values are read.
        self.frame = copy.deepcopy(self.modules[0]).train()
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
        names = {id(parameter): name for name, parameter in self.frame.named_parameters()}
        self.groups = {
            group: [self.parameters[names[id(parameter)]] for parameter in self.frame.parameter_group(group)]
            for group in get_args(Group)
        }

    def __len__(self) -> int:
        return len(self.modules)

    def forward(
        self, x: Tensor, noise: Float[Tensor, "N S K B M"], chosen: Bool[Tensor, " N"] | None = None
    ) -> Float[Tensor, "N B"]:
        if chosen is None:
            return vmap(self._one)(self.parameters, self.buffers, x, noise)
        index = chosen.nonzero().squeeze(1)
        parameters = {name: leaf[index] for name, leaf in self.parameters.items()}
        buffers = {name: leaf[index] for name, leaf in self.buffers.items()}
        value = vmap(self._one)(parameters, buffers, x[index], noise[index])
        return value.new_zeros(len(chosen), *value.shape[1:]).index_copy(0, index, value)

    def tensors(self) -> tuple[list[Tensor], list[Tensor]]:
        return list(self.parameters.values()), list(self.buffers.values())

    def noise(self, step: int, draw: int, batch: int) -> Float[Tensor, "N S K B M"]:
        if self.modules[0].counts:
            return self.noise_ahead([(step, draw)], batch)[0]
        return torch.stack([module.noise(step, draw, batch) for module in self.modules])

    def optimizers(self, states: States) -> list[torch.optim.Optimizer]:
        own = [module.make_optimizers(state) for module, state in zip(self.modules, states, strict=True)]
        self.joint = self._joint(own)
        self.forgotten: set[int] = set()
        self.kept: list[Tensor] = []
        if self.joint is not None:
            self.joint.register_step_post_hook(self._put_back)
            return [self.joint]
        together = zip(self.inference.groups, zip(*own, strict=True), strict=True)
        self.apart = [MemberOptimizers(optimizers, self.groups[group]) for group, optimizers in together]
        return list(self.apart)

    def joint_optimizer(self) -> torch.optim.Optimizer | None:
        return None if self.forgotten else self.joint

    def differentiate(self, loss: Float[Tensor, " N"], group: Group, backward: Callable[..., None]) -> None:
        leaves = self.groups[group]
        for leaf in leaves:
            leaf.grad = None
        # The sum's gradient in a member's parameters is that of the member's own loss.
        backward(loss.sum(), inputs=leaves)
        limit = self.modules[0].gradient_clip
        gradients = [leaf.grad for leaf in leaves if leaf.grad is not None]
        if limit is None or not gradients:
            return
        norms = [
            torch.linalg.vector_norm(gradient.flatten(1) if gradient.ndim > 1 else gradient.unsqueeze(1), dim=1)
            for gradient in gradients
        ]
        factor = (limit / (torch.linalg.vector_norm(torch.stack(norms), dim=0) + 1e-6)).clamp_max(1.0)
        for gradient in gradients:
            gradient.mul_(factor.view(-1, *[1] * (gradient.ndim - 1)))

    def choose(self, moving: Sequence[bool]) -> None:
        self.still = [place for place, moves in enumerate(moving) if not moves]
        if self.joint is None:
            for optimizer in self.apart:
                optimizer.moving = moving
            return
        self.kept = [leaf.detach()[self.still].clone() for leaf in self.groups["all"]] if self.still else []
        if self.forgotten:
            assert self.forgotten >= {place for place, moves in enumerate(moving) if moves}, (
                "all begin anew at one step"
            )
            self.joint.state.clear()
            self.forgotten.clear()

    def optimizer_states(self, place: int) -> list[dict[str, Any]]:
        if self.joint is None:
            return [copy.deepcopy(group.optimizers[place].state_dict()) for group in self.apart]
        state = self.joint.state_dict()
        leaves = self.groups["all"]
        own = {
            number: {
                # Copies: a view would take the numbers of all members into the file.
                name: value[place].clone() if _is_stacked(value, leaves[number]) else copy.deepcopy(value)
                for name, value in held.items()
            }
            for number, held in state["state"].items()
        }
        return [{"state": own, "param_groups": state["param_groups"]}]

    def forget(self, place: int) -> None:
        if self.joint is not None:
            self.forgotten.add(place)
            return
        for group in self.apart:
            group.optimizers[place].state.clear()

    def measure(self, function: Callable[[VAEModule], BatchMeasures], chosen: slice = slice(None)) -> BatchMeasures:
        """``function`` of each of the ``chosen`` modules, in evaluation, at once: its tensors, the members in front.

        What ``function`` draws at random is the same for all of them.
        """
        parameters = {f"frame.{name}": leaf.detach()[chosen] for name, leaf in self.parameters.items()}
        buffers = {f"frame.{name}": leaf[chosen] for name, leaf in self.buffers.items()}
        within, training = _Within(self.frame), self.frame.training

        def one(parameters: dict[str, Tensor], buffers: dict[str, Tensor]) -> BatchMeasures:
            return functional_call(within, (parameters, buffers), (function,))

        self.frame.eval()
        try:
            return vmap(one, randomness="same")(parameters, buffers)
        finally:
            self.frame.train(training)

    def _put_back(self, *_: object) -> None:
        """Undoes what a step of all has done to the members that it was not to move."""
        for leaf, kept in zip(self.groups["all"] if self.kept else [], self.kept, strict=True):
            leaf.detach()[self.still] = kept

    def _one(self, parameters: dict[str, Tensor], buffers: dict[str, Tensor], x: Tensor, noise: Tensor) -> Tensor:
        return functional_call(self.frame, (parameters, buffers), (x, noise))

    def _joint(self, own: Sequence[list[torch.optim.Optimizer]]) -> torch.optim.Optimizer | None:
        """One optimiser of the stacked parameters, if those of the members come to that, with their states."""
        (first, *_), *_ = own
        if self.inference.groups != ("all",) or type(first) not in ELEMENTWISE or len(first.param_groups) > 1:
            return None
        leaves = self.groups["all"]
        joint = self.modules[0].make_optimizer(leaves)  # type: ignore[arg-type]
        states = [optimizers[0].state_dict()["state"] for optimizers in own]
        stacked: dict[int, dict[str, Any]] = {}
        for number, held in states[0].items():
            stacked[number] = {}
            for name, value in held.items():
                values = [state[number][name] for state in states]
                if name != "step" and _is_stacked(value, leaves[number][0]):
                    stacked[number][name] = torch.stack(values)
                elif all(bool(other == value) for other in values):
                    stacked[number][name] = value
                else:
                    return None  # counts of steps that differ
        joint.load_state_dict({"state": stacked, "param_groups": joint.state_dict()["param_groups"]})
        joint.param_groups[0].update({name: value for name, value in first.param_groups[0].items() if name != "params"})
        return joint


def obstacle(module: VAEModule, x: Observations) -> str | None:
    """Why modules like ``module`` cannot be stacked, by trying it on a few examples ``x``; None where they can."""
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

    def forward(self, function: Callable[[VAEModule], BatchMeasures]) -> BatchMeasures:
        return function(self.frame)


def _is_stacked(value: object, leaf: Tensor) -> bool:
    """Whether a part of an optimiser's state has a number for each of the parameter, as moments have."""
    return isinstance(value, Tensor) and value.shape == leaf.shape


def _place(module: nn.Module, name: str, value: Tensor) -> None:
    """Puts ``value`` where the buffer ``name`` is."""
    path, _, last = name.rpartition(".")
    module.get_submodule(path)._buffers[last] = value
