"""Lagging VAE: while mutual information rises, the encoder is trained to convergence before each model step."""

import torch

from lid_vae.distribution.approximation import Approximation
from lid_vae.errors import UserError
from lid_vae.inference.base import Draw, Group, Inference, Minimise
from lid_vae.objective.base import Objective
from lid_vae.shapes import Float, Tensor
from lid_vae.vae import VAE

__all__ = ["Aggressive"]


class Aggressive(Inference):
    """Aggressive training of the inference network (He et al. 2019, algorithm 1).

    Inner loop: steps on the posterior's parameters with fresh batches. The mean bound of every ``window`` inner steps
    is compared with that of the window before; the loop ends when it has not risen, or after ``most`` steps. Then one
    step on the model's parameters with the step's own batch.

    Outer stop: at each validation the mutual information of z on the validation set is compared with the last one; when
    it has not risen, aggressive training ends for good and steps are joint. The state travels in checkpoints.

    ``aggressive=False`` is joint training, exactly.
    """

    needs_gradient = False
    groups: tuple[Group, ...] = ("posterior", "model")
    active: Tensor
    last_information: Tensor

    def __init__(self, aggressive: bool = True, window: int = 10, most: int = 100) -> None:
        super().__init__()
        if window < 1 or most < 1:
            raise UserError(f"The aggressive loop needs window >= 1 and most >= 1, got window={window}, most={most}.")
        self.window, self.most = window, most
        self.register_buffer("active", torch.tensor(aggressive))
        self.register_buffer("last_information", torch.tensor(float("-inf")))

    def posterior(
        self, vae: VAE, objective: Objective, x: Float[Tensor, "B D"], noise: Float[Tensor, "S K B M"]
    ) -> Approximation:
        return vae.posterior.distribution(vae.posterior.encode(x))

    def update(
        self, vae: VAE, objective: Objective, x: Tensor, noise: Tensor, minimise: Minimise, draw: Draw
    ) -> Float[Tensor, " B"]:
        aggressive = bool(self.active)
        if aggressive:
            self._inner_loop(vae, objective, minimise, draw)
        value = objective(vae, x, self.posterior(vae, objective, x, noise), noise)
        minimise(-value.mean(), "model" if aggressive else "all")
        return value.detach()

    def validated(self, information: float) -> None:
        if bool(self.active) and information <= float(self.last_information):
            self.active.fill_(False)
        self.last_information.fill_(information)

    def _inner_loop(self, vae: VAE, objective: Objective, minimise: Minimise, draw: Draw) -> None:
        before = float("-inf")
        total = 0.0
        for step in range(1, self.most + 1):
            x, noise = draw(step)
            value = objective(vae, x, self.posterior(vae, objective, x, noise), noise).mean()
            minimise(-value, "posterior")
            total += float(value.detach())
            if step % self.window == 0:
                if total <= before:
                    return
                before, total = total, 0.0
