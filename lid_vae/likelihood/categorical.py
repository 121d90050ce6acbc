"""Categorical likelihood in minimal form: V - 1 free logits and a constant 0."""

import torch
import torch.nn.functional as F

from lid_vae.errors import UserError
from lid_vae.likelihood.base import VectorLikelihood, VectorObservation
from lid_vae.map.base import Map
from lid_vae.shapes import Float, Int, Tensor

__all__ = ["CategoricalLikelihood", "minimal_logits"]


def minimal_logits(free: Float[Tensor, "*batch free"]) -> Float[Tensor, "*batch free+1"]:
    """Append a constant 0. The softmax of V free logits is not injective; of these it is."""
    return F.pad(free, (0, 1))


class CategoricalObservation(VectorObservation):
    """One symbol for each w."""

    def __init__(self, logits: Float[Tensor, "*batch V"]) -> None:
        self.log_probability = torch.log_softmax(logits, -1)

    @property
    def mean(self) -> Tensor:  # type: ignore[override]
        return self.log_probability.exp()

    def log_prob(self, x: Int[Tensor, " B"]) -> Float[Tensor, "*batch"]:
        index = x.expand(self.log_probability.shape[:-1]).unsqueeze(-1)
        return self.log_probability.gather(-1, index).squeeze(-1)

    def sample(self, generator: torch.Generator) -> Tensor:
        flat = self.log_probability.exp().flatten(0, -2)
        return torch.multinomial(flat, 1, generator=generator).view(self.log_probability.shape[:-1])


class CategoricalLikelihood(VectorLikelihood):
    """x | w ~ Categorical over V symbols, ``map`` onto R^(V-1). Raises ``UserError`` if the dimensions do not meet."""

    binary = False

    def __init__(self, map: Map, symbols: int) -> None:
        super().__init__(map)
        if map.out_features != symbols - 1:
            raise UserError(
                f"A categorical likelihood over {symbols} symbols needs a map onto {symbols - 1} logits, "
                f"got {map.out_features}."
            )

    def forward(self, w: Float[Tensor, "*batch M"]) -> CategoricalObservation:
        return CategoricalObservation(minimal_logits(self.map(w)))

    @torch.no_grad()
    def initialise(self, mean: Float[Tensor, " V"], w: Float[Tensor, "N M"]) -> None:
        logits = mean.clamp_min(1e-6).log()
        self.map.initialise_bias(torch.zeros_like(logits[:-1]))
        self.map.initialise_bias(logits[:-1] - logits[-1] - self.map(w).mean(0))
