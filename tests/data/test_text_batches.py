"""Batches of the field's corpora: hardly any padding, and an epoch of them in bounded memory."""

import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from peak import MEBIBYTE, said

from lid_vae.data import PTB, Batch, ShortYelp, Text, TextDataModule

STREAM = """
import resource, sys
from lid_vae.data import PTB

module = PTB(sys.argv[1], batch_size=32)
module.setup()
stream = module.stream()

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

def symbols(first, last):
    return sum(stream.batch(step).x.numel() for step in range(first * len(stream), last * len(stream)))

symbols(0, 1)
print(peak(), symbols(1, 31), peak())
"""


def yahoo(root: str) -> Text:
    """Its validation split in the place of the training split, which is not at hand."""
    valid, test = (str(Path(root) / "yahoo" / f"{part}.txt.gz") for part in ("valid", "test"))
    return Text(train=valid, valid=valid, test=test)


def padding(batches: Iterable[Batch]) -> float:
    empty = whole = 0
    for batch in batches:
        empty += int((batch.x == 0).sum())
        whole += batch.x.numel()
    return empty / whole


@pytest.mark.parametrize(("folder", "make"), [("ptb", PTB), ("short-yelp", ShortYelp), ("yahoo", yahoo)])
def test_padding_is_below_five_percent(
    corpus: Callable[[str], str], folder: str, make: Callable[[str], TextDataModule]
) -> None:
    """Measured: 0.1 to 0.4 % in training, whose batches are of about one length, and up to 4.8 % in evaluation."""
    module = make(corpus(folder))
    module.setup()
    stream = module.stream()
    assert padding(stream.batch(step) for step in range(len(stream))) < 0.005
    assert padding(stream.batch(step, draw=1) for step in range(0, len(stream), 5)) < 0.005
    for part in ("train", "valid", "test"):
        assert padding(module.batches(part)) < 0.05


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="getrusage has another unit elsewhere")
def test_thirty_more_epochs_take_no_more_memory_than_one(corpus: Callable[[str], str]) -> None:
    """Kept, thirty epochs of batches of the Penn Treebank would be 213 MiB."""
    first, symbols, last = said(STREAM, corpus("ptb"))
    assert symbols * 8 > 200 * 2**20
    assert last - first < 20 * MEBIBYTE, f"peak {first // MEBIBYTE} MiB after one epoch, {last // MEBIBYTE} after 31"
