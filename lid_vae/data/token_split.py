"""Sentences as token ids, end to end in one tensor, and the padded batches cut from them."""

__all__ = ["PADDING", "TokenSplit"]

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch

from lid_vae.data.split import Batch
from lid_vae.shapes import Int, Tensor

PADDING = 0


@dataclass(frozen=True)
class TokenSplit:
    """N sentences on one device.

    Attributes:
        tokens: all ids end to end, int16 where they fit, else int32; every sentence ends with ``<eos>``.
        starts: where in ``tokens`` each sentence begins.
        lengths: the tokens of each sentence, on the CPU: the T of a batch is known without waiting for the device.
        y: class numbers, where the data have any.
    """

    tokens: Int[Tensor, " tokens"]
    starts: Int[Tensor, " N"]
    lengths: Int[Tensor, " N"]
    y: Int[Tensor, " N"] | None = None

    @classmethod
    def pack(cls, sentences: Iterable[Sequence[int]], symbols: int, y: Int[Tensor, " N"] | None = None) -> "TokenSplit":
        """Sentences of ids from 1 to ``symbols``, on the CPU."""
        tokens, lengths = array("i"), array("q")
        for sentence in sentences:
            tokens.extend(sentence)
            lengths.append(len(sentence))
        length = torch.tensor(lengths, dtype=torch.int64)
        flat = torch.frombuffer(tokens, dtype=torch.int32)
        small = symbols <= torch.iinfo(torch.int16).max
        return cls(flat.to(torch.int16) if small else flat.clone(), length.cumsum(0) - length, length, y)

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def device(self) -> torch.device:
        return self.tokens.device

    def to(self, device: torch.device | str) -> "TokenSplit":
        """The same sentences on ``device``; nothing is copied where they are there already."""
        y = None if self.y is None else self.y.to(device)
        return TokenSplit(self.tokens.to(device), self.starts.to(device), self.lengths, y)

    def rows(self, index: Int[Tensor, " n"]) -> "TokenSplit":
        """The sentences ``index``, copied."""
        length = self.lengths[index]
        start = length.cumsum(0) - length
        shift = (self.starts[index] - start).repeat_interleave(length)
        tokens = self.tokens[torch.arange(len(shift), device=self.device) + shift]
        return TokenSplit(tokens, start, length, None if self.y is None else self.y[index])

    def batch(self, index: Int[Tensor, " B"]) -> Batch:
        """The sentences ``index`` (on the CPU) as int64 [B, T], T the longest of them, 0 after the end of each."""
        length = self.lengths[index]
        longest = int(length.max())
        index, length = index.to(self.device), length.to(self.device)
        place = torch.arange(longest, device=self.device)
        position = (self.starts[index, None] + place).clamp_(max=len(self.tokens) - 1)
        x = self.tokens[position].long().masked_fill_(place >= length[:, None], PADDING)
        return Batch(x, None if self.y is None else self.y[index], index)
