"""What one batch shows of a model, averaged over draws: tensors alone, so that ``vmap`` measures under many weights."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import torch

from lid_vae.distribution.approximation import Approximation
from lid_vae.distribution.flow_gaussian import FlowGaussian
from lid_vae.errors import UserError
from lid_vae.measure.base import DrawMeasure, Infer
from lid_vae.metrics.log_likelihood import LogMeanExp
from lid_vae.metrics.running_mean import RunningMean
from lid_vae.noise import generator
from lid_vae.shapes import Float, Observations, Tensor
from lid_vae.vae import Autoencoder, LogTerms

__all__ = ["ROWS", "TENSORS", "BatchMeasures", "Infer", "Noise", "Ruler", "measure_batch", "noise_of", "rows_of"]

BatchMeasures = dict[str, Tensor]
"""Of each example: ``evidence``, ``bound``, ``divergence`` and ``w_divergence`` [B], nats; ``w`` [2, B, M], its
expectation twice, or where that has no closed form its averages over the two halves of the draws. With categories
``category`` [S, B, K], q(z | x): exact (S = 1), or averages over the halves. By dimension ``moments`` [3, B, M],
averages over ``moment_draws`` draws: of w, of its square and of its log-density under the prior's marginals. With the
information of w ``statistic`` [K, B, P], of one draw, ``natural`` [K, B, P], ``normaliser`` [K, B] and, where
categories are enumerated, ``log_category`` [K, B]; else, where the KL has a closed form, ``surplus`` [B], log q / p of
that draw less the KL. Of a q whose flow is of each x there are instead ``draw`` [K, B, M] and, as ``q.<name>``, q's
tensors."""

TENSORS = "q."
ROWS = 10_000
# Draws for each example that the divergences of single dimensions need.
MOMENT_DRAWS = 20


@dataclass(frozen=True)
class Ruler:
    """What is measured of a batch.

    ``samples`` is S: importance samples for the log-likelihood, and draws for every expectation under q, of which one
    half is independent of the other. Draws are made in pieces of at most ``rows`` rows of the decoder (one draw of the
    batch at the least), so memory is bounded. ``with_w`` adds the information of w, ``by_dimension`` the divergence of
    each dimension of w, where w is not binary. ``inference_samples``: draws of noise that inference takes for itself.
    ``further``: measures that take the same draws, by name.
    Raises ``UserError`` for fewer than two samples (the unbiased estimates need two halves).
    """

    samples: int
    with_w: bool = True
    rows: int = ROWS
    inference_samples: int = 1
    by_dimension: bool = False
    further: Mapping[str, DrawMeasure] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.samples < 2:
            raise UserError(f"Evaluation needs at least two samples, got samples={self.samples}.")

    def draws(self, rows: int) -> int:
        """How many draws of a batch that gives the decoder ``rows`` rows a draw make a piece."""
        return max(1, min(self.rows // rows, self.samples - self.samples // 2))


class Noise(NamedTuple):
    """Where a batch's random numbers come from: ``draws`` those that are measured, ``inference`` those that find q.

    Inference has its own: a q refined on the draws that then weigh it would make the weights biased.
    """

    draws: torch.Generator
    inference: torch.Generator


def noise_of(number: int, device: torch.device) -> Noise:
    """That of batch ``number`` on a ``device``, a function of the number alone."""
    return Noise(generator("evaluate", number, device=device), generator("infer", number, device=device))


def rows_of(vae: Autoencoder, x: Observations) -> int:
    """How many rows a batch ``x`` gives the decoder of ``vae`` for each draw: K B with enumerated categories."""
    return vae.likelihood.count(x) * (vae.posterior.categories or 1)


@torch.no_grad()
def measure_batch(vae: Autoencoder, infer: Infer, x: Observations, ruler: Ruler, noise: Noise) -> BatchMeasures:
    """Measures ``vae`` on a batch ``x`` by ``ruler.samples`` draws from the q that ``infer`` finds.

    ``noise`` is where draws and inference take their random numbers from.
    """
    q = infer(x, vae.posterior.draw_noise(ruler.inference_samples, len(x), noise.inference))
    at_once = ruler.draws(rows_of(vae, x))
    halves, categories = [RunningMean(), RunningMean()], [RunningMean(), RunningMean()]
    evidence, bound, divergence, w_divergence, moments = (
        LogMeanExp(),
        RunningMean(),
        RunningMean(),
        RunningMean(),
        RunningMean(),
    )
    further = {name: RunningMean() for name in ruler.further}
    terms: LogTerms | None = None
    sizes = (ruler.samples - ruler.samples // 2, ruler.samples // 2)
    for w_mean, category_mean, size in zip(halves, categories, sizes, strict=True):
        done = 0
        while done < size:
            piece = min(size - done, at_once)
            terms = vae.terms(x, q, vae.posterior.draw_noise(piece, len(x), noise.draws))
            evidence.add(terms.log_evidence_weight())
            bound.add(terms.expectation(terms.log_weight()))
            divergence.add(terms.expectation(terms.log_posterior - terms.log_prior))
            w_mean.add(_over_categories(q, terms.sample.w))
            if q.log_category is not None:
                marginal = q.marginal_log_prob(terms.sample) - terms.prior.log_prob(terms.sample.w)
                w_divergence.add(terms.expectation(marginal))
            elif terms.log_joint is not None:
                category_mean.add(torch.softmax(terms.log_joint, -1).squeeze(1))
            if ruler.by_dimension and moments.count < MOMENT_DRAWS:
                moments.add(_moments(q, terms))
            for name, mean in further.items():
                mean.add(ruler.further[name].value(terms, q))
            done += piece
    assert terms is not None
    joint = divergence.result() if terms.kl is None else terms.kl
    found = {"evidence": evidence.result(), "bound": bound.result(), "divergence": joint, "w_divergence": joint}
    exact = q.expectation()
    found["w"] = torch.stack([half.result() for half in halves])
    if exact is not None:
        found["w"] = _over_categories(q, exact.double().unsqueeze(0)).expand_as(found["w"])
    if q.log_category is not None:
        found["w_divergence"] = w_divergence.result()
        found["category"] = q.log_category.exp().mT.unsqueeze(0)
    elif terms.log_joint is not None:
        # two pieces of unequal weight only where S is odd; then the halves differ by one draw
        found["category"] = torch.stack([half.result() for half in categories])
    if ruler.by_dimension:
        found["moments"], found["moment_draws"] = moments.result(), torch.tensor(moments.count)
    found |= {f"further.{name}": mean.result() for name, mean in further.items()}
    if ruler.with_w and isinstance(q, FlowGaussian) and not q.shared:
        found["draw"] = terms.sample.w[0]
        found |= {f"{TENSORS}{name}": value for name, value in q.tensors().items()}
    elif ruler.with_w:
        found["statistic"] = q.statistic(terms.sample.base[0])
        found["natural"], found["normaliser"] = q.natural()
        if q.log_category is not None:
            found["log_category"] = q.log_category
        elif terms.kl is not None:
            found["surplus"] = (terms.log_posterior - terms.log_prior)[0, 0].double() - terms.kl
    return found


def _over_categories(q: Approximation, value: Float[Tensor, "S K B M"]) -> Float[Tensor, "S B M"]:
    """The expectation under q(z | x) where categories are enumerated."""
    return value.squeeze(1) if q.log_category is None else (q.log_category.exp().unsqueeze(-1) * value).sum(1)


def _moments(q: Approximation, terms: LogTerms) -> Float[Tensor, "S 3 B M"]:
    w = terms.sample.w
    log_prior = terms.prior.elementwise_log_prob(w)
    if terms.prior.support == "positive":
        w, log_prior = w.log(), log_prior + w.log()
    w = w.double()
    return torch.stack([_over_categories(q, value) for value in (w, w.square(), log_prior.double())], 1)
