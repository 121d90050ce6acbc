"""One fixed ruler for every model: bound, log-likelihood, KL, mutual information, active units, accuracy."""

from collections.abc import Callable
from math import exp, log, prod
from typing import Any

import torch
from torchmetrics import Metric

from lid_vae.diagnostic import (
    ActiveUnits,
    CategoricalMutualInformation,
    ClusterAccuracy,
    DimensionKL,
    ExampleMean,
    LogLikelihood,
    MutualInformation,
)
from lid_vae.diagnostic.gather import gather
from lid_vae.diagnostic.log_likelihood import LogMeanExp
from lid_vae.distribution.approximation import Approximation
from lid_vae.distribution.latent import LatentDistribution, Mixture
from lid_vae.errors import UserError
from lid_vae.noise import generator
from lid_vae.shapes import Float, Int, Observations, Tensor
from lid_vae.vae import VAE, LogTerms
from lid_vae.world import ALONE, World

__all__ = ["Evaluator"]

Infer = Callable[[Tensor, Tensor], Approximation]
ROWS = 10_000
# Draws for each example that the divergences of single dimensions need.
SPREAD_DRAWS = 20
# Metrics that leave it to the evaluator to gather them, once for all that they compute.
LOCAL: dict[str, Any] = {"sync_on_compute": False}


class Evaluator:
    """Accumulates the measures over batches; the noise of batch number i is a function of i alone.

    ``infer(x, noise)`` gives q for a batch, from ``inference_samples`` draws of noise that nothing else uses.
    ``samples`` is S: importance samples for the log-likelihood, and draws for every expectation under q. All S draws of
    a batch pass the decoder in pieces of at most ``rows`` rows (one draw of the batch at the least), so memory is
    bounded. ``by_dimension`` adds the divergence of each dimension of w, where w is not binary. Where processes share a
    split, ``world`` is this one's place: it takes its batches, ``compute`` (called in all) gathers those of the others.
    Raises ``UserError`` for fewer than two samples (the unbiased estimates need two halves).
    """

    def __init__(
        self,
        vae: VAE,
        infer: Infer,
        samples: int,
        labels: int | None = None,
        with_w: bool = True,
        rows: int = ROWS,
        inference_samples: int = 1,
        by_dimension: bool = False,
        world: World = ALONE,
    ) -> None:
        if samples < 2:
            raise UserError(f"Evaluation needs at least two samples, got samples={samples}.")
        self.vae, self.infer, self.samples, self.rows = vae, infer, samples, rows
        self.inference_samples, self.world, self.batch_number = inference_samples, world, world.rank
        with torch.no_grad():
            prior = vae.prior()
        device = prior.mean.device
        self.prior: LatentDistribution = prior
        self.bound, self.likelihood, self.joint_kl, self.w_kl = (
            ExampleMean(**LOCAL).to(device),
            LogLikelihood(**LOCAL).to(device),
            ExampleMean(**LOCAL).to(device),
            ExampleMean(**LOCAL).to(device),
        )
        self.symbols = ExampleMean(**LOCAL).to(device)
        self.w_units = ActiveUnits(prior.variance, **LOCAL).to(device)
        self.w_information = MutualInformation(**LOCAL).to(device) if with_w else None
        self.dimensions: DimensionKL | None = None
        if by_dimension and prior.support != "binary":
            self.dimensions = DimensionKL(len(prior.mean), **LOCAL).to(device)
        self.z_information: CategoricalMutualInformation | None = None
        self.accuracy: ClusterAccuracy | None = None
        self.features = 0
        if isinstance(prior, Mixture):
            probability = prior.log_mixing.exp()
            self.z_information = CategoricalMutualInformation(**LOCAL).to(device)
            self.z_units = ActiveUnits(probability * (1 - probability), **LOCAL).to(device)
            if labels is not None:
                self.accuracy = ClusterAccuracy(len(probability), labels, **LOCAL).to(device)

    def update(self, x: Observations, y: Int[Tensor, " B"] | None = None) -> None:
        """One more batch."""
        rng = generator("evaluate", self.batch_number, device=x.device)
        # Noise of its own: a q refined on the draws that then weigh it would make the weights biased.
        inference_rng = generator("infer", self.batch_number, device=x.device)
        q = self.infer(x, self.vae.posterior.draw_noise(self.inference_samples, len(x), inference_rng))
        self.batch_number += self.world.size
        self.features = prod(x.shape[1:])
        rows = self.vae.likelihood.count(x)
        self.symbols.update(torch.tensor([float(rows)], device=x.device))
        halves = [_Half(), _Half()]
        evidence, bound, divergence, w_divergence = LogMeanExp(), _Mean(), _Mean(), _Mean()
        spread = _Spread()
        terms: LogTerms | None = None
        for half, size in zip(halves, (self.samples - self.samples // 2, self.samples // 2), strict=True):
            done = 0
            while done < size:
                piece = min(size - done, self._piece(rows))
                noise = self.vae.posterior.draw_noise(piece, len(x), rng)
                with torch.no_grad():
                    terms = self.vae.terms(x, q, noise)
                    evidence.add(terms.log_evidence_weight())
                    bound.add(terms.expectation(terms.log_weight()))
                    divergence.add(terms.expectation(terms.log_posterior - terms.log_prior))
                    self._add_latents(half, q, terms, w_divergence)
                    if self.dimensions is not None and spread.w.count < SPREAD_DRAWS:
                        self._add_spread(spread, q, terms)
                done += piece
        assert terms is not None
        with torch.no_grad():
            self.bound.update(bound.result())
            self.likelihood.update(evidence.result().unsqueeze(0))
            self.joint_kl.update(divergence.result() if terms.kl is None else terms.kl)
            self.w_kl.update(w_divergence.result() if terms.kl is None or self._enumerated(q) else terms.kl)
            self.w_units.update(halves[0].w.result(), halves[1].w.result())
            if self.w_information is not None:
                self._add_information(q, terms, rng)
            if self.dimensions is not None:
                self.dimensions.update(
                    spread.w.result(), spread.square.result(), spread.log_prior.result(), spread.w.count
                )
            if self.z_information is not None:
                self._add_categories(q, halves, y)

    def compute(self) -> dict[str, Any]:
        """``elbo``, ``ll`` {mean, se, samples}, ``latent`` {z, w: {au, kl, mi, mi_upper, mi_se}}, ``accuracy`` and
        more; nats. Of sequences ``perplexity``, for each symbol, the end of a sequence counted.
        """
        if self.world.size > 1:
            found = [value for value in vars(self).values() if isinstance(value, Metric)]
            gather([*found, self.likelihood.examples])
            self.world = ALONE  # all is here now
        ll = float(self.likelihood.compute())
        result: dict[str, Any] = {
            "examples": int(self.bound.count),
            "elbo": float(self.bound.compute()),
            "elbo_se": float(self.bound.standard_error()),
            "ll": {"mean": ll, "se": float(self.likelihood.standard_error()), "samples": self.samples},
        }
        if self.vae.likelihood.binary:
            result["bits_per_dimension"] = -ll / (log(2) * self.features)
        if self.vae.likelihood.symbols is not None:
            result["symbols"] = int(self.symbols.total)
            result["perplexity"] = exp(-ll * result["examples"] / result["symbols"])
        w: dict[str, float | list[float]] = {
            "au": float(self.w_units.compute()),
            "au_absolute": float(self.w_units.absolute()),
            "kl": float(self.w_kl.compute()),
            "kl_se": float(self.w_kl.standard_error()),
        }
        if self.w_information is not None:
            lower, upper = self.w_information.values()
            w |= {
                "mi": float(lower.mean()),
                "mi_upper": float(upper.mean()),
                "mi_se": float(lower.std() / len(lower) ** 0.5),
            }
        if self.dimensions is not None:
            w["kl_by_dimension"] = self.dimensions.compute().tolist()
        if self.z_information is None:
            result["latent"] = {"z": w}
            result["accuracy"] = None
            return result
        assert isinstance(self.prior, Mixture)
        result["latent"] = {
            "z": {
                "au": float(self.z_units.compute()),
                "au_absolute": float(self.z_units.absolute()),
                "kl": float(self.z_information.kl(self.prior.log_mixing.exp())),
                "mi": float(self.z_information.compute()),
                "mi_upper": float(self.z_information.upper()),
                "mi_se": float(self.z_information.standard_error()),
                "usage": self.z_information.aggregate().tolist(),
            },
            "w": w,
            "joint": {"kl": float(self.joint_kl.compute()), "kl_se": float(self.joint_kl.standard_error())},
        }
        result["accuracy"] = None if self.accuracy is None else float(self.accuracy.compute())
        result["accuracy_majority"] = None if self.accuracy is None else float(self.accuracy.majority())
        return result

    def _piece(self, rows: int) -> int:
        """How many draws pass the decoder at once, at ``rows`` rows each."""
        categories = self.vae.posterior.categories or 1
        return max(1, self.rows // (rows * categories))

    def _enumerated(self, q: Approximation) -> bool:
        return q.log_category is not None

    def _add_latents(self, half: "_Half", q: Approximation, terms: LogTerms, w_divergence: "_Mean") -> None:
        weight = None if q.log_category is None else q.log_category.exp()
        w = terms.sample.w
        half.w.add(w.squeeze(1) if weight is None else (weight.unsqueeze(-1) * w).sum(1))
        marginal = q.marginal_log_prob(terms.sample) - self.prior.log_prob(w)
        w_divergence.add(terms.expectation(marginal))
        if self.z_information is not None and weight is None:
            probability = self.vae.category_probability(q, terms.sample, self.prior)
            assert probability is not None
            half.z.add(probability)

    def _add_spread(self, spread: "_Spread", q: Approximation, terms: LogTerms) -> None:
        w = terms.sample.w
        log_prior = self.prior.elementwise_log_prob(w)
        if self.prior.support == "positive":
            w, log_prior = w.log(), log_prior + w.log()
        for mean, value in ((spread.w, w), (spread.square, w.double().square()), (spread.log_prior, log_prior)):
            weight = None if q.log_category is None else q.log_category.exp().unsqueeze(-1)
            mean.add(value.squeeze(1) if weight is None else (weight * value).sum(1))

    def _add_information(self, q: Approximation, terms: LogTerms, rng: torch.Generator) -> None:
        assert self.w_information is not None
        base = terms.sample.base[0]
        if q.log_category is None:
            draw = base[0]
        else:
            category = torch.multinomial(q.log_category.exp().mT, 1, generator=rng).squeeze(-1)
            draw = base[category, torch.arange(len(category), device=base.device)]
        natural, normaliser = q.natural()
        self.w_information.update(q.statistic(draw), natural, normaliser, q.log_category)

    def _add_categories(self, q: Approximation, halves: list["_Half"], y: Tensor | None) -> None:
        assert self.z_information is not None
        if q.log_category is not None:
            samples = q.log_category.exp().mT.unsqueeze(0)
            self.z_units.update(samples[0])
        else:
            # two pieces of unequal weight only where S is odd; then the halves differ by one draw
            samples = torch.stack([half.z.result() for half in halves])
            self.z_units.update(samples[0], samples[1])
        self.z_information.update(samples)
        if self.accuracy is not None and y is not None:
            self.accuracy.update(samples.mean(0).argmax(-1), y)


class _Mean:
    """Mean over samples that arrive in pieces."""

    def __init__(self) -> None:
        self.count, self.total = 0, torch.zeros(())

    def add(self, value: Float[Tensor, "s *rest"]) -> None:
        piece = value.double().sum(0)
        self.total = piece if self.count == 0 else self.total + piece
        self.count += len(value)

    def result(self) -> Tensor:
        return self.total / self.count


class _Spread:
    """Averages of w, of its square and of its log-density under the prior's marginals."""

    def __init__(self) -> None:
        self.w, self.square, self.log_prior = _Mean(), _Mean(), _Mean()


class _Half:
    """Averages of w and q(z | x) over one half of the samples."""

    def __init__(self) -> None:
        self.w, self.z = _Mean(), _Mean()
