"""Sentences as token ids, end to end in one tensor, and the padded batches cut from them."""

__all__ = ["PADDING", "TokenSplit", "TokenStream"]

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch

from lid_vae.data.split import Batch
from lid_vae.data.stream import Epochs
from lid_vae.noise import generator
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
        """``sentences`` of ids from 1 to ``symbols``, on the CPU, with their class numbers ``y``."""
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

    def arrays(self) -> list[Tensor]:
        """Ids of one width, whatever they are stored in: what a checksum is taken of."""
        return [self.tokens.int(), self.lengths, *([] if self.y is None else [self.y])]

    def order(self) -> Int[Tensor, " N"]:
        """From the shortest sentence to the longest, on the CPU."""
        return self.lengths.argsort(stable=True)

    def batch(self, index: Int[Tensor, " B"]) -> Batch:
        """The sentences ``index`` (on the CPU) as int64 [B, T], T the longest of them, 0 after the end of each."""
        length = self.lengths[index]
        longest = int(length.max())
        index, length = index.to(self.device), length.to(self.device)
        place = torch.arange(longest, device=self.device)
        position = (self.starts[index, None] + place).clamp_(max=len(self.tokens) - 1)
        x = self.tokens[position].long().masked_fill_(place >= length[:, None], PADDING)
        return Batch(x, None if self.y is None else self.y[index], index)


class TokenStream(Epochs[TokenSplit]):
    """``Epochs`` of sentences.

    Those of an epoch are sorted by length (those of equal length stay in their random order), cut into batches, and the
    batches shuffled. So a batch is sentences of about one length, chosen anew in each epoch, and padding is the least
    that whole batches allow. Arguments are those of ``Epochs``.
    """

    def batch(self, step: int, draw: int = 0) -> Batch:
        """Further batches are drawn with replacement from those of an epoch of their own, as in the code of He et al.
        (2019): sentences drawn one by one would be of all lengths, and a third of such a batch padding.
        """
        epoch, place = divmod(step, len(self))
        if draw == 0:
            return self.split.batch(self.batches("order", epoch)[place])
        chosen = torch.randint(len(self), (), generator=generator(self.seed, "draw", step, draw))
        return self.split.batch(self.batches("draws", epoch)[chosen])

    def cut(self, rows: Int[Tensor, " rows"], rng: torch.Generator) -> Int[Tensor, "steps B"]:
        rows = rows[self.split.lengths[rows].argsort(stable=True)]
        return rows.view(len(self), self.batch_size)[torch.randperm(len(self), generator=rng)]
