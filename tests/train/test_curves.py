"""What curves show is true: of enough draws, on a part of the split that no order of it biases."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from runs import TINY, Programs, read_metrics

from lid_vae.measure.batch import measure_batch, noise_of
from lid_vae.noise import generator
from lid_vae.train import curves
from lid_vae.train.curves import EXAMPLES, SHARE, Curves, part_of


@given(st.integers(1, 10**5), st.integers(0, 10**7))
def test_examples_and_draws_are_enough_and_take_a_small_share(size: int, rows: int) -> None:
    examples, draws = part_of(size, rows)
    assert min(size, 200) <= examples <= min(size, EXAMPLES)
    assert 4 <= draws <= 20
    if examples > 200 or draws > 4:
        assert draws * examples <= SHARE * curves.PASSES * rows


def test_the_part_is_the_same_whatever_the_batches(make, monkeypatch) -> None:
    """A thousand rows of the split, drawn by a key: not its first, which may be sorted."""
    module, data = make("data=pinwheel", "data.per_class=400", "data.valid_size=500", "data.test_size=50")
    monkeypatch.setattr(curves, "EXAMPLES", 300)
    found = Curves(module, 500, 10_000)
    taken = []
    monkeypatch.setattr(found.evaluator, "update", lambda x, y: taken.append(x))
    for batch in data.batches("valid"):
        found.update(batch)
    x = torch.cat(taken)
    assert len(x) == 300
    assert torch.equal(x, torch.cat([batch.x for batch in data.batches("valid")])[found.chosen])
    assert not found.chosen[:300].all()


def _of_part(make, monkeypatch, bound, evidence) -> tuple[Curves, torch.Tensor]:
    """Curves that have seen a part of examples of which these are bound and likelihood, and that part of both."""
    module, _ = make("data=pinwheel", "data.per_class=400", "data.valid_size=50", "data.test_size=50")
    monkeypatch.setattr(curves, "EXAMPLES", 200)
    found = Curves(module, len(bound), 10_000)
    part = torch.stack([bound[found.chosen], evidence[found.chosen]])
    x = torch.zeros(part.shape[1], 2)
    noise = noise_of(0, x.device)
    measured = measure_batch(module.vae, module.infer, x, found.evaluator.ruler, noise)
    measured |= {"bound": part[0], "evidence": part[1]}
    found.evaluator.measure = lambda x, number: (measured, noise.draws)
    found.evaluator.update(x)
    return found, part


@pytest.mark.parametrize("scale", [0.1, 1.0, 10.0])
def test_the_likelihood_is_that_of_the_whole_split(make, monkeypatch, scale) -> None:
    """Moved by the bounds of part and whole, by the slope of a regression: nearer than the part's own."""
    rng = generator("examples")
    bound = 5 * torch.randn(1000, generator=rng, dtype=torch.float64)
    evidence = 0.5 * bound + scale * torch.randn(1000, generator=rng, dtype=torch.float64).abs() + 100
    found, part = _of_part(make, monkeypatch, bound, evidence)
    whole = {"elbo": bound.mean().item(), "elbo_se": bound.std().item() / 1000**0.5}
    alone, measures = found.evaluator.compute(), found.compute(whole)
    slope = (part.cov()[0, 1] / part[0].var()).item()
    residual = (part[1] - slope * part[0]).std().item() / 200**0.5
    assert measures["ll"]["mean"] == pytest.approx(
        part[1].mean().item() + slope * (bound.mean() - part[0].mean()).item()
    )
    assert measures["ll"]["se"] == pytest.approx((residual**2 + (slope * whole["elbo_se"]) ** 2) ** 0.5)
    assert measures["ll"]["se"] < alone["ll"]["se"]
    assert abs(measures["ll"]["mean"] - evidence.mean().item()) < 3 * measures["ll"]["se"]
    assert (measures["elbo"], measures["elbo_se"]) == (whole["elbo"], whole["elbo_se"])


def test_a_likelihood_that_is_the_bound_stays_the_bound(make, monkeypatch) -> None:
    """As of a language model, which has no latent."""
    bound = torch.randn(1000, generator=generator("examples"), dtype=torch.float64)
    found, _ = _of_part(make, monkeypatch, bound, bound)
    measures = found.compute({"elbo": bound.mean().item(), "elbo_se": bound.std().item() / 1000**0.5})
    assert measures["ll"]["mean"] == pytest.approx(bound.mean().item())
    assert measures["ll"]["se"] == pytest.approx(measures["elbo_se"])


@pytest.mark.parametrize("model", ["gmvae", "lidvae"])
def test_a_validation_logs_measures_with_errors_and_bounds(tmp_path, model) -> None:
    run = Programs(tmp_path).train(tiny=(f"model={model}", "family=gaussian", *TINY, "logger=default"))
    rows = [row for row in read_metrics(run.folder) if row["valid/bound"]]
    assert len(rows) == 3
    for row in rows:
        lower, upper = (float(row[f"valid/mutual_information{end}"]) for end in ("_lower", "_upper"))
        assert lower <= upper + 1e-9
        assert float(row["valid/mutual_information_se"]) > 0
        assert float(row["valid/bound_se"]) > 0
        kl = [float(value) for name, value in row.items() if name.startswith("kl_by_dimension/")]
        assert len(kl) == 2
        if model == "gmvae":
            assert float(row["valid/kl_lower"]) <= float(row["valid/kl"]) + 1e-9
