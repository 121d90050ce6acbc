"""Mutual information I_q(x; z) under the whole set's aggregate posterior; a mini-batch's would cap it at log B."""

from collections.abc import Callable
from math import log
from typing import Any

import torch
from torchmetrics.utilities import dim_zero_cat

from lid_vae.errors import UserError
from lid_vae.metrics.control_variate import controlled
from lid_vae.metrics.plotted import PlottedMetric
from lid_vae.noise import generator
from lid_vae.shapes import Float, Int, Tensor

__all__ = [
    "DENSITIES",
    "CategoricalMutualInformation",
    "MutualInformation",
    "PairwiseInformation",
    "information_terms",
]

TINY = 1e-300
# Densities at a time: 8 MB, of which a processor's cache keeps the most from one operation to the next.
PAIRS = 1_000_000
# Of a q whose every density is a pass through networks.
DENSITIES = 20_000


class CategoricalMutualInformation(PlottedMetric):
    """I_q(x; z) = E_x KL(q(z | x) || q(z)) of a categorical z, nats; q(z) averages q(z | x) over all updates.

    With exact q(z | x) (one sample) the value is exact and ``upper`` equals it. With q(z | x) averaged from S samples,
    the plug-in value is biased upwards (the information is convex in q(z | x)): it is ``upper``. ``compute`` gives the
    lower bound that takes the logarithm on an independent half of the samples, E[q1 log q2] <= q log q.

    >>> information = CategoricalMutualInformation()
    >>> information.update(torch.eye(2)[None])  # exact q(z | x) of two examples, each sure of a category of its own
    >>> round(float(information.compute()), 3)
    0.693
    """

    full_state_update = False
    probability: list[Tensor]
    lower_negentropy: list[Tensor]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("probability", [], dist_reduce_fx="cat")
        self.add_state("lower_negentropy", [], dist_reduce_fx="cat")

    def update(self, probability: Float[Tensor, "S B K"]) -> None:
        """``probability`` is q(z | x): exact with S = 1, else independent samples whose mean it is (S >= 2).

        Raises ``UserError`` for what are no probabilities.
        """
        if probability.ndim != 3:
            raise UserError(
                f"Probabilities of categories have shape [S, B, K], got {list(probability.shape)}. Exact ones are "
                "probability[None]."
            )
        # NaN, of a training that has diverged, passes: whoever trains says so.
        if bool((probability < 0).any()) or bool(((probability.sum(-1) - 1).abs() >= 1e-2).any()):
            raise UserError(
                "Probabilities of categories are not negative and add up to one over the last axis. Of logits take "
                "logits.softmax(-1)."
            )
        samples = probability.detach().double()
        mean = samples.mean(0)
        if len(samples) == 1:
            lower = _negentropy(mean, mean)
        else:
            half = len(samples) // 2
            first, second = samples[:half].mean(0), samples[half:].mean(0)
            lower = 0.5 * (_negentropy(first, second) + _negentropy(second, first))
        self.probability.append(mean)
        self.lower_negentropy.append(lower)

    def compute(self) -> Float[Tensor, ""]:
        return self._divergence(dim_zero_cat(self.lower_negentropy)).mean()

    def upper(self) -> Float[Tensor, ""]:
        """The upper bound."""
        mean = dim_zero_cat(self.probability)
        return self._divergence(_negentropy(mean, mean)).mean()

    def kl(self, prior: Float[Tensor, " K"]) -> Float[Tensor, ""]:
        """E_x KL(q(z | x) || p(z)) with the plug-in q(z | x), never below ``upper``: of samples an upper bound.

        ``prior`` is p(z), as in ``kl_lower``.
        """
        mean = dim_zero_cat(self.probability)
        return (_negentropy(mean, mean) - mean @ prior.double().log()).mean()

    def kl_lower(self, prior: Float[Tensor, " K"]) -> Float[Tensor, ""]:
        """The same from below: the logarithm of one half of the samples, averaged over the other; equal where exact.

        ``prior`` is p(z), [K].
        """
        mean = dim_zero_cat(self.probability)
        return (dim_zero_cat(self.lower_negentropy) - mean @ prior.double().log()).mean()

    def kl_error(self, prior: Float[Tensor, " K"]) -> Float[Tensor, ""]:
        """The standard error of ``kl`` with the same ``prior``, over examples."""
        mean = dim_zero_cat(self.probability)
        values = _negentropy(mean, mean) - mean @ prior.double().log()
        return values.std() / len(values) ** 0.5

    def standard_error(self) -> Float[Tensor, ""]:
        """Of the lower bound, over examples."""
        values = self._divergence(dim_zero_cat(self.lower_negentropy))
        return values.std() / len(values) ** 0.5

    def estimate(self) -> Float[Tensor, ""]:
        """(lower + 2 upper) / 3, in which the biases of the two cancel in first order.

        With q(z | x) averaged from S samples of variance v, the plug-in entropy term is too large by v / (2 q S), and
        that with the logarithm of one half too small by v / (q S), twice as much. Between the bounds, and for few
        samples much nearer to the truth than either; no bound itself, and around 0 it can be negative.
        """
        return (self.compute() + 2 * self.upper()) / 3

    def estimate_error(self) -> Float[Tensor, ""]:
        """The standard error of ``estimate``, over examples."""
        mean = dim_zero_cat(self.probability)
        values = self._divergence((dim_zero_cat(self.lower_negentropy) + 2 * _negentropy(mean, mean)) / 3)
        return values.std() / len(values) ** 0.5

    def kl_estimate(self, prior: Float[Tensor, " K"]) -> Float[Tensor, ""]:
        """The same of E_x KL(q(z | x) || p(z)), with ``prior`` for p(z)."""
        return (self.kl_lower(prior) + 2 * self.kl(prior)) / 3

    def aggregate(self) -> Float[Tensor, " K"]:
        """q(z), the usage of the categories."""
        return dim_zero_cat(self.probability).mean(0)

    def _divergence(self, negentropy: Float[Tensor, " N"]) -> Float[Tensor, " N"]:
        probability = dim_zero_cat(self.probability)
        return negentropy - probability @ probability.mean(0).clamp_min(TINY).log()


class MutualInformation(PlottedMetric):
    """I_q(x; w) of a latent whose q(w | x) is an exponential family, or a K-fold mixture of one, for every x. Nats.

    One draw w_i ~ q(w | x_i) for each example, and q(w) the average over all N examples:
    ``compute``: E[log q(w_i | x_i) - log (1/N) sum_n q(w_i | x_n)], for the data distribution a lower bound, at most
    log N; ``upper``: the sum leaves out n = i (Poole et al. 2019, section 2). Each is an average over examples and has
    a standard error.
    Invariant under a bijection of w, so a posterior with one flow for all x is measured before the flow.

    >>> information = MutualInformation()
    >>> mean = torch.tensor([[-10.0], [10.0]])
    >>> information.update_gaussian(sample=mean, mean=mean, scale=torch.ones(2, 1))
    >>> round(float(information.compute()), 3)  # log 2: each draw says which of the two examples it is from
    0.693
    """

    full_state_update = False
    statistic: list[Tensor]
    natural: list[Tensor]
    normaliser: list[Tensor]
    log_category: list[Tensor]
    surplus: list[Tensor]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for name in ("statistic", "natural", "normaliser", "log_category", "surplus"):
            self.add_state(name, [], dist_reduce_fx="cat")

    def update(
        self,
        statistic: Float[Tensor, "B P"],
        natural: Float[Tensor, "K B P"],
        normaliser: Float[Tensor, "K B"],
        log_category: Float[Tensor, "K B"] | None = None,
        surplus: Float[Tensor, " B"] | None = None,
    ) -> None:
        """T(w_i), and log q(w | x_n, k) = T(w) . natural[k, n] - normaliser[k, n], with mixture weights if K > 1.

        ``surplus``, where the KL is known, is log q(w_i | x_i) / p(w_i) less it: 0 in expectation.
        """
        weight = torch.zeros_like(normaliser) if log_category is None else log_category
        self.statistic.append(statistic.detach().double())
        self.natural.append(natural.detach().double().movedim(0, 1))
        self.normaliser.append(normaliser.detach().double().mT)
        self.log_category.append(weight.detach().double().mT)
        unknown = torch.full_like(statistic[:, 0], torch.nan)
        self.surplus.append((unknown if surplus is None else surplus).detach().double())

    def update_gaussian(
        self, sample: Float[Tensor, "B M"], mean: Float[Tensor, "B M"], scale: Float[Tensor, "B M"]
    ) -> None:
        """For q(w | x) = N(``mean``, diag(``scale``^2)), without categories: one ``sample`` for each example.

        Raises ``UserError`` for a scale that is none, or for shapes that differ.
        """
        if not sample.shape == mean.shape == scale.shape or sample.ndim != 2:
            raise UserError(
                f"One draw, mean and standard deviation of each example have shape [B, M], got {list(sample.shape)}, "
                f"{list(mean.shape)} and {list(scale.shape)}."
            )
        if not bool((scale > 0).all()):
            raise UserError(
                f"A standard deviation is above zero, and the least is {float(scale.min()):.3g}. Of a log-variance "
                "take (0.5 * log_variance).exp(); of a scale of zero the information is infinite."
            )
        sample, mean, precision = sample.double(), mean.double(), scale.double().square().reciprocal()
        normaliser = 0.5 * (mean.square() * precision - precision.log() + log(2 * torch.pi)).sum(-1)
        natural = torch.cat([mean * precision, -0.5 * precision], -1)
        self.update(torch.cat([sample, sample.square()], -1), natural[None], normaliser[None])

    def compute(self) -> Float[Tensor, ""]:
        return self.values()[0].mean()

    def estimate(self, lower: Float[Tensor, " N"]) -> tuple[float, float] | None:
        """The mean of the terms ``lower`` of ``values`` and its standard error, with the exact KL as control variate.

        None where an update did not give ``surplus``.
        """
        surplus = dim_zero_cat(self.surplus)
        if not bool(surplus.isfinite().all()):
            return None
        return controlled(lower.cpu(), [(surplus.cpu(), 0.0, 0.0)])

    def upper(self) -> Float[Tensor, ""]:
        """The leave-one-out bound."""
        return self.values()[1].mean()

    def standard_error(self) -> Float[Tensor, ""]:
        """Of the lower bound, over examples."""
        values = self.values()[0]
        return values.std() / len(values) ** 0.5

    def values(self, index: Int[Tensor, " R"] | None = None) -> tuple[Float[Tensor, " R"], Float[Tensor, " R"]]:
        """Lower and upper terms of each example, or of those that ``index`` names, all under the whole set's q(w).

        R N K densities, formed in pieces of bounded memory.
        """
        statistic, natural = dim_zero_cat(self.statistic), dim_zero_cat(self.natural)
        offset = dim_zero_cat(self.log_category) - dim_zero_cat(self.normaliser)
        examples, categories, width = natural.shape
        flat, flat_offset = natural.reshape(-1, width).mT.contiguous(), offset.reshape(-1)
        rows = max(1, PAIRS // (examples * categories))
        lower, upper = [], []
        chosen = torch.arange(examples, device=statistic.device) if index is None else index
        for one in chosen.split(rows):
            piece = statistic[one]
            density = torch.addmm(flat_offset, piece, flat)
            if categories > 1:
                density = density.unflatten(-1, (examples, categories)).logsumexp(-1)
            terms = information_terms(density, one)
            lower.append(terms[0])
            upper.append(terms[1])
        return torch.cat(lower), torch.cat(upper)


class PairwiseInformation(PlottedMetric):
    """I_q(x; w) of any q with a density, by the bounds of ``MutualInformation``; nats.

    The densities are asked for pair by pair, so draws are of ``rows`` examples, chosen at random; q(w) is of all. Each
    term is an average over those draws and has a standard error.

    Args:
        log_prob: (w [R, M], parameters [B, P]) -> log q(w_r | x_b) of all pairs, [R, B].
        rows: R at most.

    >>> def log_prob(w, parameters):  # a normal of standard deviation 1
    ...     return -0.5 * (w - parameters.mT).square()
    >>> information = PairwiseInformation(log_prob, rows=100)
    >>> mean = torch.tensor([[-10.0], [10.0]])
    >>> information.update(draw=mean, parameters=mean)
    >>> round(float(information.compute()), 3)
    0.693
    """

    full_state_update = False
    draw: list[Tensor]
    parameters_of_q: list[Tensor]

    def __init__(self, log_prob: Callable[[Tensor, Tensor], Tensor], rows: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.log_prob, self.rows = log_prob, rows
        self.add_state("draw", [], dist_reduce_fx="cat")
        self.add_state("parameters_of_q", [], dist_reduce_fx="cat")

    def update(self, draw: Float[Tensor, "B M"], parameters: Float[Tensor, "B P"]) -> None:
        """One ``draw`` w ~ q(w | x) for each example, and the ``parameters`` of its q."""
        self.draw.append(draw.detach())
        self.parameters_of_q.append(parameters.detach())

    def compute(self) -> Float[Tensor, ""]:
        return self.values()[0].mean()

    @torch.no_grad()
    def values(self) -> tuple[Float[Tensor, " R"], Float[Tensor, " R"]]:
        """Lower and upper terms of the examples that are chosen, under the whole set's q(w)."""
        draw, parameters = dim_zero_cat(self.draw), dim_zero_cat(self.parameters_of_q)
        chosen = torch.randperm(len(draw), generator=generator("pairwise"))[: self.rows].sort().values.to(draw.device)
        lower, upper = [], []
        for one in chosen.split(max(1, DENSITIES // len(draw))):
            terms = information_terms(self.log_prob(draw[one], parameters).double(), one)
            lower.append(terms[0])
            upper.append(terms[1])
        return torch.cat(lower), torch.cat(upper)


def information_terms(
    density: Float[Tensor, "R N"], place: Int[Tensor, " R"]
) -> tuple[Float[Tensor, " R"], Float[Tensor, " R"]]:
    """Lower and upper terms of R draws, by their ``density`` under each of N examples, of which ``place`` is their own.

    Overwrites ``density``, log q(w_r | x_n) in double precision.
    """
    examples, place = density.shape[-1], place.unsqueeze(-1)
    own = density.gather(-1, place)
    peak = density.amax(-1, keepdim=True)  # max would look for its place too, which takes twice the time
    others = density.sub_(peak).exp_().scatter_(-1, place, 0.0).sum(-1, keepdim=True)
    total = others + (own - peak).exp()
    lower = own - peak - total.log() + log(examples)
    upper = own - peak - others.clamp_min(TINY).log() + log(max(examples - 1, 1))
    return lower.squeeze(-1), upper.squeeze(-1)


def _negentropy(probability: Float[Tensor, "B K"], reference: Float[Tensor, "B K"]) -> Float[Tensor, " B"]:
    """sum_k p_k log r_k, with 0 log 0 = 0."""
    return (probability * reference.clamp_min(TINY).log()).sum(-1)
