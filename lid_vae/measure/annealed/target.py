"""What chains are annealed between, for a batch of examples: a start that can be drawn from, and p(x, w)."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import torch

from lid_vae.distribution.flow_gaussian import FlowGaussian
from lid_vae.distribution.gaussian import normal_log_prob
from lid_vae.distribution.latent import LatentDistribution
from lid_vae.errors import UserError
from lid_vae.shapes import Float, Tensor

__all__ = ["PosteriorTarget", "PriorTarget", "Target"]

LogProb = Callable[[Tensor], Tensor]


class Target(ABC):
    """For B examples, a start and log p(x, w), both densities of coordinates u on all of R^M.

    The chains know nothing else of a model. ``dimension`` is M, ``examples`` is B; ``like`` is any tensor of the type
    and on the device of u. A change of variables takes its log-determinant with it, so that exp(``log_target``)
    integrates to p(x) and exp(``log_start``) to one.
    """

    dimension: int
    examples: int
    like: Tensor

    @abstractmethod
    def sample_start(self, chains: int, generators: Sequence[torch.Generator]) -> Float[Tensor, "C B M"]:
        """Independent draws of u from the start, C = ``chains`` of each example, from its own of B ``generators``."""

    @abstractmethod
    def log_start(self, u: Float[Tensor, "C B M"]) -> Float[Tensor, "C B"]:
        """The start's log density at ``u``, nats; differentiable."""

    @abstractmethod
    def log_target(self, u: Float[Tensor, "C B M"]) -> Float[Tensor, "C B"]:
        """log p(x, w(u)) + log |det dw/du|, nats; differentiable."""

    @abstractmethod
    def coordinates(self, w: Float[Tensor, "B M"]) -> Float[Tensor, "B M"]:
        """The u of one w for each example."""


class PosteriorTarget(Target):
    """From q(w | x) = sum_z q(z | x) q(w | x, z), a Gaussian or a mixture of them pushed through a flow, to p(x, w).

    With w = T(v), the coordinates are u = (v - mean) / scale by the mean and standard deviation of each example's v
    under q. There a Gaussian q is N(0, I) and one step size suits all dimensions; the flow is evaluated for w alone,
    and inverted for nothing but the start of a reverse chain. Positive w need no more: their flow ends in exp.

    Args:
        q: the law of w for each of B examples. Its gradients are not recorded.
        log_joint: w [C, B, M] -> log p(w) + log p(x | w) [C, B], the categories summed.

    >>> q = FlowGaussian(torch.zeros(1, 5, 2), torch.ones(1, 5, 2))
    >>> target = PosteriorTarget(q, lambda w: -w.square().sum(-1))
    >>> target.log_target(torch.zeros(3, 5, 2)).shape
    torch.Size([3, 5])
    """

    def __init__(self, q: FlowGaussian, log_joint: LogProb) -> None:
        self.mean_KBM, self.scale_KBM = q.mean.detach(), q.scale.detach()
        flow = [copy.deepcopy(bijection).requires_grad_(False) for bijection in q.flow]
        context = None if q.context is None else q.context.detach()
        self.q = FlowGaussian(self.mean_KBM, self.scale_KBM, None, flow, context)
        self.log_category_KB = torch.zeros_like(self.mean_KBM[..., 0]) if q.log_category is None else q.log_category
        self.log_category_KB = self.log_category_KB.detach()
        self.log_joint, self.like = log_joint, self.mean_KBM
        self.examples, self.dimension = self.mean_KBM.shape[1:]
        share = self.log_category_KB.exp().unsqueeze(-1)
        self.center_BM = (share * self.mean_KBM).sum(0)
        spread = (share * (self.scale_KBM.square() + (self.mean_KBM - self.center_BM).square())).sum(0)
        self.width_BM = spread.sqrt()
        self.log_width_B = self.width_BM.log().sum(-1)

    def sample_start(self, chains: int, generators: Sequence[torch.Generator]) -> Float[Tensor, "C B M"]:
        drawn = []
        for b, generator in enumerate(generators):
            noise = torch.randn(
                chains, self.dimension, generator=generator, dtype=self.like.dtype, device=self.like.device
            )
            if len(self.mean_KBM) == 1:
                drawn.append(self.mean_KBM[0, b] + self.scale_KBM[0, b] * noise)
                continue
            category = torch.multinomial(self.log_category_KB[:, b].exp(), chains, True, generator=generator)
            drawn.append(self.mean_KBM[category, b] + self.scale_KBM[category, b] * noise)
        return (torch.stack(drawn, 1) - self.center_BM) / self.width_BM

    def log_start(self, u: Float[Tensor, "C B M"]) -> Float[Tensor, "C B"]:
        v = self.center_BM + self.width_BM * u
        terms = [
            log_category + normal_log_prob(v, mean, scale).sum(-1)
            for log_category, mean, scale in zip(self.log_category_KB, self.mean_KBM, self.scale_KBM, strict=True)
        ]
        return self.log_width_B + (terms[0] if len(terms) == 1 else torch.logsumexp(torch.stack(terms), 0))

    def log_target(self, u: Float[Tensor, "C B M"]) -> Float[Tensor, "C B"]:
        w, log_determinant = self.q.push(self.center_BM + self.width_BM * u)
        return self.log_joint(w) + self.log_width_B + log_determinant

    @torch.no_grad()
    def coordinates(self, w: Float[Tensor, "B M"]) -> Float[Tensor, "B M"]:
        return (self.q.pull(w.unsqueeze(0)).squeeze(0) - self.center_BM) / self.width_BM


class PriorTarget(Target):
    """From p(w) to p(x, w), for a q that cannot be drawn from or has no density; w = u, or exp(u) where positive.

    The path of Wu et al. (2017). It is longer than that from q, and takes more temperatures.

    Args:
        prior: p(w). Raises ``UserError`` where it is binary: no gradient leads from one binary w to another.
        log_likelihood: w [C, B, M] -> log p(x | w) [C, B].
        examples: B.

    >>> from lid_vae.distribution import StandardNormal
    >>> target = PriorTarget(StandardNormal(torch.zeros(2)), lambda w: -w.square().sum(-1), examples=5)
    >>> target.log_start(torch.zeros(3, 5, 2)).shape
    torch.Size([3, 5])
    """

    def __init__(self, prior: LatentDistribution, log_likelihood: LogProb, examples: int) -> None:
        if prior.support == "binary":
            raise UserError(
                "Annealed importance sampling moves w along gradients, and a binary w has none. Use importance "
                "sampling, or a latent on the real line or of positive numbers."
            )
        self.prior, self.log_likelihood = prior, log_likelihood
        self.like, self.examples, self.dimension = prior.mean, examples, len(prior.mean)

    def sample_start(self, chains: int, generators: Sequence[torch.Generator]) -> Float[Tensor, "C B M"]:
        w = torch.stack([self.prior.sample(chains, generator) for generator in generators], 1)
        return w.log() if self.prior.support == "positive" else w

    def log_start(self, u: Float[Tensor, "C B M"]) -> Float[Tensor, "C B"]:
        w, log_determinant = self._latent(u)
        return self.prior.log_prob(w) + log_determinant

    def log_target(self, u: Float[Tensor, "C B M"]) -> Float[Tensor, "C B"]:
        w, log_determinant = self._latent(u)
        return self.prior.log_prob(w) + self.log_likelihood(w) + log_determinant

    def coordinates(self, w: Float[Tensor, "B M"]) -> Float[Tensor, "B M"]:
        return w.log() if self.prior.support == "positive" else w

    def _latent(self, u: Tensor) -> tuple[Tensor, Tensor]:
        return (u.exp(), u.sum(-1)) if self.prior.support == "positive" else (u, torch.zeros_like(u[..., 0]))
