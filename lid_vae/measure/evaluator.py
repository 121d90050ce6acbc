"""One fixed ruler for every model: bound, log-likelihood, KL, mutual information, active units, accuracy."""

from collections.abc import Callable, Mapping
from math import exp, log, prod
from typing import Any

import torch
from torchmetrics import Metric

from lid_vae.distribution.latent import LatentDistribution, Mixture
from lid_vae.measure.base import DrawMeasure, Infer
from lid_vae.measure.batch import ROWS, TENSORS, BatchMeasures, Ruler, measure_batch, noise_of
from lid_vae.metrics import (
    ActiveUnits,
    CategoricalMutualInformation,
    ClusterAccuracy,
    DimensionKL,
    ExampleMean,
    LogLikelihood,
    MutualInformation,
    PairwiseInformation,
)
from lid_vae.metrics.gather import gather
from lid_vae.posterior.amortized import AmortizedPosterior, pair_parameters
from lid_vae.shapes import Float, Int, Observations, Tensor
from lid_vae.system.processes import ALONE, ProcessPlace
from lid_vae.vae import Autoencoder

__all__ = ["Evaluator", "MeasureBatch", "of_mixture"]

MeasureBatch = Callable[[Tensor, int], tuple[BatchMeasures, torch.Generator]]
"""(x, number) -> what batch ``number`` shows, and the generator of its noise as it stands after that."""

# Metrics that leave it to the evaluator to gather them, once for all that they compute.
LOCAL: dict[str, Any] = {"sync_on_compute": False}
# Examples with whose draws the information of w is measured where its densities are asked for pair by pair: as many as
# there are draws of the decoder for each, so that they cost no more than those, and these at the least.
FEWEST = 100


class Evaluator:
    """Accumulates the measures of ``vae`` over batches; the noise of batch number i is a function of i alone.

    ``infer(x, noise)`` gives q for a batch, from ``inference_samples`` draws of noise that nothing else uses.
    ``labels`` is the number of classes (None: no accuracy). ``samples``, ``with_w``, ``rows``, ``by_dimension`` and
    ``further`` are those of ``Ruler``, with what it raises. ``measure`` may be replaced by what measures a batch under
    the weights of several models at once. Where processes share a split, ``place`` is this one's: it takes its batches,
    ``compute`` (called in all) gathers those of the others.

    >>> from lid_vae.likelihood import GaussianLikelihood
    >>> from lid_vae.map import MLP
    >>> from lid_vae.posterior import AmortizedPosterior, MLPEncoder
    >>> from lid_vae.prior import StandardNormalPrior
    >>> from lid_vae.vae import Autoencoder
    >>> posterior = AmortizedPosterior(MLPEncoder((4,), 16), latent_dimension=2)
    >>> vae = Autoencoder(StandardNormalPrior(2), GaussianLikelihood(MLP(2, 4, 16, 1)), posterior)
    >>> evaluator = Evaluator(vae, lambda x, noise: posterior.distribution(posterior.encode(x)), samples=10)
    >>> evaluator.update(torch.randn(50, 4))
    >>> evaluator.compute()["examples"], sorted(evaluator.compute()["ll"])
    (50, ['mean', 'samples', 'se'])
    """

    def __init__(
        self,
        vae: Autoencoder,
        infer: Infer,
        samples: int,
        labels: int | None = None,
        with_w: bool = True,
        rows: int = ROWS,
        inference_samples: int = 1,
        by_dimension: bool = False,
        place: ProcessPlace = ALONE,
        further: Mapping[str, DrawMeasure] | None = None,
    ) -> None:
        with torch.no_grad():
            prior = vae.prior()
        by_dimension = by_dimension and prior.support != "binary" and prior.marginals
        self.ruler = Ruler(samples, with_w, rows, inference_samples, by_dimension, further or {})
        self.vae, self.infer, self.place, self.batch_number = vae, infer, place, place.rank
        self.measure: MeasureBatch = self._measure_alone
        device = prior.mean.device
        self.prior: LatentDistribution = prior
        self.bound, self.slack, self.likelihood, self.joint_kl, self.w_kl = (
            ExampleMean(**LOCAL).to(device),
            ExampleMean(**LOCAL).to(device),
            LogLikelihood(**LOCAL).to(device),
            ExampleMean(**LOCAL).to(device),
            ExampleMean(**LOCAL).to(device),
        )
        self.symbols = ExampleMean(**LOCAL).to(device)
        self.w_units = ActiveUnits(prior.variance, **LOCAL).to(device)
        self.w_information: MutualInformation | PairwiseInformation | None = None
        if with_w and isinstance(vae.posterior, AmortizedPosterior) and vae.posterior.contextual:
            rows = max(FEWEST, samples)
            self.w_information = PairwiseInformation(vae.posterior.pair_log_prob, rows, **LOCAL).to(device)
        elif with_w:
            self.w_information = MutualInformation(**LOCAL).to(device)
        self.dimensions = DimensionKL(len(prior.mean), **LOCAL).to(device) if by_dimension else None
        self.z_information: CategoricalMutualInformation | None = None
        self.accuracy: ClusterAccuracy | None = None
        self.features = 0
        self.further = {name: ExampleMean(**LOCAL).to(device) for name in self.ruler.further}
        if isinstance(prior, Mixture):
            probability = prior.log_mixing.exp()
            self.z_information = CategoricalMutualInformation(**LOCAL).to(device)
            self.z_units = ActiveUnits(probability * (1 - probability), **LOCAL).to(device)
            if labels is not None:
                self.accuracy = ClusterAccuracy(len(probability), labels, **LOCAL).to(device)

    @torch.no_grad()
    def update(self, x: Observations, y: Int[Tensor, " B"] | None = None) -> None:
        """One more batch ``x``, with labels ``y`` where the data have them."""
        found, rng = self.measure(x, self.batch_number)
        self.batch_number += self.place.size
        self.features = prod(x.shape[1:])
        self.symbols.update(torch.tensor([float(self.vae.likelihood.count(x))], device=x.device))
        self.bound.update(found["bound"])
        self.slack.update(found["evidence"] - found["bound"])
        self.likelihood.update(found["evidence"].unsqueeze(0))
        self.joint_kl.update(found["divergence"])
        self.w_kl.update(found["w_divergence"])
        self.w_units.update(*found["w"])
        for name, metric in self.further.items():
            metric.update(found[f"further.{name}"])
        if self.w_information is not None:
            self._add_information(found, rng)
        if self.dimensions is not None:
            mean, square_mean, log_prior_mean = found["moments"]
            self.dimensions.update(mean, square_mean, log_prior_mean, int(found["moment_draws"]))
        if self.z_information is not None:
            probability = found["category"]
            self.z_units.update(*probability)
            self.z_information.update(probability)
            if self.accuracy is not None and y is not None:
                self.accuracy.update(probability.mean(0).argmax(-1), y)

    def compute(self) -> dict[str, Any]:
        """``elbo``, ``ll`` {mean, se, samples}, ``latent`` {z, w: {au, kl, mi, mi_upper, mi_se}}, ``accuracy`` and
        more; nats. Of sequences ``perplexity``, for each symbol, the end of a sequence counted.
        """
        if self.place.size > 1:
            found = [value for value in vars(self).values() if isinstance(value, Metric)]
            gather([*found, *self.further.values(), self.likelihood.examples])
            self.place = ALONE  # all is here now
        ll = float(self.likelihood.compute())
        result: dict[str, Any] = {
            "examples": int(self.bound.count),
            "elbo": float(self.bound.compute()),
            "elbo_se": float(self.bound.standard_error()),
            "ll": {"mean": ll, "se": float(self.likelihood.standard_error()), "samples": self.ruler.samples},
        }
        for name, metric in self.further.items():
            result[name] = {"mean": float(metric.compute()), "se": float(metric.standard_error())}
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
            if isinstance(self.w_information, PairwiseInformation):
                w["mi_draws"] = len(lower)
            elif (estimate := self.w_information.estimate(lower)) is not None:
                w["mi_estimate"], w["mi_estimate_se"] = estimate
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
                "kl_lower": float(self.z_information.kl_lower(self.prior.log_mixing.exp())),
                "kl_estimate": float(self.z_information.kl_estimate(self.prior.log_mixing.exp())),
                "mi": float(self.z_information.compute()),
                "mi_estimate": float(self.z_information.estimate()),
                "mi_estimate_se": float(self.z_information.estimate_error()),
                "mi_upper": float(self.z_information.upper()),
                "mi_se": float(self.z_information.standard_error()),
                "usage": self.z_information.aggregate().tolist(),
            },
            "w": w,
            "joint": {"kl": float(self.joint_kl.compute()), "kl_se": float(self.joint_kl.standard_error())},
        }
        accuracy = self.accuracy if self.accuracy is not None and self.accuracy.update_called else None
        result["accuracy"] = None if accuracy is None else float(accuracy.compute())
        result["accuracy_majority"] = None if accuracy is None else float(accuracy.majority())
        return result

    def _measure_alone(self, x: Observations, number: int) -> tuple[BatchMeasures, torch.Generator]:
        noise = noise_of(number, x.device)
        return measure_batch(self.vae, self.infer, x, self.ruler, noise), noise.draws

    def _add_information(self, found: BatchMeasures, rng: torch.Generator) -> None:
        """With one draw of q(w | x) for each example: where categories are enumerated, of the mixture."""
        if isinstance(self.w_information, PairwiseInformation):
            tensors = {name.removeprefix(TENSORS): one for name, one in found.items() if name.startswith(TENSORS)}
            draw = of_mixture(found["draw"], tensors.get("log_category"), rng)
            self.w_information.update(draw, pair_parameters(tensors))
            return
        assert self.w_information is not None
        log_category = found.get("log_category")
        draw = of_mixture(found["statistic"], log_category, rng)
        self.w_information.update(draw, found["natural"], found["normaliser"], log_category, found.get("surplus"))


def of_mixture(
    value: Float[Tensor, "K B P"], log_category: Float[Tensor, "K B"] | None, rng: torch.Generator
) -> Float[Tensor, "B P"]:
    """Of each example that of one category, drawn where categories are enumerated."""
    if log_category is None:
        return value[0]
    category = torch.multinomial(log_category.exp().mT, 1, generator=rng).squeeze(-1)
    return value[category, torch.arange(len(category), device=category.device)]
