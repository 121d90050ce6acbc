"""What text shows of a model and what is measured of it: against models of which it is known what they say."""

from collections import Counter

import pytest
import torch
from builders import randomise

from lid_vae.errors import UserError
from lid_vae.likelihood.decode import greedy
from lid_vae.noise import generator
from lid_vae.symbols import PADDING
from lid_vae.text import measures as measures_module
from lid_vae.text.decoding import decoder
from lid_vae.text.marking import AGREES, PLAIN
from lid_vae.text.measures import text_measures
from lid_vae.text.request import text_request
from lid_vae.text.texts import Diversity, Section, Texts, prior_diversity, sampled, sentences, take_texts
from lid_vae.train.posterior_mean import STEPS, posterior_mean


@pytest.fixture
def made(make):
    """A model whose sentences follow z, in float64, and its data."""
    module, data = make("data=synthetic_text", "model=svae")
    randomise(module.vae, "texts")
    likelihood = module.vae.likelihood
    likelihood.initialise(
        torch.full((likelihood.symbols,), 1 / likelihood.symbols).double(), torch.zeros(1, 2).double()
    )
    return module.eval(), data


def collapse(module, symbol: int) -> None:
    """p(x | w) that says ``symbol`` with the greatest probability, whatever came before."""
    likelihood = module.vae.likelihood
    with torch.no_grad():
        for parameter in likelihood.map.parameters():
            parameter.zero_()
    frequency = torch.ones(likelihood.symbols, dtype=torch.float64)
    frequency[symbol - 1] = 20
    likelihood.initialise(frequency / frequency.sum(), torch.zeros(1, 2).double())


def test_the_mean_of_a_gaussian_posterior_is_exact(made):
    module, data = made
    x = next(data.batches("test")).x
    q = module.infer(x, module.vae.posterior.draw_noise(1, len(x), generator("any")))
    torch.testing.assert_close(posterior_mean(module, x), q.mean[0])


def test_texts_repeat_and_leave_every_generator_alone(made):
    module, data = made
    torch.manual_seed(3)
    state = torch.random.get_rng_state()
    first, second = (take_texts(module, data, "valid") for _ in range(2))
    assert torch.equal(state, torch.random.get_rng_state())
    assert first == second
    assert first != take_texts(module, data, "test")


def test_texts_hold_what_the_model_says(made):
    module, data = made
    texts = take_texts(module, data, "test")
    drawn, likeliest, pairs, paths = texts.sections
    assert [len(section.passages) for section in texts.sections] == [10, 10, 10, 3]
    assert drawn.passages != likeliest.passages
    known = {data.decode(row) for batch in data.batches("test") for row in batch.x.tolist()}
    for original, again in pairs.passages:
        assert original in known
        x = torch.tensor([data.encode(original)])
        w = posterior_mean(module, x)
        assert [again] == sentences(data, greedy(module.vae.likelihood, w, 6))
    for k, (start, end, *steps) in enumerate(paths.passages):
        assert len(steps) == STEPS
        (a, first), (b, last) = pairs.passages[2 * k], pairs.passages[2 * k + 1]
        assert (start, end) == (f"from: {a}", f"to:   {b}")
        assert (steps[0].strip(), steps[-1].strip()) == (first, last)
    assert len({line for passage in likeliest.passages for line in passage}) > 1


def test_one_sentence_from_every_z_is_collapse(made):
    module, data = made
    followed = prior_diversity(module, data)
    assert followed.distinct > 5
    assert not followed.collapsed
    assert f"decode to {followed.distinct} different sentences" in followed.verdict()
    collapse(module, 3)
    diversity = prior_diversity(module, data)
    assert (diversity.distinct, diversity.commonest, diversity.collapsed) == (1, 1.0, True)
    word = data.vocabulary[2]
    assert diversity.verdict().startswith("Collapse: all 100 draws of z from the prior decode to the same sentence")
    assert diversity.verdict().endswith(f'"{" ".join([word] * 6)}"')
    assert diversity.verdict() in take_texts(module, data, "test").page()
    assert "Collapse: 96 of 100 draws" in Diversity(100, 3, 0.96, "a", True).verdict()


def test_a_language_model_is_said_to_be_one(make):
    module, data = make("data=synthetic_text", "model=language_model")
    diversity = prior_diversity(module.eval(), data)
    assert diversity.distinct == 1
    assert "no latent" in diversity.verdict()


def test_a_terminal_shows_word_below_word_with_what_agrees():
    pairs = [["the cat sat", "the horse sat down"], ["one", ""]]
    section = Section("title", pairs, compared=True)
    assert section.lines() == ["the cat sat", "the horse sat down", "", "one", "(no word)"]
    the, sat = f"{AGREES}the{PLAIN}", f"{AGREES}sat{PLAIN}"
    assert section.lines(colour=True) == ["the cat   sat", f"{the} horse {sat} down", "", "one", "(no word)"]
    assert [marks for _, marks in Texts("", "", [section]).marked(1)] == [
        [("the", True), ("horse", False), ("sat", True), ("down", False)]
    ]
    several = Section("title", [["a b", "a c", "d b"]], compared=True, names=("SVAE", "LIDSVAE"))
    assert several.lines() == ["         a b", "SVAE:    a c", "LIDSVAE: d b"]


def test_repeated_sentences_are_said_once():
    section = Section("title", [["a b"], ["c"], ["a b"], ["a b"]])
    assert section.lines() == ["a b  (x3, identical)", "c"]
    path = Section("title", [["from: a", "to:   b", "  c", "  c", "  d"]])
    assert path.lines() == ["from: a", "to:   b", "  c  (x2, identical)", "  d"]


def test_a_page_shows_sentences_without_words():
    texts = Texts("title", "", [Section("section", [["a", ""], ["b", "  "]])])
    assert texts.page() == "title\n\nsection\n  a\n  (no word)\n\n  b\n    (no word)\n"
    assert texts.rows() == [["section", "a\n"], ["section", "b\n  "]]


def test_a_model_that_says_one_thing_is_right_as_often_as_that_is_true(made):
    module, data = made
    rows = [row[row != PADDING].tolist() for batch in data.batches("test") for row in batch.x]
    count = Counter(symbol for row in rows for symbol in row)
    word, end = count.most_common(1)[0][0], len(data.vocabulary)
    for symbol in (word, end):
        collapse(module, symbol)
        found = text_measures(module, data, "test")
        expected = count[symbol] / count.total()
        assert found["reconstruction"]["forced_accuracy"] == pytest.approx(expected)
        # greedy goes on saying the word; but with the end it has nothing more to say
        in_place = expected if symbol == word else sum(row[0] == end for row in rows) / count.total()
        assert found["reconstruction"]["greedy_accuracy"] == pytest.approx(in_place)
        assert found["reconstruction"]["sentences"] == len(rows)
        assert found["prior"] == {"draws": 100, "distinct": 1, "commonest": 1.0, "collapsed": True}


def test_forced_symbols_are_the_likeliest_after_the_true_ones(made):
    module, data = made
    likelihood, x = module.vae.likelihood, next(data.batches("test")).x[:4]
    w = posterior_mean(module, x)
    found = likelihood.likeliest(x, w)
    for row, latent, chosen in zip(x, w, found, strict=True):
        state, last = None, torch.tensor([PADDING])
        for symbol, choice in zip(row[row != PADDING], chosen, strict=False):
            log_probability, state = likelihood.next_symbol(last, latent.unsqueeze(0), state)
            assert int(log_probability.argmax()) + 1 == int(choice)
            last = symbol.unsqueeze(0)
    assert bool(((found == PADDING) == (x == PADDING)).all())


def test_a_perfect_reconstruction_has_all_the_marks(made, monkeypatch):
    module, data = made
    seen = []

    def stash(module, x):
        seen.append(x)
        return posterior_mean(module, x)

    monkeypatch.setattr(measures_module, "posterior_mean", stash)
    monkeypatch.setattr(measures_module, "greedy", lambda likelihood, w, length: seen[-1])
    found = text_measures(module, data, "test")["reconstruction"]
    assert found["bleu"] == pytest.approx(1.0)
    assert found["greedy_accuracy"] == 1.0
    assert found["forced_accuracy"] < 1.0


def test_labels_are_probed_where_there_are_any(made):
    module, data = made
    probe = text_measures(module, data, "test")["probe"]
    assert (probe["fitted"], probe["examples"]) == (len(data.train), len(data.test))
    assert 0 <= probe["usable"] <= 1
    assert 0 < probe["majority"] < 1


@pytest.mark.parametrize("strategy", ["greedy", "beam", "nucleus", "ancestral"])
def test_a_request_is_answered_by_every_strategy(made, strategy):
    module, data = made
    a, b, c = (data.vocabulary[k] for k in (1, 2, 3))
    request = text_request(4, f"{a} {b}|{c}|{b}", None, strategy, width=3)
    assert request is not None
    samples, paths = request.answer([module], data, "test").sections
    assert len(samples.passages) == 4
    assert [passage[:2] for passage in paths.passages] == [
        [f"from: {a} {b}", f"to:   {c}"],
        [f"from: {c}", f"to:   {b}"],
    ]
    assert strategy in samples.title
    assert samples.passages == [[line] for line in sampled(module, data, 4, decoder(strategy, width=3))]
    assert request.answer([module], data, "test") == request.answer([module], data, "test")


def test_a_request_is_read_from_a_file(made, tmp_path):
    module, data = made
    a, b = data.vocabulary[1:3]
    path = tmp_path / "pairs.txt"
    path.write_text(f"{a} <unk>|{b}\n{b} | {a}\n", encoding="utf-8")
    (paths,) = text_request(None, None, str(path), "greedy").answer([module], data, "test").sections
    assert [passage[0] for passage in paths.passages] == [f"from: {a} <unk>", f"from: {b}"]
    path.write_text(f"{a}|{b}\n\n{b}|{a}\n")
    (spaced,) = text_request(None, None, str(path), "greedy").answer([module], data, "test").sections
    assert [passage[0] for passage in spaced.passages] == [f"from: {a}", f"from: {b}"]
    path.write_text(f"{a}|{b}\n\n{a} {b}\n")
    with pytest.raises(UserError, match="Line 3 of"):
        text_request(None, None, str(path), "greedy")
    path.write_text("\n")
    with pytest.raises(UserError, match="holds no lines"):
        text_request(None, None, str(path), "greedy")
    path.write_bytes(b"a|\xff\n")
    with pytest.raises(UserError, match="is not UTF-8"):
        text_request(None, None, str(path), "greedy")
    with pytest.raises(UserError, match=r"absent\.txt"):
        text_request(None, None, str(tmp_path / "absent.txt"), "greedy")


def test_what_cannot_be_answered_is_refused(make, made):
    module, data = made
    assert text_request(None, None, None, "greedy") is None
    for text in ("a sentence", "a|", "|", ""):
        with pytest.raises(UserError, match="is not two sentences"):
            text_request(None, text, None, "greedy")
    with pytest.raises(UserError, match="greedy, beam, nucleus, ancestral"):
        text_request(1, None, None, "best")
    request = text_request(None, f"{data.vocabulary[1]}|no-such-word", None, "greedy")
    with pytest.raises(UserError, match='"no-such-word" in "no-such-word" is not in the vocabulary'):
        request.answer([module], data, "test")
