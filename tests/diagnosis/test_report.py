"""What a reader sees: numbers within what is possible, words that follow from them, tables, frames and pictures."""

import sys
from math import nan
from types import ModuleType

import pytest
import torch
from builders import data, make_vae, normal
from matplotlib.figure import Figure
from torch.distributions import Categorical, Normal

from lid_vae.diagnosis import Dimension, Estimate, diagnose
from lid_vae.diagnosis.verdict import ranges
from lid_vae.errors import UserError

PRIOR = Normal(0.0, 1.0)


def report(gain: list[float], count: int = 2000, scale: list[float] | None = None):
    """Of a q whose means move by ``gain`` and whose aggregate is the prior, unless another ``scale`` is given."""
    weight = torch.tensor(gain, dtype=torch.float64)
    width = (1 - weight.square()).sqrt() if scale is None else torch.tensor(scale, dtype=torch.float64)
    return diagnose(
        encode=lambda x: Normal(weight * x, width.expand_as(x)), prior=PRIOR, data=normal(count, len(gain), key="r")
    )


def estimate(value: float, error: float = 0.1, **options: object) -> Estimate:
    return Estimate(value, error, "nats", 100, 10, "by hand", **options)


@pytest.mark.parametrize(
    ("found", "shown"),
    [
        (estimate(1.234, 0.02), "1.23 ± 0.02 nats"),
        (estimate(1.234, 0.0), "1.23 nats"),
        (estimate(-0.003, 0.01, floor=0.0), "0.00 nats, consistent with 0"),
        (estimate(-3.0, 0.01, floor=0.0), "0.00 nats (the estimate is off 0 by more than chance)"),
        (estimate(2.1, 0.1, floor=0.0, ceiling=2.0, ceiling_name="the KL"), "2.00 nats, consistent with the KL"),
        (estimate(1.0, 0.1, floor=0.0, ceiling=2.0, upper=1.5), "1.00 to 1.50 ± 0.1 nats"),
        (estimate(1.0, 0.1, floor=0.0, ceiling=1.2, upper=1.5), "1.00 to 1.20 ± 0.1 nats"),
        (estimate(-0.001, 0.1), "0.00 ± 0.1 nats"),
        (estimate(-0.4, 0.1, floor=0.0, bound=True), "at least 0.00 nats"),
        (estimate(0.4, 0.1, floor=0.0, bound=True), "at least 0.40 ± 0.1 nats"),
    ],
)
def test_figures_are_shown_within_what_is_possible(found: Estimate, shown: str) -> None:
    assert str(found) == shown
    low, high = found.interval
    assert low <= found.value <= high
    assert float(found) == found.value


def test_a_collapsed_model_never_has_a_negative_information() -> None:
    """Whatever the seed: estimates fall below zero, and what is shown does not."""
    x, seen = normal(60, 2), set()
    for seed in range(20):
        one = diagnose(encode=lambda x: Normal(0 * x, 1.0), prior=PRIOR, data=x, seed=seed)
        assert 0 <= one.mi.value <= one.kl.value == 0
        assert "-" not in str(one.mi)
        seen.add(str(one.mi))
    assert seen <= {"0.00 nats", "0.00 nats, consistent with 0", "0.00 nats, consistent with the KL"}


def test_the_verdict_of_all_some_and_none() -> None:
    gone = report([0.0, 0.01]).verdict()
    assert gone.startswith("Collapsed: all 2 dimensions of z (Var E[z_d | x] below 0.01 of the prior variance")
    assert "KL agrees" in gone
    part = report([0.9, 0.0, 0.0, 0.0, 0.5, 0.01]).verdict()
    assert part.startswith("Partly collapsed: dimensions 1-3, 5 of z, 4 of 6")
    assert "more than 99.9% sure of each" in part
    none = report([0.9, 0.5]).verdict()
    assert none.startswith("Not collapsed: no dimension of z is surely inactive")
    assert "Undecided" not in none


def test_the_verdict_near_the_threshold_is_undecided() -> None:
    """Var E = .1^2 on the line: undecided whichever side it falls on, and a share with an error."""
    near = report([0.1, 0.9], count=200)
    assert "Undecided, too near the threshold for 200 examples: 0 (" in near.verdict()
    assert 0.5 <= near.first.dimensions[0].confidence < 0.99
    assert near.au.error > 0
    assert near.first.dimensions[1].confidence > 0.999


def test_the_verdict_of_a_constant_posterior_that_is_not_the_prior() -> None:
    odd = report([0.0, 0.9], scale=[0.2, 0.4])
    assert "Yet dimension 0 of z differs from the prior by up to 1.13 nats" in odd.verdict()


def test_the_verdict_names_where_the_absolute_rule_differs() -> None:
    x = normal(500, 1)
    wide = diagnose(encode=lambda x: Normal(0.5 * x, 10.0), prior=Normal(0.0, 10.0), data=x)
    assert wide.au.value == 0
    assert wide.au_absolute.value == 1
    assert "The absolute rule (variance 0.01, whatever the prior's) says otherwise of dimension 0" in wide.verdict()


@pytest.mark.parametrize(("size", "words"), [(0.0, "Collapsed"), (0.6, "Nearly collapsed"), (5.0, "Not collapsed")])
def test_the_verdict_of_a_category(size: float, words: str) -> None:
    found = diagnose(
        encode=lambda x: Categorical(logits=size * x), prior=Categorical(torch.ones(4)), data=normal(300, 4)
    )
    assert found.verdict().startswith(f"{words}: the category z tells")
    assert "log 4 = 1.39" in found.verdict()


def test_confidence_is_the_normal_distributions() -> None:
    assert Dimension(0, 0.03, 0.01, 1.0, 0.01, None).confidence == pytest.approx(0.97725, abs=1e-5)
    assert Dimension(0, 0.0, 0.0, 1.0, 0.01, None).confidence == 1
    assert Dimension(0, 0.01, 0.01, 1.0, 0.01, None).confidence == 0.5


def test_ranges() -> None:
    assert ranges([0, 1, 2, 3, 7, 9, 10]) == "0-3, 7, 9, 10"
    assert ranges([4]) == "4"


def test_tables_hold_every_figure_with_error_unit_and_samples() -> None:
    vae = make_vae("gaussian", "enumerate")
    found = diagnose(vae, data(vae, 60), samples=5)
    text, page = repr(found), found._repr_html_()
    for title in ("active units", "KL from the prior", "mutual information", "joint KL", "log-likelihood", "ELBO"):
        assert title in text
        assert title in page
    assert "5 samples" in text
    assert found.verdict() in text
    assert page.count("<tr>") == len(found.rows(dimensions=False)) + 1
    for row in found.rows():
        assert row["unit"] in ("nats", "share")
        assert row["low"] <= row["value"] <= row["high"]
        assert row["examples"] == 60
    assert {"au", "kl", "mi", "w/au", "w/kl", "ll", "ll_se", "joint_kl"} <= set(found.summary())


def test_a_frame(monkeypatch) -> None:
    """As pandas takes it; pandas itself where it is installed."""
    found = report([0.9, 0.0], count=50)
    fake = ModuleType("pandas")
    fake.DataFrame = list
    monkeypatch.setitem(sys.modules, "pandas", fake)
    assert found.to_frame() == found.rows()
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UserError, match="pip install pandas"):
        found.to_frame()


def test_pandas_frame() -> None:
    pytest.importorskip("pandas")
    frame = report([0.9, 0.0], count=50).to_frame()
    assert list(frame["measure"][:2]) == ["active units", "active units, absolute rule"]


@pytest.mark.parametrize("kind", ["dimensions", "blocks", "no marginals"])
def test_pictures(kind: str) -> None:
    if kind == "dimensions":
        found = report([0.9, 0.0], count=50)
    elif kind == "blocks":
        vae = make_vae("gaussian", "enumerate")
        found = diagnose(vae, data(vae, 30), samples=4)
    else:
        found = report([0.9, 0.0], count=50)
        bare = [Dimension(one.number, one.activity, one.error, 1.0, 0.01, None) for one in found.first.dimensions]
        object.__setattr__(found.first, "dimensions", tuple(bare))
        assert found.kl_by_dimension is None
    figure = found.plot()
    assert isinstance(figure, Figure)
    assert len(figure.axes) == 2 * len(found.latent)
    figure.canvas.draw()


def test_a_single_example_has_no_error() -> None:
    one = diagnose(encode=lambda x: Normal(x, 1.0), prior=PRIOR, data=normal(1, 2))
    assert one.kl.error != one.kl.error or one.kl.error == nan
    assert "nats" in str(one)
