"""Lagging VAE: while mutual information rises, the encoder is trained to convergence before each model step."""

import torch

from lid_vae.distribution.approximation import Approximation
from lid_vae.errors import UserError
from lid_vae.inference.base import Bound, Draw, Group, Inference, Minimise
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
        self, bound: Bound, x: Tensor, noise: Tensor, minimise: Minimise, draw: Draw
    ) -> Float[Tensor, "*seeds B"]:
        aggressive = self.active.clone()
        if bool(aggressive.any()):
            self._inner_loop(bound, aggressive, minimise, draw)
        value: Tensor | None = None
        states: tuple[tuple[Group, Tensor], ...] = (("model", aggressive), ("all", ~aggressive))
        # Seeds in different states are stepped one state after the other; a single run is in one.
        for group, chosen in states:
            if bool(chosen.any()):
                found = bound(x, noise)
                minimise(-found.mean(-1), group, chosen)
                value = found if value is None else torch.where(chosen.unsqueeze(-1), found, value)
        assert value is not None
        return value.detach()

    def validated(self, information: Float[Tensor, "*seeds"]) -> None:
        information = information.to(self.last_information)
        self.active.logical_and_(information > self.last_information)
        self.last_information.copy_(information)

    def _inner_loop(self, bound: Bound, running: Tensor, minimise: Minimise, draw: Draw) -> None:
        """Steps the posteriors of the seeds ``running``, each until its own window ends without a rise."""
        before: Tensor | None = None
        total = torch.zeros((), dtype=torch.float64)
        for step in range(1, self.most + 1):
            value = bound(*draw(step)).mean(-1)
            minimise(-value, "posterior", running)
            total = total + value.detach()
            if step % self.window == 0:
                if before is not None:
                    running = running & (total > before)
                if not bool(running.any()):
                    return
                before, total = total, torch.zeros_like(total)
