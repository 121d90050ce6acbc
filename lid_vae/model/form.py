"""Between examples as a user has them and as a model takes them: pictures and rows, sentences and symbols."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from math import prod
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence

from lid_vae.data.array.own.datasets import read_dataset
from lid_vae.data.array.own.standardisation import Standardisation
from lid_vae.data.text.vocabulary import Vocabulary, make_vocabulary
from lid_vae.diagnosis.batches import batches_of
from lid_vae.errors import UserError
from lid_vae.shapes import Float, Int, Observations, Tensor
from lid_vae.symbols import PADDING
from lid_vae.train.vae_module import VAEModule

__all__ = ["Form", "are_sentences", "chunks"]

# Without a longest sentence of the training text to go by.
LONGEST = 100


class Form:
    """What one example of ``module`` is: [D] or pictures of numbers, or a sentence of the words that it knows."""

    def __init__(self, module: VAEModule) -> None:
        likelihood = module.vae.likelihood
        described = module.description
        self.symbols = likelihood.symbols
        self.shape = tuple(described.get("shape") or (likelihood.map.out_features,))
        self.words: Sequence[str] | None = described.get("vocabulary")
        self.longest: int = described.get("longest") or LONGEST
        self.binary = likelihood.binary
        units = described.get("standardisation")
        self.standardisation = None if units is None else Standardisation.described(units)
        self.dtype, self.device = next(module.parameters()).dtype, module.device

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The words. Raises ``UserError`` where the model does not know any."""
        if self.words is None:
            raise UserError("This model was built by hand, and its symbols have no words. Give symbols: int64 [N, T].")
        return make_vocabulary("tokenizers", self.words)

    def rows(self, x: Any) -> Observations:
        """``x``, what a user has, as the model takes it: [N, D] in its precision, or symbols [N, T].

        Raises ``UserError`` for what does not fit.
        """
        if are_sentences(x):
            if self.symbols is None:
                raise UserError(f"These are sentences, and the model is one of {self._examples()}.")
            ids = [torch.tensor(self.vocabulary.encode(sentence)) for sentence in x]
            return pad_sequence(ids, batch_first=True, padding_value=PADDING).to(self.device)
        if isinstance(x, str):
            raise UserError("One sentence was given; give a list of sentences.")
        if hasattr(x, "column_names"):  # a table of Hugging Face's
            x = read_dataset(x)[0]
        elif hasattr(x, "to_numpy"):  # a data frame
            x = x.to_numpy()
        batches = list(batches_of(x, 10_000, "test", self.device, None))
        if self.symbols is not None:
            if any(batch.is_floating_point() for batch in batches):
                raise UserError("The model is one of sentences; give a list of these, or their symbols: int64 [N, T].")
            longest = max(batch.shape[1] for batch in batches)
            padded = [torch.nn.functional.pad(batch, (0, longest - batch.shape[1])) for batch in batches]
            return torch.cat(padded).long()
        return torch.cat([self._numbers(batch) for batch in batches])

    def shaped(self, rows: Float[Tensor, "*batch D"]) -> Tensor:
        """The model's ``rows`` in the shape of an example."""
        return rows.unflatten(-1, self.shape)

    def examples(self, rows: Float[Tensor, "*batch D"]) -> Tensor:
        """The model's ``rows`` as a user has them: in the shape of an example and in its own units."""
        if self.standardisation is not None:
            rows = self.standardisation.undo(rows.cpu()).to(rows.device, rows.dtype)
        return self.shaped(rows)

    @property
    def log_det_jacobian(self) -> float:
        """What to add to the model's log-likelihood for that of x in its own units, nats."""
        return 0.0 if self.standardisation is None else self.standardisation.log_det_jacobian

    def sentences(self, symbols: Int[Tensor, "N T"]) -> list[str]:
        """Rows of ``symbols`` as words."""
        return [self.vocabulary.decode(row) for row in symbols.tolist()]

    def _numbers(self, x: Tensor) -> Tensor:
        if x.ndim < 2 or prod(x.shape[1:]) != prod(self.shape):
            raise UserError(
                f"The data have the shape {list(x.shape)}, and the model is one of {self._examples()}; the first axis "
                f"counts examples. Give {['N', *self.shape]}"
                + (", one example as x[None]." if tuple(x.shape) == self.shape else ".")
            )
        grey = x.dtype == torch.uint8 and len(self.shape) > 1
        rows = x.flatten(1)
        if self.standardisation is not None:
            rows = self.standardisation.apply(rows.cpu()).to(x.device)
        rows = rows.to(self.dtype)
        rows = rows / 255 if grey else rows
        if self.binary and not bool(((rows >= 0) & (rows <= 1)).all()):
            raise UserError(
                f"The data lie between {float(rows.min()):.3g} and {float(rows.max()):.3g}, and the model's Bernoulli "
                'likelihood takes values from 0 to 1. Divide bytes by 255, or build with likelihood="gaussian".'
            )
        return rows

    def _examples(self) -> str:
        if self.symbols is not None:
            return f"sentences of {self.symbols} symbols"
        sides = " by ".join(map(str, self.shape))
        return f"vectors of {sides} numbers" if len(self.shape) == 1 else f"pictures of {sides}"


def are_sentences(x: Any) -> bool:
    """Whether ``x`` is a list of texts."""
    return isinstance(x, list | tuple) and len(x) > 0 and all(isinstance(one, str) for one in x)


def chunks(count: int, size: int) -> Iterator[slice]:
    """0 ... ``count`` - 1 in pieces of ``size`` at most."""
    for start in range(0, count, max(size, 1)):
        yield slice(start, min(start + size, count))
