"""The step of an Adam as part of a graph: its rate is read from the device, so that it can follow a schedule."""

from operator import is_not

import torch

from lid_vae.shapes import Tensor

__all__ = ["CapturedAdam"]

# Of a difference that rounding makes: Adam divides small gradients by small moments.
TOLERANCE = 0.05
_RATES = {"params", "lr", "initial_lr"}


class CapturedAdam:
    """``step`` is that of ``optimizer``, at the rate of ``set_rate``; all that it writes to stays where it is.

    ``optimizer`` must be one that ``fits``, and have stepped before: its moments are made at its first step.
    """

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        assert self.fits(optimizer)
        self.optimizer = optimizer
        (self.group,) = optimizer.param_groups
        # Its kernel reads a rate in single precision, whatever the parameters have.
        self.rate = torch.zeros((), dtype=torch.float32, device=self.group["params"][0].device)
        self._states: list[dict[str, Tensor]] = []
        self._tensors: list[Tensor] = [*self.group["params"]]

    @staticmethod
    def fits(optimizer: torch.optim.Optimizer) -> bool:
        """Whether ``optimizer`` is a fused Adam, which counts its steps on the device, of one group of parameters."""
        groups = optimizer.param_groups
        is_adam = type(optimizer) in (torch.optim.Adam, torch.optim.AdamW)
        return is_adam and len(groups) == 1 and bool(groups[0].get("fused"))

    def set_rate(self) -> None:
        """The rate of the following steps is that of the optimiser."""
        self.rate.fill_(float(self.group["lr"]))

    def step(self) -> None:
        """To be captured. What the optimiser says of itself, and writes into checkpoints, is as before."""
        own = {name: self.group[name] for name in ("lr", "capturable")}
        self.group.update(lr=self.rate, capturable=True)
        # It warns of a step like this outside of a capture, as that before a capture is.
        self.optimizer._warned_capturable_if_run_uncaptured = True  # type: ignore[attr-defined]
        try:
            self.optimizer.step()
        finally:
            self.group.update(own)

    def tensors(self) -> list[Tensor]:
        """All that a step writes to: parameters, counts and moments."""
        held = self.optimizer.state.values()
        if len(held) != len(self._states) or any(map(is_not, held, self._states)):  # they are asked for at every step
            self._states = list(held)
            self._tensors = [*self.group["params"], *(value for state in held for value in state.values())]
        return self._tensors

    def frozen(self) -> list[object]:
        """What a graph takes for constant: where tensors are, and the numbers but for the rate."""
        numbers = [value for name, value in self.group.items() if name not in _RATES]
        return [tensor.data_ptr() for tensor in self.tensors()] + numbers

    def alike(self, before: list[Tensor], wanted: list[Tensor]) -> bool:
        """Whether the parameters have gone from ``before`` to where they are ``wanted``, as ``tensors`` lists them."""
        parameters = self.group["params"]
        moved = [parameter.detach() - old for parameter, old in zip(parameters, before, strict=False)]
        meant = [new - old for new, old in zip(wanted, before, strict=False)][: len(parameters)]
        error = sum(float((one - other).square().sum()) for one, other in zip(moved, meant, strict=True))
        return error <= TOLERANCE**2 * sum(float(one.square().sum()) for one in meant)
