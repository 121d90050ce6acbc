"""The LSTM encoder of sequences: padding, pooling, layers, and what is refused."""

import pytest
import torch
from builders import randomise

from lid_vae.errors import UserError
from lid_vae.posterior import LSTMEncoder, gaussian_family, realnvp_family
from lid_vae.symbols import PADDING

X = torch.tensor([[4, 2, 5, 9], [3, 9, 0, 0], [9, 0, 0, 0]])


def make(**options) -> LSTMEncoder:
    return randomise(LSTMEncoder((9,), 4, 5, **options), "encoder", 0.7).double()


@pytest.mark.parametrize("pooling", ["last", "mean"])
@pytest.mark.parametrize("layers", [1, 2])
def test_features_are_those_of_the_sequence_without_its_padding(pooling: str, layers: int) -> None:
    encoder = make(pooling=pooling, layers=layers)
    together = encoder(X)
    assert together.shape == (3, encoder.out_features)
    for row, found in zip(X, together, strict=True):
        states, _ = encoder.lstm(encoder.embedding(row[row != PADDING]).unsqueeze(0))
        torch.testing.assert_close(found, states[0, -1] if pooling == "last" else states[0].mean(0))


@pytest.mark.parametrize("family", [gaussian_family, lambda make_encoder: realnvp_family(make_encoder, 6)])
def test_families_take_it(family) -> None:
    posterior = family(lambda shape: LSTMEncoder(shape, 4, 5))((9,), 2, None, "real")
    q = posterior.distribution(posterior.encode(X))
    assert q.sample(posterior.draw_noise(3, 3, torch.Generator().manual_seed(0))).w.shape == (3, 1, 3, 2)


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((8, 8), {}, "reads sequences, and an example here is [8, 8]. Use MLPEncoder"),
        ((9,), {"pooling": "max"}, "pooling=max is not known. Use last or mean"),
        ((9,), {"layers": 0}, "layers of at least 1"),
        ((9,), {"dropout": 1.0}, "a dropout below 1"),
    ],
)
def test_options_out_of_range_are_refused(shape: tuple, options: dict, message: str) -> None:
    with pytest.raises(UserError) as caught:
        LSTMEncoder(shape, 4, 5, **options)
    assert message in str(caught.value)
