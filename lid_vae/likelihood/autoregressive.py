"""Autoregressive likelihood of a sequence: each symbol given w and an LSTM's history of those before it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
import torch.nn.functional as F

from lid_vae.errors import UserError
from lid_vae.likelihood.base import Likelihood, MakeMap, ObservationDistribution
from lid_vae.likelihood.categorical import minimal_logits
from lid_vae.likelihood.decode import LENGTH, ancestral
from lid_vae.likelihood.history import LSTMHistory, LSTMState
from lid_vae.likelihood.minimal_log_prob import minimal_log_prob
from lid_vae.map.base import DimensionError, InjectiveMap, Map
from lid_vae.shapes import Float, Int, Tensor
from lid_vae.symbols import PADDING

__all__ = ["AutoregressiveLikelihood", "SequenceObservation", "Wiring", "autoregressive_likelihood"]

Wiring = Literal["output", "input", "both", "none"]
# Logits held at once where there is no gradient: 2^25 of four bytes are 128 MiB.
LOGITS = 1 << 25
READS_OUTPUT, READS_INPUT = ("output", "both"), ("input", "both")


class SequenceObservation(ObservationDistribution):
    """p(x | w) = prod_t p(x_t | w, x_<t) of ``likelihood``, ``w`` of shape [*batch, M]; ``log_prob`` teacher-forces."""

    def __init__(self, likelihood: "AutoregressiveLikelihood", w: Float[Tensor, "*batch M"]) -> None:
        self.likelihood, self.w = likelihood, w

    def log_prob(self, x: Int[Tensor, "B T"]) -> Float[Tensor, "*batch"]:
        """log p(x | w), nats, for w of shape [*rest, B, M]; padding counts for nothing."""
        return self.likelihood.symbol_log_prob(x, self.w).sum(-1)

    def sample(self, generator: torch.Generator, length: int = LENGTH) -> Int[Tensor, "*batch T"]:
        """One sequence for each w, cut after ``length`` symbols and padded after its end symbol."""
        x = ancestral(self.likelihood, self.w.flatten(0, -2), generator, length)
        return x.unflatten(0, self.w.shape[:-1])


class AutoregressiveLikelihood(Likelihood):
    """x_t | w, x_<t ~ Categorical(map([w, f(x_<t)])), f an LSTM, in minimal form (Definition 4 of Wang et al. 2021).

    M is ``latent_dimension`` and V ``symbols``. Sequences are rows of symbol numbers 1 to V, V the end, padded at the
    right with 0. The map goes onto the V - 1 free logits; that of the symbol ``reference`` is the constant 0. It is V -
    1, of words by falling frequency the rarest: its probability moves only with all the other logits, and the end's
    would hardly learn to. ``wiring`` says where w enters: ``output``, the map alone, so that the history is computed
    once for all draws of w; ``input``, beside each embedding and not the map; ``both``; or ``none``, a language model,
    for which w is idle. With an injective map, ``output`` and ``both`` make x | w injective in w: it has to be so in
    its first inputs, w, for every history, and may be so in all (Definition 4's map of both). Raises ``UserError`` if
    the dimensions do not meet.
    """

    binary = False
    symbols: int
    reference: Tensor

    def __init__(self, map: Map, history: LSTMHistory, latent_dimension: int, symbols: int, wiring: Wiring) -> None:
        super().__init__()
        reads = (latent_dimension if wiring in READS_OUTPUT else 0) + history.features
        if (map.in_features, map.out_features) != (reads, symbols - 1):
            raise UserError(
                f"A sequence of {symbols} symbols with wiring={wiring} needs a map {reads} -> {symbols - 1}, got "
                f"{map.in_features} -> {map.out_features}."
            )
        if history.extra != (latent_dimension if wiring in READS_INPUT else 0):
            raise UserError(f"wiring={wiring} does not go with a history that takes {history.extra} numbers of w.")
        self.map, self.history = map, history
        self.register_buffer("reference", torch.tensor(max(symbols - 1, 1)))
        self.latent_dimension, self.symbols, self.wiring = latent_dimension, symbols, wiring
        self._kept: tuple[Tensor, Tensor] | None = None

    @property
    def identifiable(self) -> bool:
        """Whether x | w is injective in w."""
        injective = isinstance(self.map, InjectiveMap) and self.map.injective_in(self.latent_dimension)
        return injective and self.wiring in READS_OUTPUT

    def forward(self, w: Float[Tensor, "*batch M"]) -> SequenceObservation:
        return SequenceObservation(self, w)

    @contextmanager
    def keeping(self, x: Int[Tensor, "B T"]) -> Iterator[None]:
        """Within it the history of this batch x is computed once, where no w enters it; its dropout is drawn once."""
        if self.wiring in READS_INPUT:
            yield
            return
        self._kept = x, self._histories(x)
        try:
            yield
        finally:
            self._kept = None

    def count(self, x: Int[Tensor, "B T"]) -> int:
        return int((x != PADDING).sum())

    def symbol_log_prob(self, x: Int[Tensor, "B T"], w: Float[Tensor, "*rest B M"]) -> Float[Tensor, "*rest B T"]:
        """log p(x_t | w, x_<t) of ``x``, nats, and 0 at the padding; only symbols that are there pass the map."""
        rest = w.shape[:-2]
        read, row, place = self._teacher_forced(x, w)
        columns = self._exchanged(x[row, place]) - 1
        pieces = zip(self._pieces(read), columns.split(self._piece(read)), strict=True)
        found = torch.cat([minimal_log_prob(self.map(piece), column.expand(*rest, -1)) for piece, column in pieces], -1)
        flat = found.new_zeros(*rest, x.numel())
        return flat.index_add(-1, row * x.shape[1] + place, found).unflatten(-1, x.shape)

    @torch.no_grad()
    def likeliest(self, x: Int[Tensor, "B T"], w: Float[Tensor, "B M"]) -> Int[Tensor, "B T"]:
        """The likeliest symbol at each place of ``x`` given w and the true ones before it; 0 at the padding."""
        read, row, place = self._teacher_forced(x, w)
        best = [self.map(piece).max(-1) for piece in self._pieces(read)]
        value, index = (torch.cat(parts) for parts in zip(*best, strict=True))
        found = torch.full_like(x, PADDING)
        found[row, place] = self._exchanged(torch.where(value > 0, index + 1, self.symbols))
        return found

    def next_symbol(
        self, last: Int[Tensor, " R"], w: Float[Tensor, "R M"], state: LSTMState | None = None
    ) -> tuple[Float[Tensor, "R V"], LSTMState]:
        """log p(x_t | w, x_<t) of every symbol, symbol v in column v - 1, and the state that the next call takes.

        ``last`` is x_(t-1), 0 at the start.
        """
        history, state = self.history(last.unsqueeze(1), w if self.wiring in READS_INPUT else None, state)
        free = self.map(self._joined(w, history.squeeze(1)))
        return torch.log_softmax(minimal_logits(free), -1)[..., self._columns(w.device)], state

    @torch.no_grad()
    def initialise(self, mean: Float[Tensor, " V"], w: Float[Tensor, "N M"]) -> None:
        """The frequencies ``mean`` of the symbols, at the first symbol of a sequence."""
        logits = mean.clamp_min(0.1 / len(mean) ** 2).log()[self._columns(mean.device)]
        self.map.initialise_bias(torch.zeros_like(logits[:-1]))
        start = torch.full((len(w), 1), PADDING, device=w.device)
        history, _ = self.history(start, w if self.wiring in READS_INPUT else None)
        reached = self.map(self._joined(w, history.squeeze(1))).mean(0)
        self.map.initialise_bias(logits[:-1] - logits[-1] - reached)

    def _teacher_forced(
        self, x: Int[Tensor, "B T"], w: Float[Tensor, "*rest B M"]
    ) -> tuple[Float[Tensor, "*rest N read"], Int[Tensor, " N"], Int[Tensor, " N"]]:
        """What the map reads at each of the N symbols of x, and the row and place of each in x."""
        rest = w.shape[:-2]
        row, place = (x != PADDING).nonzero(as_tuple=True)
        if self.wiring in READS_INPUT:
            draws = rest.numel()
            histories, _ = self.history(_before(x).repeat(draws, 1), w.reshape(-1, self.latent_dimension))
            histories = histories.unflatten(0, (*rest, len(x)))[..., row, place, :]
        else:
            kept = self._kept
            histories = kept[1] if kept is not None and kept[0] is x else self._histories(x)
            histories = histories[row, place].expand(*rest, -1, -1)
        return self._joined(w[..., row, :], histories), row, place

    def _histories(self, x: Int[Tensor, "B T"]) -> Float[Tensor, "B T H"]:
        """What stands before each symbol of x, where no w enters it."""
        histories, _ = self.history(_before(x))
        return histories

    def _pieces(self, read: Float[Tensor, "*rest N read"]) -> tuple[Tensor, ...]:
        return read.split(self._piece(read), -2)

    def _piece(self, read: Float[Tensor, "*rest N read"]) -> int:
        """How many symbols pass the map at once: all of them where a gradient needs all logits."""
        if torch.is_grad_enabled():
            return max(read.shape[-2], 1)
        return max(LOGITS // (self.symbols * read.shape[:-2].numel()), 1)

    def _exchanged(self, symbol: Int[Tensor, "*batch"]) -> Int[Tensor, "*batch"]:
        """The place of a symbol in ``minimal_logits``, from 1, or the symbol of a place: the reference stands last."""
        other = torch.where(symbol == self.reference, self.symbols, symbol)
        return torch.where(symbol == self.symbols, self.reference, other)

    def _columns(self, device: torch.device) -> Int[Tensor, " V"]:
        """The column of each symbol in ``minimal_logits``."""
        return self._exchanged(torch.arange(1, self.symbols + 1, device=device)) - 1

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *arguments: Any) -> None:
        # Checkpoints without it are of models whose reference was the end.
        state_dict.setdefault(f"{prefix}reference", torch.tensor(self.symbols))
        super()._load_from_state_dict(state_dict, prefix, *arguments)

    def _joined(self, w: Float[Tensor, "*batch M"], history: Float[Tensor, "*batch H"]) -> Tensor:
        return torch.cat([w, history], -1) if self.wiring in READS_OUTPUT else history


def _before(x: Int[Tensor, "B T"]) -> Int[Tensor, "B T"]:
    return F.pad(x[:, :-1], (1, 0), value=PADDING)


def autoregressive_likelihood(
    map: MakeMap,
    latent_dimension: int,
    features: int,
    *,
    embedding: int,
    hidden: int,
    layers: int = 1,
    wiring: Wiring = "output",
    dropout: float = 0.0,
    word_dropout: float = 0.0,
) -> AutoregressiveLikelihood:
    """The likelihood of sequences over ``features`` symbols, its map made by ``map(in_features=, out_features=)``.

    Args:
        map: makes the map of [w, history] onto the free logits.
        latent_dimension: M, numbers of w.
        features: V, the symbols with the end.
        embedding: numbers of a symbol's embedding.
        hidden: H, those of the history, the LSTM's state.
        layers: of the LSTM.
        wiring: where w enters, as in ``AutoregressiveLikelihood``.
        dropout, word_dropout: probabilities in training, as in ``LSTMHistory``.

    Raises ``UserError`` for an unknown wiring, and where w and history have more dimensions than an injective map can
    carry to the logits.

    >>> from functools import partial
    >>> from lid_vae.map import MLP
    >>> decoder = partial(MLP, width=16, hidden_layers=1)
    >>> likelihood = autoregressive_likelihood(decoder, latent_dimension=2, features=9, embedding=8, hidden=6)
    >>> x = torch.tensor([[3, 1, 9, 0], [2, 2, 5, 9]])
    >>> likelihood(torch.zeros(2, 2)).log_prob(x).shape
    torch.Size([2])
    """
    if wiring not in ("output", "input", "both", "none"):
        raise UserError(f"wiring={wiring} is not known. Use output, input, both or none.")
    read = latent_dimension if wiring in READS_OUTPUT else 0
    try:
        made = map(in_features=read + hidden, out_features=features - 1)
    except DimensionError as error:
        raise UserError(
            f"An injective map cannot take {read} dimensions of w and {hidden} of the history to the {features - 1} "
            f"free logits of {features} symbols. Use hidden={max(features - 1 - read, 1)} or less, or a larger "
            "vocabulary; or an anchored map, which is injective in w alone and takes any history."
        ) from error
    extra = latent_dimension if wiring in READS_INPUT else 0
    history = LSTMHistory(features, embedding, hidden, layers, extra, dropout, word_dropout)
    return AutoregressiveLikelihood(made, history, latent_dimension, features, wiring)
