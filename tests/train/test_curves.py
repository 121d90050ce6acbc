"""What curves show is true: of enough draws, on a part of the split that no order of it biases."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from runs import TINY, Programs, read_metrics

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
