"""The likelihood of sequences: against a loop over symbols, total probability one, wirings, padding, injectivity."""

import itertools
from functools import partial

import pytest
import torch
from builders import normal, randomise
from hypothesis import given
from hypothesis import strategies as st

from lid_vae.errors import UserError
from lid_vae.likelihood import AutoregressiveLikelihood, autoregressive_likelihood
from lid_vae.map import MLP, SkipMLP, anchored, composed_brenier, composed_gradient_network
from lid_vae.symbols import PADDING, UNKNOWN

V, M, H = 9, 2, 3
WIRINGS = ("output", "input", "both", "none")
MAPS = {
    "mlp": lambda in_features, out_features: MLP(in_features, out_features, 6, 2),
    "brenier": lambda in_features, out_features: composed_brenier(in_features, out_features, 5, 1, lift="spread"),
    "gradient network": lambda in_features, out_features: composed_gradient_network(in_features, out_features, 5, 1),
    "polar": lambda in_features, out_features: composed_brenier(in_features, out_features, 5, 1, shears=2),
    "anchored": lambda in_features, out_features: anchored(
        in_features, out_features, partial(SkipMLP, width=5, hidden_layers=1), anchor=M, lift="spread"
    ),
}


def make(wiring: str = "output", map_: str = "mlp", symbols: int = V, **options) -> AutoregressiveLikelihood:
    options = {"embedding": 4, "hidden": H, **options}
    likelihood = autoregressive_likelihood(MAPS[map_], M, symbols, wiring=wiring, **options)
    return randomise(likelihood, "sequence", 0.7).double()


def sentences(count: int, length: int, key: int = 0, symbols: int = V) -> torch.Tensor:
    """Sequences of 1 to ``length`` symbols, the last of each the end, padded."""
    rng = torch.Generator().manual_seed(key)
    x = torch.randint(1, symbols, (count, length), generator=rng)
    lengths = torch.randint(1, length + 1, (count,), generator=rng)
    lengths[0] = length
    place = torch.arange(length)
    x = x.masked_fill(place == lengths.unsqueeze(-1) - 1, symbols)
    return x.masked_fill(place >= lengths.unsqueeze(-1), PADDING)


def symbol_by_symbol(likelihood: AutoregressiveLikelihood, x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    """log p(x | w) of each row, one symbol of one sequence at a time."""
    found = []
    for row, w_row in zip(x, w, strict=True):
        total, state, last = torch.zeros((), dtype=w.dtype), None, torch.tensor([PADDING])
        for symbol in row[row != PADDING]:
            log_probability, state = likelihood.next_symbol(last, w_row.unsqueeze(0), state)
            total, last = total + log_probability[0, symbol - 1], symbol.unsqueeze(0)
        found.append(total)
    return torch.stack(found)


@pytest.mark.parametrize("map_", MAPS)
@pytest.mark.parametrize("wiring", WIRINGS)
def test_teacher_forcing_is_the_loop_over_symbols(wiring: str, map_: str) -> None:
    likelihood, x, w = make(wiring, map_, layers=2), sentences(4, 6), normal(3, 1, 4, M)
    found = likelihood(w).log_prob(x)
    expected = torch.stack([symbol_by_symbol(likelihood, x, draw[0]) for draw in w]).unsqueeze(1)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("wiring", WIRINGS)
def test_probabilities_of_all_sequences_sum_to_one(wiring: str) -> None:
    symbols = 3
    likelihood = make(wiring, symbols=symbols, hidden=2)
    ended = [[*word, symbols, *[PADDING] * (2 - n)] for n in range(3) for word in itertools.product((1, 2), repeat=n)]
    unended = [[*word, last] for word in itertools.product((1, 2), repeat=2) for last in (1, 2)]
    x = torch.tensor(ended + unended)
    total = likelihood(normal(1, M).expand(len(x), -1)).log_prob(x).exp().sum()
    torch.testing.assert_close(total, torch.ones((), dtype=torch.float64))


@given(key=st.integers(0, 10**6), extra=st.integers(1, 4), wiring=st.sampled_from(WIRINGS))
def test_padding_and_the_rest_of_the_batch_count_for_nothing(key: int, extra: int, wiring: str) -> None:
    likelihood, x, w = make(wiring), sentences(5, 4, key), normal(5, M)
    padded = torch.nn.functional.pad(x, (0, extra), value=PADDING)
    together = likelihood(w).log_prob(x)
    torch.testing.assert_close(likelihood(w).log_prob(padded), together)
    alone = torch.cat([likelihood(w[b : b + 1]).log_prob(x[b : b + 1]) for b in range(5)])
    torch.testing.assert_close(alone, together)


def test_a_map_row_for_each_symbol() -> None:
    x = sentences(5, 6)
    assert make().count(x) == int((x > 0).sum())
    rows = []
    likelihood = make()
    likelihood.map.register_forward_hook(lambda _, inputs, __: rows.append(inputs[0].shape))
    likelihood(normal(7, 1, 5, M)).log_prob(x)
    assert rows == [(7, 1, likelihood.count(x), M + H)]


def test_evaluation_in_pieces_is_evaluation_at_once(monkeypatch) -> None:
    likelihood, x, w = make(), sentences(5, 6), normal(3, 1, 5, M)
    whole, best = likelihood(w).log_prob(x).detach(), likelihood.likeliest(x, w[0, 0])
    monkeypatch.setattr("lid_vae.likelihood.autoregressive.LOGITS", 4 * V * 3)
    shapes = []
    likelihood.map.register_forward_hook(lambda _, inputs, __: shapes.append(inputs[0].shape[-2]))
    with torch.no_grad():
        torch.testing.assert_close(likelihood(w).log_prob(x), whole)
        assert max(shapes) == 4 < likelihood.count(x) == sum(shapes)
        assert torch.equal(likelihood.likeliest(x, w[0, 0]), best)


@pytest.mark.parametrize("wiring", WIRINGS)
def test_where_the_latent_enters(wiring: str) -> None:
    likelihood, x = make(wiring), sentences(4, 5)
    w = normal(4, M).requires_grad_()
    value = likelihood(w).log_prob(x).sum()
    if wiring == "none":
        assert not torch.autograd.grad(value, w, allow_unused=True)[0]
        return
    assert float(torch.autograd.grad(value, w)[0].abs().min()) > 0


@pytest.mark.parametrize("wiring", ["output", "both"])
@pytest.mark.parametrize("map_", ["brenier", "gradient network", "polar", "anchored"])
@given(key=st.integers(0, 10**6))
def test_the_first_symbols_logits_tell_any_two_latents_apart(map_: str, wiring: str, key: int) -> None:
    likelihood = randomise(make(wiring, map_), key, 1.0)
    assert likelihood.identifiable
    w = normal(2, M, key=key)
    log_probability, _ = likelihood.next_symbol(torch.full((2,), PADDING), w)
    free = log_probability - log_probability[:, likelihood.reference - 1].unsqueeze(1)
    gap = (free[0] - free[1]).norm() / (w[0] - w[1]).norm()
    # A lift is orthonormal to single precision.
    assert float(gap.detach()) >= likelihood.map.certificate() * (1 - (1e-5 if map_ == "anchored" else 1e-9))


@pytest.mark.parametrize("hidden", [H, 2 * V])
@given(key=st.integers(0, 10**6))
def test_an_anchor_on_the_latent_tells_latents_apart_after_any_history(hidden: int, key: int) -> None:
    """Even after two different ones, and with more numbers in a history than there are logits."""
    likelihood = randomise(make(map_="anchored", hidden=hidden), key, 1.0)
    assert likelihood.identifiable
    w, histories = normal(2, M, key=key), normal(2, hidden, key=key)
    free = likelihood.map(torch.cat([w, histories], -1)).detach()
    least = likelihood.map.certificate() * float((w[0] - w[1]).norm())
    assert float((free[0] - free[1]).norm()) >= least * (1 - 1e-5)
    torch.testing.assert_close(likelihood.map.inverse(free), w, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("wiring", "map_"),
    [("output", "mlp"), ("input", "brenier"), ("none", "brenier"), ("input", "anchored"), ("none", "anchored")],
)
def test_what_is_not_identifiable(wiring: str, map_: str) -> None:
    assert not make(wiring, map_).identifiable


@pytest.mark.parametrize("reference", [V - 1, V])
def test_each_symbol_but_the_reference_has_a_logit_of_its_own(reference: int) -> None:
    likelihood, w, start = make(), normal(3, M), torch.full((3,), PADDING)
    likelihood.reference.fill_(reference)
    before, _ = likelihood.next_symbol(start, w)
    columns = [symbol for symbol in range(1, V + 1) if symbol != reference]
    with torch.no_grad():
        likelihood.map.output.bias[columns.index(2)] += 1.0
        likelihood.map.output.bias[-1] += 0.5
    after, _ = likelihood.next_symbol(start, w)
    moved = (after - before) - (after - before)[:, reference - 1].unsqueeze(1)
    expected = torch.zeros(V, dtype=torch.float64)
    expected[1], expected[columns[-1] - 1] = 1.0, 0.5
    torch.testing.assert_close(moved, expected.expand(3, -1), rtol=1e-9, atol=1e-9)


def test_the_rarest_word_is_the_reference_and_the_end_in_checkpoints_that_name_none() -> None:
    likelihood, x, w = make(), sentences(4, 5), normal(4, M)
    assert int(likelihood.reference) == V - 1
    state = likelihood.state_dict()
    again = make()
    again.load_state_dict(state)
    torch.testing.assert_close(again(w).log_prob(x), likelihood(w).log_prob(x))
    del state["reference"]
    again.load_state_dict(state)
    assert int(again.reference) == V
    assert "reference" not in state
    swapped = torch.where(x == V, V - 1, torch.where(x == V - 1, V, x))[:, :1]
    torch.testing.assert_close(again(w).log_prob(swapped), likelihood(w).log_prob(x[:, :1]))


@pytest.mark.parametrize("wiring", WIRINGS)
@pytest.mark.parametrize("map_", MAPS)
def test_it_starts_at_the_frequencies_of_the_symbols(wiring: str, map_: str) -> None:
    likelihood = make(wiring, map_)
    frequency = torch.softmax(normal(V), 0)
    w = 0.01 * normal(50, M)
    likelihood.initialise(frequency, w)
    log_probability, _ = likelihood.next_symbol(torch.full((50,), PADDING), w)
    torch.testing.assert_close(log_probability.exp().mean(0), frequency, rtol=0.05, atol=1e-3)


def test_samples_have_the_frequencies_of_the_model() -> None:
    symbols = 3
    likelihood = make(symbols=symbols, hidden=2)
    x = likelihood(normal(1, M).expand(20_000, -1)).sample(torch.Generator().manual_seed(0), length=2)
    for word in ([3, 0], [1, 3], [2, 3], [1, 1], [2, 1]):
        expected = float(likelihood(normal(1, M)).log_prob(torch.tensor([word])).detach().exp())
        found = float((x == torch.tensor(word)).all(1).double().mean())
        assert abs(found - expected) < 4 * (expected * (1 - expected) / 20_000) ** 0.5 + 1e-9


def test_samples_end_at_the_end_symbol() -> None:
    x = make()(normal(3, 2, M)).sample(torch.Generator().manual_seed(1), length=30)
    assert x.shape[:2] == (3, 2)
    after = (x == V).cumsum(-1) - (x == V).long()
    assert bool(((x == PADDING) == (after > 0)).all())


def test_word_dropout_hides_the_history_in_training_alone() -> None:
    likelihood, x, w = make(word_dropout=1.0), sentences(4, 5), normal(4, M)
    other = x.clone()
    other[:, 0] = UNKNOWN + 1
    second = (x != PADDING) & (torch.arange(5) >= 1)

    def later(y: torch.Tensor) -> torch.Tensor:
        return (likelihood.symbol_log_prob(y, w) * second).sum(-1)

    assert bool((x[:, 1:] != PADDING).any())
    torch.testing.assert_close(later(x), later(other))
    likelihood.eval()
    assert not torch.allclose(later(x), later(other))


def test_more_dimensions_than_logits_are_refused_with_the_largest_history() -> None:
    with pytest.raises(UserError, match=rf"Use hidden={V - 1 - M} or less"):
        make(map_="brenier", hidden=V)
    assert make(map_="brenier", hidden=V - 1 - M).map.in_features == V - 1
    assert make(map_="mlp", hidden=2 * V).map.in_features == 2 * V + M


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"wiring": "everywhere"}, "wiring=everywhere is not known. Use output, input, both or none"),
        ({"embedding": 0}, "of at least 1, got embedding=0, features=3 and layers=1"),
        ({"word_dropout": 1.5}, "word_dropout=1.5"),
        ({"dropout": 1.0}, "got dropout=1.0"),
    ],
)
def test_options_out_of_range_are_refused(options: dict, message: str) -> None:
    with pytest.raises(UserError) as caught:
        make(**options)
    assert message in str(caught.value)
