"""A step's bound, gradient and Adam as one CUDA graph: a thousand kernels started at once, not one by one.

What a graph holds is frozen: the addresses of its tensors, and every number that Python computed. So a step is captured
anew where one of these has changed, and what changes too often is not captured. The first captured step is held against
the plain one, and stands where the two agree: so does it in a run that goes on from there. Where dropout draws from the
device's own generator, a replay goes on from where that generator stands, as the plain step does.
"""

import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl
import torch
from torch import nn

from lid_vae.inference.base import Group, Updates
from lid_vae.shapes import Bool, Tensor
from lid_vae.system.processes import process_place
from lid_vae.train.step.captured_adam import CapturedAdam
from lid_vae.train.step.take_step import Bound
from lid_vae.train.step.together import Together
from lid_vae.train.step.written import Written
from lid_vae.train.vae_module import VAEModule

__all__ = [
    "BEFORE_ADAM",
    "RECORDS",
    "WITHIN",
    "Captured",
    "Record",
    "callback_with",
    "captured_step",
    "cuda_graph",
    "not_captured",
]

Record = Callable[[Callable[[], None]], Callable[[], None]]
"""Captures what a function does on the device; what that returns does it again, in the same memory."""

# Of Lightning's callbacks: called within what is captured, so at no replay.
WITHIN = ("on_before_backward", "on_after_backward")
BEFORE_ADAM = ("on_before_optimizer_step",)
FULL = ("32-true", "64-true")
WARM_UP = 3
CAPTURES = 4
# Of what differs between a kernel that runs by itself and the same in a graph, which may choose another algorithm.
TOLERANCE = {torch.float32: 1e-3, torch.float64: 1e-8}
_COUNTERS = {"step", "steps"}  # of a module, read by no computation
_PLAIN = (bool, int, float, str)


def cuda_graph(work: Callable[[], None]) -> Callable[[], None]:
    """A ``Record`` for CUDA: ``work``, warmed up on a stream of its own, as a ``torch.cuda.CUDAGraph``."""
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(WARM_UP):
            work()
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    return graph.replay


RECORDS: dict[str, Record] = {"cuda": cuda_graph}
"""By the kinds of devices that can capture."""


def not_captured(module: VAEModule, trainer: pl.Trainer) -> str | None:
    """Why no step of ``module`` under Lightning's ``trainer`` can be captured, as far as one sees before; or None."""
    if module.vae.likelihood.symbols is not None:
        return "every batch of sequences has a size of its own"
    if process_place().size > 1:
        return "several processes share a batch"
    if trainer.precision not in FULL:
        return f"trainer.precision={trainer.precision} chooses the kinds of numbers as it goes"
    called = callback_with(trainer, WITHIN)
    return None if called is None else f"{called} is called within the step"


def callback_with(trainer: pl.Trainer, hooks: Sequence[str]) -> str | None:
    """The name of a callback of ``trainer`` that has one of these ``hooks`` of Lightning's; None if none has."""
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if any(getattr(type(callback), name) is not getattr(pl.Callback, name) for name in hooks):
            return type(callback).__name__
    return None


def captured_step(
    together: Together, bound: Bound, trainer: pl.Trainer, moving: Callable[[], bool]
) -> "Captured | None":
    """``bound`` of ``together``, captured where Lightning's ``trainer`` trains; None where it cannot be, which is said.

    ``moving``: whether all members live.
    """
    module = together.modules[0]
    record = RECORDS.get(module.device.type)
    if record is None:
        return None
    reason = not_captured(module, trainer)
    if reason is None:
        free = callback_with(trainer, BEFORE_ADAM) is None
        return Captured(together, bound, record, lambda: free and moving())
    warnings.warn(f"trainer.capture has no effect here: {reason}.", stacklevel=2)
    return None


@dataclass
class _Capture:
    """One captured update: where its inputs are put, and where its value and gradients are found after ``replay``.

    ``adam`` is the optimiser whose step is within, if one is.
    """

    replay: Callable[[], None]
    x: Tensor
    noise: Tensor
    found: Tensor
    gradients: list[Tensor | None]
    frozen: tuple[Any, ...]
    adam: CapturedAdam | None


class Captured:
    """A ``Bound`` whose call leaves the gradients of its mean, clipped, in the parameters of ``together``.

    ``bound`` is the plain one; ``record`` captures, each kind of update by itself, for all seeds whoever is chosen.
    Where one Adam moves all, and ``moving`` says that none stands still, its step is captured too, from the second on.
    Where a step cannot be captured, is not what the plain one is, or changes its numbers with every step, it goes on as
    the plain one, and a warning says why. Whether something that a graph holds has changed is looked up at the call
    after ``look``, and where another graph is used than before; of an objective, which follows a schedule, at each.
    """

    def __init__(
        self, together: Together, bound: Bound, record: Record, moving: Callable[[], bool] = lambda: False
    ) -> None:
        self.together, self.bound, self.record, self.moving = together, bound, record, moving
        self.group: Group = "all"
        self.captures: dict[tuple[Any, ...], _Capture] = {}
        self.counts: Counter[tuple[Any, ...]] = Counter()
        self.obstacle: str | None = None
        self._differentiated = self._moved = False
        self._adam: CapturedAdam | None = None
        self._adam_within = True
        self._numbers, self._scheduled = _Numbers(together.frame), _Numbers(together.frame.objective)
        self._seen: tuple[Any, ...] | None = None

    def look(self) -> None:
        """Something that a graph holds may have changed since the last call."""
        self._seen = None

    def __call__(self, x: Tensor, noise: Tensor, chosen: Bool[Tensor, "*seeds"] | None = None) -> Tensor:
        if self.obstacle is not None:
            return self.bound(x, noise, chosen)
        optimizer = self._optimizer()
        if optimizer is not None and not optimizer.state:
            return self.bound(x, noise, chosen)  # its moments are made by its first step
        adam = self._within(optimizer)
        key = (self.group, adam is not None, x.shape, x.dtype, noise.shape, noise.dtype)
        capture = self.captures.get(key)
        seen = (key, self._scheduled())
        if capture is None or self._seen != seen:
            frozen = self._frozen(adam)
            if capture is None or capture.frozen != frozen:
                return self._capture(key, frozen, x, noise, adam)
            self._seen = seen
        capture.x.copy_(x)
        capture.noise.copy_(noise)
        if adam is not None:
            adam.set_rate()
        capture.replay()
        return self._give(capture)

    def following(self, updates: Updates) -> Updates:
        """The same ``updates``; the bound is then called, and differentiated, for the group of the latest."""
        update = next(updates)
        while True:
            self.group = update.group
            value = yield update
            try:
                update = updates.send(value)
            except StopIteration:
                return

    def take_gradients(self) -> bool:
        """Whether the gradients of the latest call stand in the parameters already; asked once."""
        done, self._differentiated = self._differentiated, False
        return done

    def take_move(self) -> bool:
        """Whether the latest call has moved the parameters already; asked once."""
        done, self._moved = self._moved, False
        return done

    def _optimizer(self) -> torch.optim.Optimizer | None:
        """The one that moves all members by the next update, if its step can be captured."""
        if self.group != "all" or not self._adam_within or not self.moving():
            return None
        optimizer = self.together.joint_optimizer()
        return optimizer if optimizer is not None and CapturedAdam.fits(optimizer) else None

    def _within(self, optimizer: torch.optim.Optimizer | None) -> CapturedAdam | None:
        if optimizer is None:
            return None
        if self._adam is None or self._adam.optimizer is not optimizer:
            self._adam = CapturedAdam(optimizer)
        return self._adam

    def _capture(
        self, key: tuple[Any, ...], frozen: tuple[Any, ...], x: Tensor, noise: Tensor, adam: CapturedAdam | None
    ) -> Tensor:
        self.counts[key] += 1
        if self.counts[key] > CAPTURES:
            return self._give_up(x, noise, "numbers of the model or of its objective change as it trains")
        leaves = self._leaves()
        own_x, own_noise = x.clone(), noise.clone()
        written = [*([] if adam is None else adam.tensors()), *self._buffers()]
        before = Written(written, x.device)
        plain = self._work(own_x, own_noise)
        if adam is not None:
            adam.optimizer.step()
        wanted = [plain, *(leaf.grad for leaf in leaves)]
        after = Written(written, x.device)
        held: list[Tensor] = []

        def work() -> None:
            held[:] = [self._work(own_x, own_noise)]
            if adam is not None:
                adam.step()

        try:
            before.put_back()
            replay = self.record(torch.enable_grad()(work))
            gradients = [leaf.grad for leaf in leaves]
            capture = _Capture(replay, own_x, own_noise, held[0], gradients, self._frozen(adam), adam)
            before.put_back()
            if adam is not None:
                adam.set_rate()
            replay()
            same = all(map(_alike, [capture.found, *capture.gradients], wanted))
            same = same and (adam is None or adam.alike(before.values, after.values))
        except (RuntimeError, NotImplementedError) as error:
            reason = str(error).strip().split("\n")[0][:200]
            capture, same = None, False
        else:
            reason = "the captured step is not the plain one"
        if not same or capture is None or capture.frozen != frozen:
            after.put_back()
            for leaf, gradient in zip(leaves, wanted[1:], strict=True):
                leaf.grad = gradient
            self._differentiated, self._moved = True, adam is not None
            if adam is not None:
                self._adam_within = False  # the next step is captured without
            else:
                self._say(reason if not same else "the step changes what it reads")
            return plain
        self.captures = {**self.captures, key: capture}
        return self._give(capture)

    def _work(self, x: Tensor, noise: Tensor) -> Tensor:
        value = self.bound(x, noise)
        self.together.differentiate(-value.mean(-1), self.group, _backward)
        for leaf in self._leaves():
            if leaf.grad is not None and leaf.grad.stride() != leaf.stride():  # fused optimisers refuse these
                leaf.grad = torch.empty_like(leaf).copy_(leaf.grad)
        return value.detach()

    def _give(self, capture: _Capture) -> Tensor:
        for leaf, gradient in zip(self._leaves(), capture.gradients, strict=True):
            leaf.grad = gradient
        self._differentiated, self._moved = True, capture.adam is not None
        return capture.found.clone()  # the next replay writes over it

    def _give_up(self, x: Tensor, noise: Tensor, reason: str) -> Tensor:
        self._say(reason)
        return self.bound(x, noise)

    def _say(self, reason: str) -> None:
        self.obstacle = reason
        self.captures = {}
        warnings.warn(f"trainer.capture has no effect here: {reason}.", stacklevel=2)

    def _leaves(self) -> Sequence[Tensor]:
        return self.together.groups[self.group]

    def _buffers(self) -> list[Tensor]:
        return self.together.tensors()[1]

    def _frozen(self, adam: CapturedAdam | None) -> tuple[Any, ...]:
        """What a graph takes for constant: where tensors are, and the numbers of the model's parts and of ``adam``."""
        parameters, buffers = self.together.tensors()
        places = (tensor.data_ptr() for tensor in (*parameters, *buffers))
        return (*places, *self._numbers(), *(() if adam is None else adam.frozen()))


def _backward(total: Tensor, inputs: Sequence[Tensor]) -> None:
    total.backward(inputs=inputs)  # type: ignore[no-untyped-call]


class _Numbers:
    """Every number, word and truth value that the parts of ``module`` hold, but for Lightning's own of the whole.

    It is asked at every step: what to read is found once, and again where a part has got or lost an attribute.
    """

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.places: list[tuple[dict[str, object], int, list[str]]] = []

    def __call__(self) -> list[object]:
        if not self.places or any(len(held) != count for held, count, _ in self.places):
            self.places = [self._place(part) for part in self.module.modules()]
        values = [held.get(name) for held, _, names in self.places for name in names]
        return [value if isinstance(value, _PLAIN) else type(value) for value in values]

    def _place(self, part: nn.Module) -> tuple[dict[str, object], int, list[str]]:
        held = part.__dict__
        names = [name for name, value in held.items() if name[0] != "_" or value is None or isinstance(value, _PLAIN)]
        if part is self.module:
            names = [name for name in names if name not in _COUNTERS and not name.startswith("_")]
        return held, len(held), names


def _alike(one: Tensor | None, other: Tensor | None) -> bool:
    if one is None or other is None:
        return one is other
    scale = float(other.abs().max()) if other.numel() else 0.0
    return bool(((one - other).abs() <= TOLERANCE.get(other.dtype, 1e-2) * max(scale, 1e-6)).all())
