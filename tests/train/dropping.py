"""A part of one's own that drops what it reads, in training."""

from torch import nn

from lid_vae.posterior import MLPEncoder

__all__ = ["DroppingEncoder"]


class DroppingEncoder(MLPEncoder):
    """Half of what the hidden layers read is dropped."""

    def __init__(self, shape, width, hidden_layers=2):
        super().__init__(shape, width, hidden_layers)
        self.dropout = nn.Dropout(0.5)

    def forward(self, x):
        return super().forward(self.dropout(x))
