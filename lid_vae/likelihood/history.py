"""The history f(x_<i) of a sequence: an LSTM over the symbols before each one."""

import torch
from torch import nn

from lid_vae.errors import UserError
from lid_vae.shapes import Float, Int, Tensor
from lid_vae.symbols import PADDING, UNKNOWN

__all__ = ["LSTMHistory", "LSTMState"]

LSTMState = tuple[Tensor, Tensor]


class LSTMHistory(nn.Module):
    """Embedding and LSTM from x_<t to ``features`` numbers, for each t; x_<1 is the learned row of the padding.

    There are ``symbols`` of them, V. ``extra`` numbers, the same at every t, stand beside each embedding (a latent at
    the input). In training, ``word_dropout`` is the probability that a symbol of the history is replaced by ``<unk>``
    (Bowman et al. 2016), and ``dropout`` that of a number of the embedding, of the history and between layers; both
    draw from torch's global generator. Raises ``UserError`` for sizes below one and probabilities outside [0, 1).
    """

    def __init__(
        self,
        symbols: int,
        embedding: int,
        features: int,
        layers: int = 1,
        extra: int = 0,
        dropout: float = 0.0,
        word_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if min(embedding, features, layers) < 1:
            raise UserError(
                "LSTMHistory needs embedding, features and layers of at least 1, got "
                f"embedding={embedding}, features={features} and layers={layers}."
            )
        if not (0 <= dropout < 1 and 0 <= word_dropout <= 1):
            raise UserError(
                f"Dropout is a probability below 1, got dropout={dropout} and word_dropout={word_dropout} (which may "
                "be 1: no history at all)."
            )
        self.features, self.extra = features, extra
        self.embedding = nn.Embedding(symbols + 1, embedding)
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
        self.lstm = nn.LSTM(embedding + extra, features, layers, batch_first=True, dropout=dropout if layers > 1 else 0)
        self.dropout, self.word_dropout = nn.Dropout(dropout), nn.Dropout(word_dropout)

    def forward(
        self, before: Int[Tensor, "B T"], extra: Float[Tensor, "B E"] | None = None, state: LSTMState | None = None
    ) -> tuple[Float[Tensor, "B T H"], LSTMState]:
        """History up to and with each of the symbols ``before`` (padding at a start), and the state to go on from."""
        if self.training and self.word_dropout.p > 0:
            dropped = self.word_dropout(torch.ones(before.shape, device=before.device)) == 0
            before = before.masked_fill(dropped & (before != PADDING), UNKNOWN)
        embedded = self.dropout(self.embedding(before))
        if extra is not None:
            embedded = torch.cat([embedded, extra.unsqueeze(1).expand(-1, before.shape[1], -1)], -1)
        hidden, state = self.lstm(embedded, state)
        return self.dropout(hidden), state
