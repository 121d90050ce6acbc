"""Metrics in a collection, their pictures, and what is refused in words."""

import matplotlib
import pytest
import torch
from builders import normal
from torchmetrics import MetricCollection

from lid_vae.errors import UserError
from lid_vae.metrics import (
    ActiveUnits,
    CategoricalMutualInformation,
    ClusterAccuracy,
    DimensionKL,
    ExampleMean,
    LogLikelihood,
    MutualInformation,
)

matplotlib.use("agg")


def updated() -> dict:
    """Every measure of the room with a batch of something."""
    w, probability = normal(20, 3), normal(1, 20, 4).softmax(-1)
    metrics = {
        "au": ActiveUnits(torch.ones(3)),
        "mi": MutualInformation(),
        "category": CategoricalMutualInformation(),
        "accuracy": ClusterAccuracy(4, 4),
        "dimensions": DimensionKL(3),
        "kl": ExampleMean(),
        "ll": LogLikelihood(),
    }
    metrics["au"].update(w)
    metrics["mi"].update_gaussian(w, w, torch.ones_like(w))
    metrics["category"].update(probability)
    metrics["accuracy"].update(probability[0].argmax(-1), torch.arange(20) % 4)
    metrics["dimensions"].update(w, w.square() + 1, -w, 5)
    metrics["kl"].update(w.sum(-1))
    metrics["ll"].update(w.mT)
    return metrics


def test_every_metric_draws_itself() -> None:
    from matplotlib import pyplot

    for metric in updated().values():
        value = metric.compute()
        figure, _ = metric.plot() if value.ndim == 0 else metric.plot(list(value))
        assert figure.axes
        metric.plot([value.mean(), value.mean() + 1])
    pyplot.close("all")


def test_metrics_compose_in_a_collection() -> None:
    """Each takes its own of the arguments; together they are what they are alone, and draw themselves."""
    from matplotlib import pyplot

    mean, log_weight, probability = normal(20, 3), normal(5, 20, key=1), normal(1, 20, 4).softmax(-1)
    together = MetricCollection(
        {
            "au": ActiveUnits(torch.ones(3)),
            "ll": LogLikelihood(),
            "kl": ExampleMean(),
            "mi": CategoricalMutualInformation(),
        }
    )
    for rows in (slice(0, 12), slice(12, 20)):
        together.update(
            mean=mean[rows], log_weight=log_weight[:, rows], value=mean[rows].sum(-1), probability=probability[:, rows]
        )
    alone = {
        "au": ActiveUnits(torch.ones(3)),
        "ll": LogLikelihood(),
        "kl": ExampleMean(),
        "mi": CategoricalMutualInformation(),
    }
    for name, values in (("au", mean), ("ll", log_weight), ("kl", mean.sum(-1)), ("mi", probability)):
        alone[name].update(values)
    found = together.compute()
    assert set(found) == set(alone)
    for name, metric in alone.items():
        assert float(found[name]) == pytest.approx(float(metric.compute()))
    assert len(together.plot()) == 4
    pyplot.close("all")
    together.reset()
    together.update(mean=mean, log_weight=log_weight, value=mean.sum(-1), probability=probability)
    assert float(together.compute()["ll"]) == pytest.approx(float(alone["ll"].compute()))


def test_shapes_and_scales_are_refused() -> None:
    w = normal(20, 3)
    with pytest.raises(UserError, match=r"a row for each draw of z, got \[20\].*log_weight\[None\]"):
        LogLikelihood().update(w[:, 0])
    with pytest.raises(UserError, match=r"of shape \[B\], got \[20, 3\].*\.sum\(-1\)"):
        ExampleMean().update(w)
    with pytest.raises(UserError, match=r"the least is -.*\(0.5 \* log_variance\).exp\(\)"):
        MutualInformation().update_gaussian(w, w, w)
    with pytest.raises(UserError, match="a scale of zero the information is infinite"):
        MutualInformation().update_gaussian(w, w, 0 * w)
    with pytest.raises(UserError, match="the least is nan"):
        MutualInformation().update_gaussian(w, w, w * torch.nan)
    with pytest.raises(UserError, match=r"have shape \[B, M\], got \[20\]"):
        MutualInformation().update_gaussian(w[:, 0], w[:, 0], w[:, 0].exp())
    with pytest.raises(UserError, match=r"logits.softmax\(-1\)"):
        CategoricalMutualInformation().update(w[None])
    with pytest.raises(UserError, match=r"Exact ones are probability\[None\]"):
        CategoricalMutualInformation().update(w.softmax(-1))
