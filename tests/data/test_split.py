"""Held-out parts and subsets: disjoint, complete, nested, and functions of the data seed."""

import pytest
import torch

from lid_vae.data.split import Split, as_float, hold_out, subsample
from lid_vae.errors import UserError

SPLIT = Split(torch.arange(100, dtype=torch.uint8)[:, None], torch.arange(100))


def test_hold_out_divides_all_rows_and_keeps_labels_with_their_rows() -> None:
    rest, held = hold_out(SPLIT, 30, seed=0, part="valid")
    assert len(held) == 30
    assert sorted(torch.cat([rest.y, held.y]).tolist()) == list(range(100))
    assert torch.equal(rest.x[:, 0].long(), rest.y)


def test_hold_out_is_a_function_of_seed_and_part() -> None:
    first, again = (hold_out(SPLIT, 30, seed=0, part="valid")[1] for _ in range(2))
    assert torch.equal(first.y, again.y)
    assert not torch.equal(first.y, hold_out(SPLIT, 30, seed=1, part="valid")[1].y)
    assert not torch.equal(first.y, hold_out(SPLIT, 30, seed=0, part="test")[1].y)


def test_no_size_holds_out_a_tenth() -> None:
    assert len(hold_out(SPLIT, None, seed=0, part="valid")[1]) == 10


@pytest.mark.parametrize("size", [0, -1, 100, 101])
def test_a_part_of_nothing_or_of_all_is_refused(size: int) -> None:
    with pytest.raises(UserError, match=f"valid_size={size}"):
        hold_out(SPLIT, size, seed=0, part="valid")


def test_a_smaller_subset_lies_inside_a_larger_one() -> None:
    small, large = subsample(SPLIT, 10, seed=3), subsample(SPLIT, 60, seed=3)
    assert len(small) == 10
    assert set(small.y.tolist()) < set(large.y.tolist())
    assert set(small.y.tolist()) != set(subsample(SPLIT, 10, seed=4).y.tolist())


def test_a_subset_larger_than_the_training_part_is_refused() -> None:
    with pytest.raises(UserError, match=r"train_size=101 .* 100 training examples"):
        subsample(SPLIT, 101, seed=0)


def test_bytes_become_grey_levels_and_real_values_stay() -> None:
    assert torch.equal(as_float(torch.tensor([[0, 51, 255]], dtype=torch.uint8)), torch.tensor([[0.0, 0.2, 1.0]]))
    real = torch.tensor([[-1.5, 300.0]])
    assert torch.equal(as_float(real), real)
