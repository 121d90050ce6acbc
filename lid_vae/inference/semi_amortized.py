"""SA-VAE: the encoder's variational parameters, refined for each example by gradient steps on the bound."""

from collections.abc import Callable

import torch

from lid_vae.distribution.approximation import Approximation, Parameters
from lid_vae.errors import UserError
from lid_vae.inference.base import Group, Inference, Update, Updates
from lid_vae.objective.base import Objective
from lid_vae.shapes import Bool, Float, Observations, Tensor
from lid_vae.vae import Autoencoder

__all__ = ["SemiAmortized"]

# What a step that was taken back makes of the next ones.
SHRINK = 0.25
# The draws of so many neighbours judge a step. Fewer are deceived: of many steps that do harm, some seem to rise.
JUDGES = 4
# A fall of so many nats is no reason to take a step back.
TOLERANCE = 0.25


Value = Callable[[Parameters, Float[Tensor, "S K B M"]], Float[Tensor, " B"]]
"""(variational parameters, draws) -> the objective of each example there."""
Slope = Callable[[Parameters, Float[Tensor, "S K B M"]], Parameters]
"""(variational parameters, draws) -> its gradient in them, bounded."""


class SemiAmortized(Inference):
    """Semi-amortised inference (Kim et al. 2018, algorithm 1), the same in training and evaluation.

    ``steps`` of gradient ascent with ``learning_rate`` and ``momentum`` on the objective of each example, its gradient
    clipped to norm ``clip`` (None: not clipped). Training differentiates through the refinement, so encoder and decoder
    get second-order gradients; with ``first_order`` (which is not in the paper, and takes less time) the steps are
    constants, and the encoder follows the slope where they end. Zero steps are amortised inference exactly. The
    refinement uses draws of its own: those of the neighbouring example in the batch. Raises ``UserError`` for options
    out of range, for a posterior without parameters, and for draws without a reparametrised gradient.

    Algorithm 1 takes all its steps by the same draws. By few of them, and in many dimensions, it fits q to those draws,
    and the bound by any others falls, in injective decoders by dozens of nats. With ``guard`` (which is not in the
    paper) every step has draws of its own, and is judged by four times as many that have not made it: where the change
    of an example's objective, less one standard error, is a fall of over a quarter of a nat, or no number, the step is
    taken back, and the next ones are a quarter as long. That costs eight more passes of the decoder a step, none of
    them differentiated; by one draw a ``learning_rate`` of 0.1 suits it better than the paper's. None: with a guard
    where the likelihood is identifiable.
    """

    needs_gradient = True
    groups: tuple[Group, ...] = ("all",)

    def __init__(
        self,
        steps: int = 5,
        learning_rate: float = 1.0,
        momentum: float = 0.5,
        clip: float | None = 5.0,
        guard: bool | None = False,
        first_order: bool = False,
    ) -> None:
        super().__init__()
        if steps < 0 or learning_rate <= 0 or not 0 <= momentum < 1 or (clip is not None and clip <= 0):
            raise UserError(
                "SA-VAE needs steps >= 0, learning_rate > 0, 0 <= momentum < 1 and clip > 0, got "
                f"steps={steps}, learning_rate={learning_rate}, momentum={momentum}, clip={clip}."
            )
        self.steps, self.learning_rate, self.momentum, self.clip = steps, learning_rate, momentum, clip
        self.guard, self.first_order = guard, first_order

    def posterior(
        self, vae: Autoencoder, objective: Objective, x: Observations, noise: Float[Tensor, "S K B M"]
    ) -> Approximation:
        parameters = vae.posterior.encode(x)
        return vae.posterior.distribution(self.refine(vae, objective, x, parameters, noise.roll(1, -2)))

    def refine(
        self, vae: Autoencoder, objective: Objective, x: Observations, parameters: Parameters, noise: Tensor
    ) -> Parameters:
        """The ``parameters`` after ``steps`` steps of ascent on the ``objective`` of the examples ``x``.

        ``noise`` gives the draws of q. Differentiable in the parameters given and in the weights of ``vae``.
        """

        if self.steps > 0 and (not parameters or not any(True for _ in vae.posterior.parameters())):
            raise UserError(
                f"SA-VAE refines what an encoder says of each x, and {type(vae.posterior).__name__} has no parameters "
                "to refine. Use Amortized."
            )
        if self.steps > 0 and not vae.posterior.distribution(parameters).reparametrised:
            raise UserError(
                "SA-VAE differentiates through its refinement, and a Bernoulli latent has no reparametrised gradient "
                "to refine by. Use Amortized, or a prior with component='gamma', 'log_normal' or 'gaussian'."
            )
        if self.steps == 0:
            return parameters

        def value(at: Parameters, draws: Float[Tensor, "S K B M"]) -> Float[Tensor, " B"]:
            return objective(vae, x, vae.posterior.distribution(at), draws)

        def slope(at: Parameters, draws: Float[Tensor, "S K B M"]) -> Parameters:
            # torch.func.grad, because torch.autograd.grad on inner tensors fails under vmap.
            with torch.backends.cudnn.flags(enabled=False):  # its LSTMs have no second derivative
                return self._clipped(torch.func.grad(lambda place: value(place, draws).sum())(at))

        def ascend(start: Parameters) -> Parameters:
            if vae.likelihood.identifiable if self.guard is None else self.guard:
                return self._guarded(value, slope, start, noise)
            return self._plain(slope, start, noise)

        with vae.likelihood.keeping(x):
            if not self.first_order:
                return ascend(parameters)
            with torch.no_grad():
                found = ascend({name: value.detach() for name, value in parameters.items()})
            # As far as gradients go, the steps are constants.
            return {name: found[name] + (value - value.detach()) for name, value in parameters.items()}

    def _plain(self, slope: Slope, parameters: Parameters, noise: Float[Tensor, "S K B M"]) -> Parameters:
        velocity = {name: torch.zeros_like(value) for name, value in parameters.items()}
        for _ in range(self.steps):
            gradient = slope(parameters, noise)
            velocity = {name: self.momentum * velocity[name] + gradient[name] for name in parameters}
            parameters = {name: value + self.learning_rate * velocity[name] for name, value in parameters.items()}
        return parameters

    def _guarded(
        self, value: Value, slope: Slope, parameters: Parameters, noise: Float[Tensor, "S K B M"]
    ) -> Parameters:
        batch = noise.shape[-2]
        rate = torch.full((batch,), self.learning_rate, dtype=noise.dtype, device=noise.device)
        still = {name: torch.zeros_like(value) for name, value in parameters.items()}
        velocity, draws = still, noise
        for step in range(self.steps):
            gradient = slope(parameters, draws)
            velocity = {name: self.momentum * velocity[name] + gradient[name] for name in parameters}
            moved = {name: value + _rows(rate, value) * velocity[name] for name, value in parameters.items()}
            # Of the neighbour's neighbour, and so on: never the example's own, by which q is sampled afterwards.
            judges = [noise.roll((step + 1 + judge) % max(batch - 1, 1), -2) for judge in range(JUDGES)]
            draws = judges[0]
            with torch.no_grad():
                rise = torch.stack([value(moved, judge) - value(parameters, judge) for judge in judges])
            kept = rise.mean(0) - rise.std(0) / JUDGES**0.5 >= -TOLERANCE  # which no NaN is
            parameters, velocity = _chosen(kept, moved, parameters), _chosen(kept, velocity, still)
            rate = torch.where(kept, rate, rate * SHRINK)
        return parameters

    def updates(self) -> Updates:
        yield Update("all")

    def _clipped(self, gradient: Parameters) -> Parameters:
        """Each example's gradient, over all its parameters together, bounded by ``clip``."""
        if self.clip is None:
            return gradient
        square = torch.zeros((), device=next(iter(gradient.values())).device)
        for name, value in gradient.items():
            square = square + (value.square().sum(0) if name == "logits" else value.square().sum((0, -1)))
        factor = (self.clip / (square + 1e-12).sqrt()).clamp_max(1.0)
        return {name: value * _rows(factor, value) for name, value in gradient.items()}


def _rows(factor: Float[Tensor, " B"] | Bool[Tensor, " B"], value: Tensor) -> Tensor:
    """``factor`` as it multiplies the examples of ``value``: logits [K, B], all others [K, B, M]."""
    return factor if value.ndim == 2 else factor.unsqueeze(-1)


def _chosen(first: Bool[Tensor, " B"], one: Parameters, other: Parameters) -> Parameters:
    """Example by example from ``one`` or the ``other``."""
    return {name: torch.where(_rows(first, value), value, other[name]) for name, value in one.items()}
