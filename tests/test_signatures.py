"""The tests' own check of signatures: what is wrong is told, in every test, and not in a loop for ever."""

import jaxtyping
import pytest
import torch
from signatures import CALLS, begin_anew

from lid_vae.metrics.mutual_information import information_terms

DENSITY, PLACE = torch.zeros(3, 5, dtype=torch.float64), torch.arange(3)


def test_what_does_not_fit_is_told() -> None:
    with pytest.raises(jaxtyping.TypeCheckError):
        information_terms(DENSITY, PLACE[:2])  # R is 3 and 2
    with pytest.raises(jaxtyping.TypeCheckError):
        information_terms(DENSITY, PLACE.double())


def test_the_first_calls_of_each_test_are_checked() -> None:
    for _ in range(CALLS):
        information_terms(DENSITY.clone(), PLACE)
    wrong = DENSITY, PLACE.double()
    with pytest.raises(RuntimeError, match="index"):  # PyTorch's own: this call is not checked
        information_terms(*wrong)
    begin_anew()
    with pytest.raises(jaxtyping.TypeCheckError):
        information_terms(*wrong)
