"""From batches to a report: the measures of design and paper, accumulated over the whole set."""

from collections.abc import Iterable, Iterator

import torch

from lid_vae.diagnosis.estimate import Estimate
from lid_vae.diagnosis.information import Aggregate
from lid_vae.diagnosis.report import Dimension, LatentReport, Report
from lid_vae.diagnosis.streams import Activity, Mean
from lid_vae.diagnosis.subject.base import About, LatentBatch, Subject
from lid_vae.metrics import CategoricalMutualInformation
from lid_vae.shapes import Tensor

__all__ = ["THRESHOLD", "measure"]

THRESHOLD = 0.01
"""Active from this share of the prior variance: Burda, Grosse and Salakhutdinov (2016), who had N(0, 1)."""


def measure(subject: Subject, batches: Iterable[Tensor], seed: int) -> Report:
    """Diagnoses ``subject`` on all of ``batches``; ``seed`` chooses the examples of whatever is too large for all."""
    blocks: dict[str, _Block] = {}
    likelihood, elbo, joint, examples = Mean(), Mean(), Mean(), 0
    for number, x in enumerate(batches):
        seen = subject.see(x, number)
        for name, batch in seen.latent.items():
            if name not in blocks:
                blocks[name] = _Block(name, subject.about[name], seed)
            blocks[name].add(batch)
        for mean, value in ((likelihood, seen.log_likelihood), (elbo, seen.elbo), (joint, seen.joint_kl)):
            if value is not None:
                mean.add(value)
        examples += len(x)
    samples, words = subject.likelihood_samples, subject.likelihood_words
    return Report(
        subject.name,
        examples,
        {name: block.report() for name, block in blocks.items()},
        _mean(likelihood, samples, words) if likelihood.count else None,
        _mean(elbo, samples, "Monte Carlo" if samples else words) if elbo.count else None,
        _mean(joint, *_divergence(blocks), floor=0.0) if joint.count else None,
    )


def _divergence(blocks: dict[str, "_Block"]) -> tuple[int | None, str]:
    """How the joint divergence was found, which is as that of the innermost block."""
    about = list(blocks.values())[-1].about
    return about.kl_samples, about.words.get("kl", "")


def _mean(mean: Mean, samples: int | None, how: str, floor: float = -torch.inf) -> Estimate:
    return Estimate(float(mean.mean()), float(mean.error()), "nats", mean.count, samples, how, floor)


class _Block:
    """What is accumulated of one latent block."""

    def __init__(self, name: str, about: About, seed: int) -> None:
        self.name, self.about = name, about
        self.kl, self.activity, self.each = Mean(), Activity(), Mean()
        self.aggregate = Aggregate(seed)
        self.category = CategoricalMutualInformation(sync_on_compute=False) if about.prior is not None else None

    def add(self, batch: LatentBatch) -> None:
        self.activity.add(*batch.mean)
        if batch.kl is not None:
            self.kl.add(batch.kl)
        if batch.kl_by_dimension is not None:
            self.each.add(batch.kl_by_dimension)
        if self.category is not None and batch.category is not None:
            self.category.to(batch.category.device).update(batch.category)
        elif batch.draws is not None:
            self.aggregate.add(batch)

    def report(self) -> LatentReport:
        dimensions = tuple(self._dimensions())
        examples, samples = self.activity.count, self.about.mean_samples
        how = self.about.words.get("au", "")
        au = _share([one.active for one in dimensions], [one.probability for one in dimensions])
        absolute = _share(
            [one.active_absolute for one in dimensions], [_absolute(one).probability for one in dimensions]
        )
        kl, mi, usage = self._categorical() if self.category is not None else self._continuous()
        return LatentReport(
            self.name,
            self.about.kind,
            Estimate(*au, "share", examples, samples, f"{how}, threshold {THRESHOLD:g} of the prior variance"),
            Estimate(*absolute, "share", examples, samples, f"{how}, threshold {THRESHOLD:g}"),
            kl,
            mi,
            dimensions,
            examples if usage is not None else self.information.aggregate,
            usage,
        )

    def _dimensions(self) -> Iterator[Dimension]:
        prior = self.about.prior_variance.cpu()
        activity, error = self.activity.value().cpu() / prior, self.activity.error().cpu() / prior
        divergence = deviation = None
        if self.each.count:
            divergence, deviation = self.each.mean().cpu(), self.each.error().cpu()
        for number in range(len(prior)):
            kl = None
            if divergence is not None and deviation is not None:
                kl = Estimate(
                    float(divergence[number]),
                    float(deviation[number]),
                    "nats",
                    self.each.count,
                    self.about.dimension_samples,
                    self.about.words.get("kl_by_dimension", ""),
                    floor=0.0,
                    bound=self.about.dimension_bounds,
                )
            yield Dimension(number, float(activity[number]), float(error[number]), float(prior[number]), THRESHOLD, kl)

    def _continuous(self) -> tuple[Estimate, Estimate, None]:
        kl = _mean(self.kl, self.about.kl_samples, self.about.words["kl"], floor=0.0)
        self.information = found = self.aggregate.information()
        how = f"bounds, one draw for each of {found.draws:,} examples, q(z) of {found.aggregate:,}"
        if found.controlled:
            how += ", KL as control variate"
        mi = Estimate(
            found.lower,
            found.lower_error,
            "nats",
            found.draws,
            None,
            how,
            floor=0.0,
            ceiling=kl.value,
            ceiling_name="the KL",
            upper=found.upper,
        )
        return kl, mi, None

    def _categorical(self) -> tuple[Estimate, Estimate, tuple[float, ...]]:
        assert self.category is not None
        assert self.about.prior is not None
        metric, examples, samples = self.category, self.activity.count, self.about.kl_samples
        lower, upper = float(metric.compute()), float(metric.upper())
        prior = self.about.prior.to(metric.device)
        value, error = metric.kl(prior), metric.kl_error(prior)
        how = self.about.words["kl"]
        kl = Estimate(float(value), float(error), "nats", examples, samples, how, floor=0.0)
        mi_how = self.about.words["mi"]
        mi = Estimate(
            lower,
            float(metric.standard_error()) if examples > 1 else float("nan"),
            "nats",
            examples,
            samples,
            f"{mi_how}, q(z) of {examples:,}",
            floor=0.0,
            ceiling=kl.value,
            ceiling_name="the KL",
            upper=None if samples is None else upper,
        )
        return kl, mi, tuple(metric.aggregate().tolist())


def _share(active: list[bool], probability: list[float]) -> tuple[float, float]:
    """The share of active dimensions, and the error that comes of those that may be on either side."""
    variance = sum(p * (1 - p) for p in probability)
    return sum(active) / len(active), variance**0.5 / len(active)


def _absolute(one: Dimension) -> Dimension:
    """The same in absolute units."""
    return Dimension(
        one.number, one.activity * one.prior_variance, one.error * one.prior_variance, 1.0, one.threshold, one.kl
    )
