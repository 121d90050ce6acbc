"""Measures that only text has: how well it is reconstructed, whether z changes what is said, and labels read from z."""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torchmetrics.functional.text import bleu_score

from lid_vae.data.base import Part
from lid_vae.data.split import Batch
from lid_vae.data.text.text_data_module import TextDataModule
from lid_vae.data.text.token_split import TokenSplit
from lid_vae.likelihood.decode import greedy
from lid_vae.metrics.linear_probe import linear_probe
from lid_vae.noise import generator
from lid_vae.shapes import Float, Int, Tensor
from lid_vae.symbols import PADDING
from lid_vae.text.texts import likelihood_of, part_of, prior_diversity, sentences
from lid_vae.train.posterior_mean import posterior_mean
from lid_vae.train.vae_module import VAEModule

__all__ = ["text_measures"]

SENTENCES = 500
PROBED = 2000
ROWS = 100


def text_measures(module: VAEModule, data: TextDataModule, split: Part) -> dict[str, Any]:
    """For a result, under ``text``: measures of the model in ``module`` on a ``split`` of ``data``.

    ``reconstruction``, of 500 sentences of the split drawn by a key, from their posterior means: ``forced_accuracy``,
    the share of symbols that are the likeliest given those truly before them; ``greedy_accuracy``, the share that
    greedy decoding has in their place; ``bleu``, corpus BLEU-4 of greedy decoding (Papineni et al. 2002, no smoothing),
    in [0, 1]. Decoding is cut at twice the longest of the hundred sentences, of about equal length, that it is done
    with. ``prior``: how many different sentences 100 draws of z decode to. ``probe``, where there are labels: that of
    ``linear_probe``, fitted to 2,000 posterior means of the training split and measured on as many of this one.
    """
    diversity = prior_diversity(module, data)
    return {
        "reconstruction": _reconstruction(module, data, part_of(data, split)),
        "prior": {
            "draws": diversity.draws,
            "distinct": diversity.distinct,
            "commonest": diversity.commonest,
            "collapsed": diversity.collapsed,
        },
        "probe": None if data.label_count is None else _probe(module, data, split),
    }


def _reconstruction(module: VAEModule, data: TextDataModule, part: TokenSplit) -> dict[str, float]:
    likelihood = likelihood_of(module)
    symbols = forced = found = 0
    originals: list[str] = []
    decoded: list[str] = []
    for batch in _batches(part, SENTENCES, "reconstruction"):
        x, w = batch.x, posterior_mean(module, batch.x)
        there = x != PADDING
        y = greedy(likelihood, w, 2 * x.shape[1])
        aligned = F.pad(y, (0, x.shape[1] - y.shape[1]), value=PADDING)  # cut where y is the longer
        symbols += int(there.sum())
        forced += int((there & (likelihood.likeliest(x, w) == x)).sum())
        found += int((there & (aligned == x)).sum())
        originals += sentences(data, x)
        decoded += sentences(data, y)
    return {
        "sentences": len(originals),
        "forced_accuracy": forced / symbols,
        "greedy_accuracy": found / symbols,
        "bleu": float(bleu_score(decoded, [[original] for original in originals])),
    }


def _probe(module: VAEModule, data: TextDataModule, split: Part) -> dict[str, float]:
    w_train, y_train = _labelled(module, data.train, "probe")
    w, y = _labelled(module, part_of(data, split), "probed")
    probe = linear_probe(w_train, y_train, w, y)
    return {
        "fitted": len(y_train),
        "examples": len(y),
        "accuracy": probe.accuracy,
        "majority": probe.majority,
        "usable": probe.share,
    }


def _labelled(module: VAEModule, part: TokenSplit, key: str) -> tuple[Float[Tensor, "N M"], Int[Tensor, " N"]]:
    batches = list(_batches(part, PROBED, key))
    labels = [batch.y for batch in batches if batch.y is not None]
    return torch.cat([posterior_mean(module, batch.x) for batch in batches]), torch.cat(labels)


def _batches(part: TokenSplit, count: int, key: str) -> Iterator[Batch]:
    """Up to ``count`` sentences, drawn by a key, those of about equal length together."""
    rows = torch.randperm(len(part), generator=generator("text measures", key))[:count]
    rows = rows[part.lengths[rows].argsort(stable=True)]
    for piece in rows.split(ROWS):
        yield part.batch(piece)
