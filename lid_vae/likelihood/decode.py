"""Sentences from latents: the likeliest symbol each time, the likeliest sequence of a beam, or draws."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch

from lid_vae.errors import UserError
from lid_vae.likelihood.history import LSTMState
from lid_vae.shapes import Float, Int, Tensor
from lid_vae.symbols import PADDING

__all__ = ["LENGTH", "SymbolModel", "ancestral", "beam", "greedy", "nucleus"]

LENGTH = 100

Choose = Callable[[Float[Tensor, "R V"]], Int[Tensor, " R"]]


@runtime_checkable
class SymbolModel(Protocol):
    """What says a sequence symbol by symbol, as ``AutoregressiveLikelihood`` does; ``symbols`` is V, the end."""

    symbols: int

    def next_symbol(
        self, last: Int[Tensor, " R"], w: Float[Tensor, "R M"], state: LSTMState | None = None
    ) -> tuple[Float[Tensor, "R V"], LSTMState]:
        """log p(x_t | w, x_<t) of every symbol, and the state that the next call takes.

        ``last`` is x_{t-1} of each row, 0 at the beginning, and ``state`` what the call before gave.
        """


def greedy(likelihood: SymbolModel, w: Float[Tensor, "R M"], length: int = LENGTH) -> Int[Tensor, "R T"]:
    """For each w the sequence whose every symbol is the likeliest after those before it, by ``likelihood``.

    As all of this module: at most ``length`` symbols, the end symbol last unless it was cut, padded at the right.
    """
    return _symbol_by_symbol(likelihood, w, length, lambda log_probability: log_probability.argmax(-1))


def ancestral(
    likelihood: SymbolModel, w: Float[Tensor, "R M"], generator: torch.Generator, length: int = LENGTH
) -> Int[Tensor, "R T"]:
    """A draw of p(x | w) of ``likelihood`` for each w, from ``generator``, of at most ``length`` symbols."""

    def choose(log_probability: Float[Tensor, "R V"]) -> Int[Tensor, " R"]:
        return torch.multinomial(log_probability.exp(), 1, generator=generator).squeeze(-1)

    return _symbol_by_symbol(likelihood, w, length, choose)


def nucleus(
    likelihood: SymbolModel,
    w: Float[Tensor, "R M"],
    generator: torch.Generator,
    p: float = 0.9,
    temperature: float = 1.0,
    length: int = LENGTH,
) -> Int[Tensor, "R T"]:
    """A draw for each w, each symbol from the fewest likeliest that together have a probability of at least ``p``.

    Of ``likelihood``, from ``generator``, of at most ``length`` symbols. Log-probabilities are divided by
    ``temperature`` before. With p = 1 and temperature 1 it is ``ancestral``, draw by draw. Holtzman et al. (2020), "The
    curious case of neural text degeneration", section 3.1. Raises ``UserError`` for p outside (0, 1] and a temperature
    that is not above 0.
    """
    if not 0 < p <= 1:
        raise UserError(f"Nucleus decoding needs a probability p above 0 and up to 1, got {p}. Use 0.9.")
    if not temperature > 0:
        raise UserError(f"Nucleus decoding needs a temperature above 0, got {temperature}. Use greedy for 0.")

    def choose(log_probability: Float[Tensor, "R V"]) -> Int[Tensor, " R"]:
        probability = log_probability.exp() if temperature == 1 else torch.softmax(log_probability / temperature, -1)
        if p < 1:
            ordered, symbol = probability.sort(-1, descending=True)
            before = ordered.cumsum(-1) - ordered
            probability = torch.zeros_like(ordered).scatter(-1, symbol, ordered.masked_fill(before >= p, 0.0))
        return torch.multinomial(probability, 1, generator=generator).squeeze(-1)

    return _symbol_by_symbol(likelihood, w, length, choose)


@torch.no_grad()
def beam(
    likelihood: SymbolModel,
    w: Float[Tensor, "R M"],
    width: int = 5,
    length_penalty: float = 0.0,
    length: int = LENGTH,
) -> Int[Tensor, "R T"]:
    """For each w the best sequence that a beam of ``width`` partial ones finds.

    Of ``likelihood``, of at most ``length`` symbols. Best is the largest log p(x | w) / T^length_penalty, T the symbols
    of x with its end: 0 for the likeliest, 1 for the likeliest by symbol. With a width of 1 it is ``greedy``; where
    nothing falls off the beam, the search is exhaustive. Raises ``UserError`` for a width below 1 and a negative
    penalty.
    """
    if width < 1 or length_penalty < 0:
        raise UserError(
            f"A beam needs a width of at least 1 and a length penalty of at least 0, got {width} and {length_penalty}."
        )
    rows, symbols = len(w), likelihood.symbols
    offset = torch.arange(rows, device=w.device).unsqueeze(-1) * width
    w = w.repeat_interleave(width, 0)
    # Partial sequences [R, W]: all but the first are impossible at the start, when they would be copies of it.
    score = w.new_full((rows, width), -torch.inf)
    score[:, 0] = 0.0
    count = torch.zeros((rows, width), dtype=torch.long, device=w.device)
    going = torch.ones((rows, width), dtype=torch.bool, device=w.device)
    found = torch.empty((rows, width, 0), dtype=torch.long, device=w.device)
    state: LSTMState | None = None
    last = torch.full((rows * width,), PADDING, device=w.device)
    for _ in range(length):
        log_probability, state = likelihood.next_symbol(last, w, state)
        step = log_probability.view(rows, width, symbols)
        # What has ended stays as it is, as the first of its V continuations; the others are none.
        stays = torch.full_like(step[0, 0], -torch.inf)
        stays[0] = 0.0
        total = score.unsqueeze(-1) + torch.where(going.unsqueeze(-1), step, stays)
        counts = count + going
        rank = total / counts.unsqueeze(-1).to(total.dtype) ** length_penalty
        best = rank.flatten(1).topk(width, -1).indices
        parent, symbol = best // symbols, best % symbols + 1
        score, count = total.flatten(1).gather(-1, best), counts.gather(-1, parent)
        was_going = going.gather(-1, parent)
        symbol = symbol.masked_fill(~was_going, PADDING)
        going = was_going & (symbol != symbols)
        found = torch.cat(
            [found.gather(1, parent.unsqueeze(-1).expand(-1, -1, found.shape[-1])), symbol[..., None]], -1
        )
        chosen = (offset + parent).flatten()
        state = (state[0][:, chosen], state[1][:, chosen])
        last = symbol.flatten()
        # Log-probabilities only fall, so that a partial sequence is worth at most its own over the greatest length.
        reached = (score / count.to(score.dtype) ** length_penalty).masked_fill(going, -torch.inf).amax(-1)
        hoped = (score / float(length) ** length_penalty).masked_fill(~going, -torch.inf).amax(-1)
        if bool((reached >= hoped).all()):
            break
    final = score / count.to(score.dtype) ** length_penalty
    # Cut sequences stand only where none has ended.
    final = torch.where(going & (~going & (score > -torch.inf)).any(-1, keepdim=True), -torch.inf, final)
    return _trimmed(found[torch.arange(rows, device=w.device), final.argmax(-1)])


@torch.no_grad()
def _symbol_by_symbol(
    likelihood: SymbolModel, w: Float[Tensor, "R M"], length: int, choose: Choose
) -> Int[Tensor, "R T"]:
    found = torch.full((len(w), length), PADDING, device=w.device)
    row = torch.arange(len(w), device=w.device)
    last, state = torch.full_like(row, PADDING), None
    for place in range(length):
        log_probability, state = likelihood.next_symbol(last, w, state)
        last = choose(log_probability) + 1
        found[row, place] = last
        going = last != likelihood.symbols
        if not bool(going.all()):
            # Rows that have ended leave the batch: the map onto the vocabulary is most of the cost.
            row, last, w = row[going], last[going], w[going]
            state = (state[0][:, going], state[1][:, going])
        if not len(row):
            break
    return _trimmed(found)


def _trimmed(x: Int[Tensor, "R T"]) -> Int[Tensor, "R t"]:
    """Without the columns that are all padding."""
    return x[:, : int((x != PADDING).any(0).sum())]
