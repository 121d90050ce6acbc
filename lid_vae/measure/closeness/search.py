"""The closest outputs at a given distance of latents, by gradient from many starts."""

from collections.abc import Callable
from typing import NamedTuple

import torch

from lid_vae.distribution.latent import LatentDistribution
from lid_vae.shapes import Float, Tensor

__all__ = ["Box", "box_of", "closest_pairs", "flattest_directions"]

# Of the optimiser, in standard deviations of the prior, and of a direction of length one: first and last step.
FIRST, LAST = 0.1, 1e-3
# Of a numerical derivative, in standard deviations of the prior; in double precision.
NUDGE = 1e-5
# So that the logarithm of no difference at all is a number.
TINY = 1e-300
# Positive latents stay above this share of their prior standard deviation.
LEAST = 1e-3


class Box(NamedTuple):
    """Where latents are looked for: from ``low`` to ``high``, both [M].

    ``scale`` is the prior's standard deviation of each dimension.
    """

    low: Float[Tensor, " M"]
    high: Float[Tensor, " M"]
    scale: Float[Tensor, " M"]

    @property
    def unit(self) -> Float[Tensor, ""]:
        """One standard deviation of the prior as a distance: the root mean square over dimensions."""
        return self.scale.square().mean().sqrt()

    def shift(self, first: Float[Tensor, "*batch M"], second: Float[Tensor, "*batch M"]) -> Float[Tensor, "*batch M"]:
        """What moves both ends of a pair into the box, and their distance not at all.

        Where they do not fit the lower end is at ``low``.

        Args:
            first, second: the ends, of any number of pairs.
        """
        down = (torch.maximum(first, second) - self.high).clamp_min(0)
        return (self.low - (torch.minimum(first, second) - down)).clamp_min(0) - down


@torch.no_grad()
def box_of(prior: LatentDistribution, starts: Float[Tensor, "S M"], within: float) -> Box:
    """The mean of ``prior`` and ``within`` standard deviations to either side, and all ``starts``; w > 0 stays so."""
    mean, scale = prior.mean.detach().double(), prior.variance.detach().double().sqrt()
    low = torch.minimum(mean - within * scale, starts.amin(0))
    high = torch.maximum(mean + within * scale, starts.amax(0))
    if prior.support == "positive":
        low = low.clamp_min(0).maximum(torch.minimum(LEAST * scale, starts.amin(0)))
    return Box(low, high, scale)


@torch.no_grad()
def flattest_directions(
    values: Callable[[Tensor], Tensor], at: Float[Tensor, "S M"], unit: Float[Tensor, ""]
) -> Float[Tensor, "S M"]:
    """The direction in which ``values`` moves least at each point: the last right singular vector of its Jacobian.

    Args:
        values: w of shape [N, M] to outputs [N, D], double precision.
        at: the points.
        unit: the distance by which numerical derivatives are measured, in 1e-5ths of it.
    """
    count, latent = at.shape
    step = NUDGE * unit
    moved = at.unsqueeze(1) + step * torch.eye(latent, dtype=at.dtype, device=at.device)
    jacobian = (values(moved.flatten(0, 1)).unflatten(0, (count, latent)) - values(at).unsqueeze(1)) / step
    return torch.linalg.eigh(jacobian @ jacobian.mT).eigenvectors[..., 0]


@torch.enable_grad()
def closest_pairs(
    gap: Callable[[Tensor, Tensor], Tensor],
    middle: Float[Tensor, "S M"],
    direction: Float[Tensor, "S M"],
    distances: Float[Tensor, " R"],
    box: Box,
    steps: int,
) -> tuple[Float[Tensor, "R S M"], Float[Tensor, "R S M"]]:
    """Pairs of latents at each of ``distances``, moved so that ``gap`` is small: the best that each start has met.

    Adam on the middle and the direction of each pair (Kingma and Ba 2015), with steps that shrink from 0.1 standard
    deviations to 0.001; the distance stays what it is, and both ends stay in ``box``. What is found is an upper bound
    of the least gap: no search proves that there is no closer pair.

    Args:
        gap: (a, b), both [N, M], to a number of each pair, above or equal 0.
        middle, direction: where the pairs start.
        distances: |a - b|, in the units of w.
        box: where the latents are.
        steps: of the optimiser; 0 leaves the starts as they are.
    """
    count, starts = len(distances), len(middle)
    half = (distances / 2).repeat_interleave(starts).unsqueeze(-1)
    centre = (middle / box.scale).repeat(count, 1).requires_grad_()
    along = direction.repeat(count, 1).requires_grad_()
    optimiser = torch.optim.Adam([centre, along], lr=FIRST, betas=(0.9, 0.99))
    decay = torch.optim.lr_scheduler.ExponentialLR(optimiser, (LAST / FIRST) ** (1 / max(steps, 1)))
    least = torch.full((count * starts,), torch.inf, dtype=middle.dtype, device=middle.device)
    best = [torch.zeros_like(centre), torch.zeros_like(centre)]
    for step in range(steps + 1):
        with torch.no_grad():
            along /= along.norm(dim=-1, keepdim=True).clamp_min(TINY)
            centre += box.shift(centre * box.scale - half * along, centre * box.scale + half * along) / box.scale
        offset = half * along / along.norm(dim=-1, keepdim=True)
        first, second = centre * box.scale - offset, centre * box.scale + offset
        found = gap(first, second)
        with torch.no_grad():
            better = found.detach() < least
            least = torch.where(better, found.detach(), least)
            for kept, now in zip(best, (first, second), strict=True):
                kept[better] = now.detach()[better]
        if step == steps or not found.requires_grad:
            break
        slopes = torch.autograd.grad((found + TINY).log().sum(), (centre, along), allow_unused=True)
        for parameter, slope in zip((centre, along), slopes, strict=True):
            parameter.grad = None if slope is None else slope.nan_to_num(0.0, 0.0, 0.0)
        optimiser.step()
        decay.step()
    return best[0].unflatten(0, (count, starts)), best[1].unflatten(0, (count, starts))
