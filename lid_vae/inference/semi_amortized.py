"""SA-VAE: the encoder's variational parameters, refined for each example by gradient steps on the bound."""

import torch

from lid_vae.distribution.approximation import Approximation, Parameters
from lid_vae.errors import UserError
from lid_vae.inference.base import Group, Inference, Update, Updates
from lid_vae.objective.base import Objective
from lid_vae.shapes import Float, Observations, Tensor
from lid_vae.vae import Autoencoder

__all__ = ["SemiAmortized"]


class SemiAmortized(Inference):
    """Semi-amortised inference (Kim et al. 2018, algorithm 1), the same in training and evaluation.

    ``steps`` of gradient ascent with ``learning_rate`` and ``momentum`` on the objective of each example, its gradient
    clipped to norm ``clip`` (None: not clipped). Training differentiates through the refinement, so encoder and decoder
    get second-order gradients. Zero steps are amortised inference exactly. The refinement uses draws of its own: those
    of the neighbouring example in the batch. Raises ``UserError`` for options out of range, for a posterior without
    parameters, and for draws without a reparametrised gradient.
    """

    needs_gradient = True
    groups: tuple[Group, ...] = ("all",)

    def __init__(
        self, steps: int = 5, learning_rate: float = 1.0, momentum: float = 0.5, clip: float | None = 5.0
    ) -> None:
        super().__init__()
        if steps < 0 or learning_rate <= 0 or not 0 <= momentum < 1 or (clip is not None and clip <= 0):
            raise UserError(
                "SA-VAE needs steps >= 0, learning_rate > 0, 0 <= momentum < 1 and clip > 0, got "
                f"steps={steps}, learning_rate={learning_rate}, momentum={momentum}, clip={clip}."
            )
        self.steps, self.learning_rate, self.momentum, self.clip = steps, learning_rate, momentum, clip

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

        def total(variational: Parameters) -> Float[Tensor, ""]:
            return objective(vae, x, vae.posterior.distribution(variational), noise).sum()

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
        # torch.func.grad, because torch.autograd.grad on inner tensors fails under vmap.
        velocity = {name: torch.zeros_like(value) for name, value in parameters.items()}
        with vae.likelihood.keeping(x):
            for _ in range(self.steps):
                with torch.backends.cudnn.flags(enabled=False):  # its LSTMs have no second derivative
                    gradient = self._clipped(torch.func.grad(total)(parameters))
                velocity = {name: self.momentum * velocity[name] + gradient[name] for name in parameters}
                parameters = {name: value + self.learning_rate * velocity[name] for name, value in parameters.items()}
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
        return {
            name: value * (factor if name == "logits" else factor.unsqueeze(-1)) for name, value in gradient.items()
        }
