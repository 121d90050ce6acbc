"""A model of this package: the draws and formulas of ``Evaluator``, example by example."""

from collections.abc import Callable

import torch

from lid_vae.diagnosis.subject.base import (
    REFUSALS,
    About,
    ExponentialDraws,
    GenericDraws,
    LatentBatch,
    Seen,
    Subject,
    refused,
)
from lid_vae.distribution import Approximation, FlowGaussian, Mixture, closed_form_kl, grouped_kl
from lid_vae.errors import UserError
from lid_vae.measure.batch import BatchMeasures, Ruler, measure_batch, noise_of
from lid_vae.measure.evaluator import of_mixture
from lid_vae.metrics.dimension_kl import dimension_kl
from lid_vae.metrics.mutual_information import DENSITIES
from lid_vae.shapes import Float, Tensor
from lid_vae.vae import Autoencoder

__all__ = ["Own"]


class Own(Subject):
    """``vae``, an ``Autoencoder`` called ``name``, with the q that its inference strategy finds.

    ``infer(x, noise)`` gives q for a batch, from ``inference_samples`` draws of noise. Estimates are by
    ``samples`` draws of q for each example. A model with categories has the blocks z, the category, and w, what the
    decoder reads; any other has z alone. The noise of batch number i is the evaluator's, so that figures agree with
    those of ``evaluate.py`` for the same batches and samples.
    """

    likelihood_words = "importance sampling"

    def __init__(
        self,
        vae: Autoencoder,
        infer: Callable[[Tensor, Tensor], Approximation],
        samples: int,
        inference_samples: int = 1,
        name: str = "a VAE",
    ) -> None:
        with torch.no_grad():
            self.prior = vae.prior()
        dimensions = self.prior.support != "binary" and self.prior.marginals
        self.ruler = Ruler(samples, inference_samples=inference_samples, by_dimension=dimensions)
        self.vae, self.infer, self.samples, self.name = vae, infer, samples, name
        self.likelihood_samples: int | None = samples
        self.about: dict[str, About] = {}

    @torch.no_grad()
    def see(self, x: Tensor, number: int) -> Seen:
        """What ``x``, batch ``number``, shows."""
        x = self._taken(x)
        try:
            found = measure_batch(self.vae, self.infer, x, self.ruler, noise_of(number, x.device))
        except UserError:
            raise
        except REFUSALS as error:
            raise refused(self.name, x, error) from error
        q = self._posterior(x, number)
        exact = closed_form_kl(q, self.prior) is not None
        if not self.about:
            self._tell(q, exact, found)
        last = self._continuous(q, found, exact, number)
        figures = (found["evidence"], found["bound"])
        if "category" not in found:
            return Seen({"z": last}, *figures)
        category = found["category"]
        mean = (category[0], category[-1])
        return Seen({"z": LatentBatch(None, mean, category=category), "w": last}, *figures, found["divergence"])

    def _taken(self, x: Tensor) -> Tensor:
        """x as the model takes it: real vectors in its precision, or symbols."""
        if self.vae.likelihood.symbols is not None:
            return x
        if x.ndim > 2:
            x = x.flatten(1)
        x = x.to(self.prior.mean.dtype)
        if self.vae.likelihood.binary and not bool(((x >= 0) & (x <= 1)).all()):
            raise UserError(
                f"The data lie between {float(x.min()):.3g} and {float(x.max()):.3g}, and the model's Bernoulli "
                "likelihood takes values from 0 to 1. Divide bytes by 255, or take a model with likelihood=gaussian."
            )
        return x

    def _posterior(self, x: Tensor, number: int) -> Approximation:
        """q again, as ``measure_batch`` found it."""
        noise = self.vae.posterior.draw_noise(
            self.ruler.inference_samples, len(x), noise_of(number, x.device).inference
        )
        return self.infer(x, noise)

    def _continuous(self, q: Approximation, found: BatchMeasures, exact: bool, number: int) -> LatentBatch:
        enumerated = q.log_category is not None
        each = grouped_kl(q, self.prior) if exact and not enumerated else None
        if each is None and "moments" in found:
            mean, square_mean, log_prior_mean = found["moments"]
            each = dimension_kl(mean, square_mean, log_prior_mean, int(found["moment_draws"]))
        value = found.get("statistic", found.get("draw"))
        assert value is not None
        # one category for each example, by a generator of the batch's own
        draw = of_mixture(value, q.log_category, noise_of(number, value.device).inference)
        kl, means = found["w_divergence"], (found["w"][0], found["w"][1])
        if "draw" in found:
            return LatentBatch(kl, means, each, GenericDraws(draw, q, _densities))
        draws = ExponentialDraws(draw, found["natural"], found["normaliser"], found.get("log_category"))
        return LatentBatch(kl, means, each, draws, self._surplus(draws, kl, exact))

    def _surplus(self, draws: ExponentialDraws, kl: Float[Tensor, " B"], exact: bool) -> Float[Tensor, " B"] | None:
        """log q / p at the draw, less the KL; where q is a Gaussian without flow and p a standard normal."""
        if not exact or isinstance(self.prior, Mixture):
            return None
        statistic = draws.statistic.double()
        log_q = (statistic * draws.natural[0]).sum(-1) - draws.normaliser[0]
        w = statistic[:, : len(self.prior.mean)].to(self.prior.mean.dtype)
        return log_q - self.prior.log_prob(w).double() - kl

    def _tell(self, q: Approximation, exact: bool, found: BatchMeasures) -> None:
        samples, enumerated, mixture = self.samples, q.log_category is not None, isinstance(self.prior, Mixture)
        if isinstance(self.prior, Mixture):
            probability = self.prior.log_mixing.exp().double()
            words = f"sum over {len(probability)} categories" if enumerated else "Monte Carlo, bounds"
            self.about["z"] = About(
                "categorical",
                probability * (1 - probability),
                probability,
                kl_samples=None if enumerated else samples,
                mean_samples=None if enumerated else samples,
                words=dict.fromkeys(("kl", "au", "mi"), words),
            )
        sampled_mean = q.expectation() is None
        sampled_kl = mixture or not exact
        grouped = exact and not enumerated and grouped_kl(q, self.prior) is not None
        self.about["w" if mixture else "z"] = About(
            "continuous",
            self.prior.variance.double(),
            kl_samples=samples if sampled_kl and not (exact and not enumerated) else None,
            mean_samples=samples if sampled_mean else None,
            dimension_samples=None if grouped or "moments" not in found else int(found["moment_draws"]),
            dimension_bounds=not grouped,
            words={
                "kl": "Monte Carlo" if sampled_kl else "closed form",
                "au": "covariance of independent halves of the draws" if sampled_mean else "exact means",
                "kl_by_dimension": "closed form" if grouped else "lower bound",
            },
        )


def _densities(q: FlowGaussian, w: Float[Tensor, "S B M"]) -> Float[Tensor, "S B"]:
    """log q(w | x) of all pairs, in pieces of bounded memory: each is a pass through the couplings."""
    return torch.cat([q.mixture_log_prob(piece) for piece in w.split(max(1, DENSITIES // w.shape[1]))])
