"""The evaluation of sequences holds a piece of its draws at a time: its memory is bounded in S."""

import sys

import pytest
from peak import MEBIBYTE, said

EVALUATION = """
import resource, sys
from functools import partial
import torch
from lid_vae.likelihood import autoregressive_likelihood
from lid_vae.map import counterpart_mlp
from lid_vae.measure.evaluator import Evaluator
from lid_vae.posterior import AmortizedPosterior, LSTMEncoder
from lid_vae.prior import StandardNormalPrior
from lid_vae.vae import Autoencoder

V, M, WIDTH = 5_000, 4, 16
make_map = partial(counterpart_mlp, hidden_layers=1, depth=1, width=WIDTH)
likelihood = autoregressive_likelihood(make_map, M, V, embedding=WIDTH, hidden=WIDTH)
vae = Autoencoder(StandardNormalPrior(M), likelihood, AmortizedPosterior(LSTMEncoder((V,), WIDTH, WIDTH), M))
x = torch.randint(1, V, (50, 20), generator=torch.Generator().manual_seed(0))
evaluator = Evaluator(vae, lambda x, noise: vae.posterior.distribution(vae.posterior.encode(x)), int(sys.argv[1]))
evaluator.update(x)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="getrusage has another unit elsewhere")
def test_a_hundred_draws_take_no_more_memory_than_twenty() -> None:
    """All at once, the logits of a hundred draws of 1,000 symbols would be 1,900 MiB."""
    twenty, hundred = (said(EVALUATION, samples)[0] for samples in (20, 100))
    assert hundred - twenty < 50 * MEBIBYTE, f"peak {twenty // MEBIBYTE}, then {hundred // MEBIBYTE} MiB"
