"""Lagging VAE: while mutual information rises, the encoder is trained to convergence before each model step."""

import torch

from lid_vae.distribution.approximation import Approximation
from lid_vae.errors import UserError
from lid_vae.inference.base import Group, Inference, Update, Updates
from lid_vae.objective.base import Objective
from lid_vae.shapes import Bool, Float, Observations, Tensor
from lid_vae.system.processes import average
from lid_vae.vae import Autoencoder

__all__ = ["Aggressive"]


class Aggressive(Inference):
    """Aggressive training of the inference network (He et al. 2019, algorithm 1).

    Inner stop: steps on the posterior's parameters with fresh batches. The mean bound of every ``window`` inner steps
    is compared with that of the window before; the loop ends when it has not risen, or after ``most`` steps. Then one
    step on the model's parameters with the step's own batch. The paper repeats "until convergence"; the windows of 10
    and the limit of 100 are its published code's, which begins the loop with the step's own batch, takes 99 steps at
    most, and goes on at a tie.

    Outer stop: aggressive training ends for good, and steps are joint, once the mutual information of z on the
    validation set has not exceeded its best so far at ``patience`` validations, in a row or not. The paper stops when
    it "stops climbing", which is ``patience=1``. Its code has two other rules: for images the fifth epoch below the
    best (``patience=5``), for text a change from one epoch to the next of less than a threshold, up or down (not here:
    it ends a steady slow rise, and lasts through any fall that is steep). The state travels in checkpoints.

    ``aggressive=False`` is joint training, exactly. Raises ``UserError`` for options below one.
    """

    needs_gradient = False
    groups: tuple[Group, ...] = ("posterior", "model")
    active: Tensor
    best_information: Tensor
    misses: Tensor

    def __init__(self, aggressive: bool = True, window: int = 10, most: int = 100, patience: int = 1) -> None:
        super().__init__()
        if window < 1 or most < 1 or patience < 1:
            raise UserError(
                f"The aggressive loop needs window >= 1, most >= 1 and patience >= 1, got window={window}, most={most} "
                f"and patience={patience}. Use aggressive=False to switch it off."
            )
        self.window, self.most, self.patience = window, most, patience
        self.register_buffer("active", torch.tensor(aggressive))
        self.register_buffer("best_information", torch.tensor(float("-inf")))
        self.register_buffer("misses", torch.tensor(0))

    def posterior(
        self, vae: Autoencoder, objective: Objective, x: Observations, noise: Float[Tensor, "S K B M"]
    ) -> Approximation:
        return vae.posterior.distribution(vae.posterior.encode(x))

    def updates(self) -> Updates:
        aggressive = self.active.clone()
        if bool(aggressive.any()):
            yield from self._inner_loop(aggressive)
        # Seeds in different states are stepped one state after the other; a single run is in one.
        states: tuple[tuple[Group, Tensor], ...] = (("model", aggressive), ("all", ~aggressive))
        for group, chosen in states:
            if bool(chosen.any()):
                yield Update(group, _unless_all(chosen))

    def validated(self, information: Float[Tensor, "*seeds"]) -> None:
        """Counts the validations at which ``information``, the MI of z in nats, has not risen above its best."""
        information = information.to(self.best_information)
        rose = information > self.best_information
        self.misses.add_((~rose).to(self.misses))
        self.active.logical_and_(self.misses < self.patience)
        self.best_information.copy_(torch.where(rose, information, self.best_information))

    def _inner_loop(self, running: Tensor) -> Updates:
        """Steps the posteriors of the seeds ``running``, each until its own window ends without a rise."""
        before: Tensor | None = None
        total = torch.zeros((), dtype=torch.float64)
        for step in range(1, self.most + 1):
            value = yield Update("posterior", _unless_all(running), step)
            total = total + average(value.mean(-1))
            if step % self.window == 0:
                if before is not None:
                    running = running & (total > before)
                if not bool(running.any()):
                    return
                before, total = total, torch.zeros_like(total)


def _unless_all(chosen: Bool[Tensor, "*seeds"]) -> Bool[Tensor, "*seeds"] | None:
    return None if bool(chosen.all()) else chosen
