"""An LSTM over a sequence of symbols, for the paper's approximating family of text."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import nn

from lid_vae.errors import UserError
from lid_vae.posterior.encoder import Encoder
from lid_vae.shapes import Float, Int, Tensor
from lid_vae.symbols import PADDING

__all__ = ["LSTMEncoder"]


class LSTMEncoder(Encoder):
    """``layers`` LSTM layers of ``width`` units over the symbols' embeddings, of ``embedding`` numbers each.

    ``shape`` is (V,). Features are, by ``pooling``, the state after the ``last`` symbol or the ``mean`` of the states
    over the symbols. ``dropout``, in training, is of the embeddings, the features and between layers, from torch's
    global generator. Raises ``UserError`` for sizes below one, probabilities outside [0, 1) and data that are no
    sequences.
    """

    sequences = True

    def __init__(
        self,
        shape: Sequence[int],
        embedding: int,
        width: int,
        layers: int = 1,
        pooling: Literal["last", "mean"] = "last",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if len(shape) != 1:
            raise UserError(f"LSTMEncoder reads sequences, and an example here is {list(shape)}. Use MLPEncoder.")
        if pooling not in ("last", "mean"):
            raise UserError(f"pooling={pooling} is not known. Use last or mean.")
        if min(embedding, width, layers) < 1 or not 0 <= dropout < 1:
            raise UserError(
                "LSTMEncoder needs an embedding, a width and layers of at least 1 and a dropout below 1, got "
                f"embedding={embedding}, width={width}, layers={layers} and dropout={dropout}."
            )
        self.out_features, self.pooling = width, pooling
        self.embedding = nn.Embedding(shape[0] + 1, embedding)
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
        self.lstm = nn.LSTM(embedding, width, layers, batch_first=True, dropout=dropout if layers > 1 else 0)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Int[Tensor, "B T"]) -> Float[Tensor, "B F"]:
        states, _ = self.lstm(self.dropout(self.embedding(x)))
        there = x != PADDING
        if self.pooling == "mean":
            weight = there.to(states.dtype)
            pooled = (states * weight.unsqueeze(-1)).sum(1) / weight.sum(1, keepdim=True)
        else:
            pooled = states[torch.arange(len(x), device=x.device), there.sum(1) - 1]
        return self.dropout(pooled)
