"""What an encoder says of examples: q(w | x), its mean and spread, the category, and draws."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch

from lid_vae.distribution.approximation import Approximation
from lid_vae.distribution.latent import Mixture
from lid_vae.noise import generator
from lid_vae.posterior.base import Posterior
from lid_vae.prior.base import Prior
from lid_vae.shapes import Float, Int, Tensor
from lid_vae.train.posterior_mean import average

__all__ = ["Encoded", "drawing", "encoded"]

PAIRS = 16


@dataclass(frozen=True)
class Encoded:
    """q(w | x) of N examples. ``w`` is what the decoder reads; where the model has categories, z is the category.

    Attributes:
        parts: q of each batch, and its size.
        posterior, prior: what these are of.
        mean: E[w | x], [N, M]; exact for a Gaussian, else over 32 draws in opposite pairs.
        category_probability: q(z = k | x), [N, K]; None where the model has no categories.
    """

    parts: Sequence[tuple[Approximation, int]]
    posterior: Posterior
    prior: Prior
    mean: Float[Tensor, "N M"]
    category_probability: Float[Tensor, "N K"] | None

    @property
    def category(self) -> Int[Tensor, " N"] | None:
        """The most probable category of each example; None where the model has none."""
        return None if self.category_probability is None else self.category_probability.argmax(-1)

    @cached_property
    def std(self) -> Float[Tensor, "N M"]:
        """The standard deviation of each dimension of w given x, over 100 draws."""
        return self.sample(100, seed=0).std(0)

    def sample(self, count: int = 1, seed: int | None = None) -> Float[Tensor, "count N M"]:
        """``count`` draws of w for each example: functions of ``seed``, or where that is None new ones every time."""
        rng = drawing(seed, self.mean.device)
        return torch.cat([self._draws(q, size, count, rng) for q, size in self.parts], 1)

    def _draws(self, q: Approximation, size: int, count: int, rng: torch.Generator) -> Float[Tensor, "S B M"]:
        with torch.no_grad():
            w = q.sample(self.posterior.draw_noise(count, size, rng)).w
            if q.log_category is None:
                return w[:, 0]
            chosen = torch.multinomial(q.log_category.exp().mT, count, replacement=True, generator=rng).mT  # [S, B]
            return w.gather(1, chosen[:, None, :, None].expand(-1, 1, -1, w.shape[-1]))[:, 0]


def encoded(parts: Sequence[tuple[Approximation, int]], posterior: Posterior, prior: Prior) -> Encoded:
    """What ``parts``, the q of ``posterior`` for batches and their sizes, say together under ``prior``."""
    means, probabilities = [], []
    with torch.no_grad():
        p = prior()
        for q, size in parts:
            noise = posterior.draw_noise(PAIRS, size, generator("posterior mean", device=p.mean.device))
            draws = q.sample(torch.cat([noise, -noise])).w
            means.append(average(q, draws))
            if q.log_category is not None:
                probabilities.append(q.log_category.exp().mT)
            elif isinstance(p, Mixture):
                probabilities.append(p.category_log_prob(draws[:, 0]).exp().mean(0))
    return Encoded(parts, posterior, prior, torch.cat(means), torch.cat(probabilities) if probabilities else None)


def drawing(seed: int | None, device: torch.device) -> torch.Generator:
    """The generator of draws that are asked for: of ``seed``, or where that is None of PyTorch's global one."""
    key = int(torch.randint(2**31, ())) if seed is None else seed
    return generator("asked for", key, device=device)
