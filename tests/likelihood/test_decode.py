"""Decoding: against every sequence there is, against each other, and against the model's own probabilities."""

import itertools
from collections import Counter

import pytest
import torch
from builders import normal, randomise

from lid_vae.errors import UserError
from lid_vae.likelihood import AutoregressiveLikelihood, autoregressive_likelihood
from lid_vae.likelihood.decode import ancestral, beam, greedy, nucleus
from lid_vae.map import MLP
from lid_vae.symbols import PADDING

M, R, LENGTH, HIDDEN = 2, 12, 4, 8
WIRINGS = ("output", "both")


def make(symbols: int, wiring: str = "output", spread: float = 1.0, layers: int = 2) -> AutoregressiveLikelihood:
    def make_map(in_features: int, out_features: int) -> MLP:
        return MLP(in_features, out_features, 8, 1)

    likelihood = autoregressive_likelihood(
        make_map, M, symbols, embedding=HIDDEN, hidden=HIDDEN, layers=layers, wiring=wiring, word_dropout=0.3
    )
    likelihood = randomise(likelihood, "said", spread).double().eval()
    # Every symbol about as likely at the start, lest one be all that is ever said.
    likelihood.initialise(torch.full((symbols,), 1 / symbols, dtype=torch.float64), w(200))
    return likelihood


def w(rows: int = R) -> torch.Tensor:
    return 2 * normal(rows, M, key="decode")


def rng(key: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(key)


def every_sequence(symbols: int, length: int) -> torch.Tensor:
    """All that end within ``length`` symbols."""
    rows = [
        [*word, symbols, *[PADDING] * (length - 1 - n)]
        for n in range(length)
        for word in itertools.product(range(1, symbols), repeat=n)
    ]
    return torch.tensor(rows)


def padded(x: torch.Tensor, length: int) -> torch.Tensor:
    return torch.nn.functional.pad(x, (0, length - x.shape[1]), value=PADDING)


@pytest.mark.parametrize("penalty", [0.0, 0.7, 1.0])
@pytest.mark.parametrize("wiring", WIRINGS)
def test_a_beam_that_loses_nothing_is_an_exhaustive_search(wiring: str, penalty: float) -> None:
    likelihood, latent = make(3, wiring, layers=1), w(40)
    x = every_sequence(3, LENGTH)
    log_prob = torch.stack([likelihood(row.expand(len(x), -1)).log_prob(x) for row in latent])
    best = (log_prob / (x != PADDING).sum(-1) ** penalty).argmax(-1)
    assert len(set(best.tolist())) > 1, "the latents are to disagree"
    assert torch.equal(padded(beam(likelihood, latent, 2 ** (LENGTH + 1), penalty, LENGTH), LENGTH), x[best])


@pytest.mark.parametrize("wiring", WIRINGS)
def test_a_wider_beam_finds_what_greedy_misses(wiring: str) -> None:
    likelihood = make(6, wiring)
    found = {width: beam(likelihood, w(40), width, 0.0, 12) for width in (1, 3, 30)}
    assert torch.equal(found[1], greedy(likelihood, w(40), 12))
    ended = torch.stack([(x == 6).any(-1) for x in found.values()]).all(0)
    value = {width: likelihood(w(40)).log_prob(x)[ended].detach() for width, x in found.items()}
    assert float((value[30] - value[1]).min()) > -1e-9
    assert float((value[30] - value[1]).max()) > 0.1


def test_a_length_penalty_lengthens() -> None:
    likelihood = make(6)
    lengths = [(beam(likelihood, w(40), 10, penalty, 12) != PADDING).sum() for penalty in (0.0, 1.0, 3.0)]
    assert lengths == sorted(lengths)
    assert lengths[0] < lengths[2]


@pytest.mark.parametrize("wiring", WIRINGS)
def test_greedy_takes_the_likeliest_symbol_each_time(wiring: str) -> None:
    likelihood = make(6, wiring)
    x = greedy(likelihood, w(), 12)
    assert len({tuple(row) for row in x.tolist()}) > 2
    assert (x == PADDING).any()
    for row, latent in zip(x, w(), strict=True):
        state, last = None, torch.tensor([PADDING])
        for symbol in row[row != PADDING]:
            log_probability, state = likelihood.next_symbol(last, latent.unsqueeze(0), state)
            assert int(log_probability.argmax()) + 1 == int(symbol)
            last = symbol.unsqueeze(0)


@pytest.mark.parametrize(
    "decode",
    [
        lambda likelihood, latent, length: greedy(likelihood, latent, length),
        lambda likelihood, latent, length: beam(likelihood, latent, 3, 0.5, length),
        lambda likelihood, latent, length: nucleus(likelihood, latent, rng(), 0.9, 1.0, length),
        lambda likelihood, latent, length: ancestral(likelihood, latent, rng(), length),
    ],
    ids=["greedy", "beam", "nucleus", "ancestral"],
)
def test_sequences_end_once_or_are_cut(decode) -> None:
    x = decode(make(4), w(200), 6)
    assert x.shape[1] <= 6
    after = (x == 4).cumsum(-1) - (x == 4).long()
    assert bool(((x == PADDING) == (after > 0)).all())
    cut = ~(x == 4).any(-1)
    assert not (x[cut] == PADDING).any()
    assert bool((decode(make(4), w(5), 1) != PADDING).all())


def test_rows_are_decoded_as_if_alone() -> None:
    likelihood = make(6, "both")
    for decode in (greedy, lambda likelihood, latent, length: beam(likelihood, latent, 4, 1.0, length)):
        together = padded(decode(likelihood, w(), 12), 12)
        alone = torch.cat([padded(decode(likelihood, w()[k : k + 1], 12), 12) for k in range(R)])
        assert torch.equal(together, alone)


def test_a_nucleus_of_everything_is_ancestral_draw_by_draw() -> None:
    likelihood = make(5)
    latent = w(300)
    assert torch.equal(nucleus(likelihood, latent, rng(3), p=1.0), ancestral(likelihood, latent, rng(3)))
    assert torch.equal(likelihood(latent).sample(rng(3)), ancestral(likelihood, latent, rng(3)))


def test_a_small_nucleus_and_a_low_temperature_are_greedy() -> None:
    likelihood = make(5)
    expected = greedy(likelihood, w(), 8)
    assert torch.equal(nucleus(likelihood, w(), rng(), p=1e-9, length=8), expected)
    assert torch.equal(nucleus(likelihood, w(), rng(), p=1.0, temperature=1e-4, length=8), expected)


@pytest.mark.parametrize("temperature", [1.0, 0.6, 1.7])
@pytest.mark.parametrize("p", [0.5, 0.8, 1.0])
def test_first_symbols_of_a_nucleus_have_their_share(p: float, temperature: float) -> None:
    likelihood, draws = make(6), 20_000
    latent = w(1)
    log_probability, _ = likelihood.next_symbol(torch.tensor([PADDING]), latent)
    probability = torch.softmax(log_probability[0].detach() / temperature, 0).tolist()
    kept, total = {}, 0.0
    for symbol in sorted(range(6), key=lambda k: -probability[k]):
        if total < p:
            kept[symbol + 1] = probability[symbol]
            total += probability[symbol]
    assert p == 1 or len(kept) < 6
    x = nucleus(likelihood, latent.expand(draws, -1), rng(), p, temperature, length=1)
    count = Counter(x[:, 0].tolist())
    assert set(count) <= set(kept)
    for symbol, share in kept.items():
        share /= total
        assert abs(count[symbol] / draws - share) < 5 * (share * (1 - share) / draws) ** 0.5 + 1e-9


def test_options_out_of_range_are_refused() -> None:
    likelihood = make(4)
    for p in (0.0, 1.5, float("nan")):
        with pytest.raises(UserError, match="above 0 and up to 1"):
            nucleus(likelihood, w(), rng(), p=p)
    with pytest.raises(UserError, match="temperature above 0"):
        nucleus(likelihood, w(), rng(), temperature=0.0)
    for width, penalty in ((0, 0.0), (3, -1.0)):
        with pytest.raises(UserError, match="width of at least 1"):
            beam(likelihood, w(), width, penalty)
