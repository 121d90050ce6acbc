"""evaluate.py on a model of text: sentences asked for on the command line, whatever characters they hold."""

import re

import pytest
from runs import TINY, Programs, digest

ODD = [
    "it's",
    "{a}",
    "x=1",
    "b,c",
    '"q"',
    "$5",
    "${seed}",
    "back\\slash",
    "(d)",
    "[e]",
    "don\\'t",
    "~",
    "-m",
    "née",
    "#",
]
PLAIN = ["the", "cat", "sat", "on", "mat"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run on a file of words that are syntax elsewhere."""
    folder = tmp_path_factory.mktemp("text")
    words = [*ODD, *PLAIN]
    lines = [" ".join(words[(k * (j + 3) + j) % len(words)] for j in range(2 + k % 5)) for k in range(240)]
    corpus = folder / "corpus.txt"
    corpus.write_text("\n".join(lines) + "\n", encoding="utf-8")
    programs = Programs(folder)
    run = programs.train(
        "data=text",
        f"data.path={corpus}",
        "data.minimum_count=1",
        "data.batch_size=50",
        "model=svae",
        "latent_dimension=3",
        tiny=tuple(option for option in TINY if not option.startswith("data.")),
    )
    assert run.status == 0, run.err
    return programs, run


def ask(finished, *options):
    programs, run = finished
    return programs.start("evaluate", f"ckpt={run.folder / 'checkpoints' / 'best.ckpt'}", "measure=false", *options)


def written(outcome):
    """What the terminal shows, having checked that the file beside the run is the same."""
    assert outcome.status == 0, outcome.err
    page, path = outcome.out.rstrip("\n").rsplit("\n\ntexts       ", 1)
    with open(path, encoding="utf-8") as file:
        assert file.read() == page + "\n"
    return page


def sentences_in(lines):
    """How many they stand for: those that are alike are one."""
    counts = [re.search(r"  \(x(\d+), identical\)$", line) for line in lines]
    return sum(int(count[1]) if count else 1 for count in counts)


def test_reconstructions_stand_below_their_sentences_also_of_two_models(finished, tmp_path):
    programs, run = finished
    page = written(ask(finished, "reconstruct=3"))
    title, *lines = page.split("\n\n", 1)[1].splitlines()
    assert title.startswith("Reconstructions: a sentence, and below it")
    assert [bool(line) for line in lines] == [True, True, False, True, True, False, True, True]
    other = run.folder / "checkpoints" / "last.ckpt"
    both = written(ask(finished, "reconstruct=3", f"beside={other}", "sample=2"))
    assert both.startswith("SVAE 1 and SVAE 2 on text\n\nSVAE 1. ")
    own = [line.strip() for line in lines]
    assert [line.removeprefix("  SVAE 1: ") for line in both.splitlines() if line.startswith("  SVAE 1: ")] == own[1::3]
    assert len(re.findall("^  SVAE 2: ", both, re.MULTILINE)) == 3
    assert "\nSVAE 2. Samples: z from the prior (greedy)\n" in both
    for options, message in (
        ([f"beside={other}"], "none are asked for"),
        ([f"beside={tmp_path / 'no.ckpt'}", "sample=1"], "no.ckpt"),
        (["reconstruct=0"], "reconstruct"),
    ):
        assert message in programs.evaluate(run.folder / "checkpoints" / "best.ckpt", *options).paragraph


def test_reconstructions_of_vectors_and_of_other_words_are_refused(finished, tmp_path):
    points = Programs(tmp_path)
    of_points = points.train("model=vae", "trainer.max_epochs=1").folder / "checkpoints" / "best.ckpt"
    assert "is one of vectors" in points.evaluate(of_points, "reconstruct=2", "measure=false").paragraph
    assert "knows other words" in ask(finished, "sample=1", f"beside={of_points}").paragraph


def test_a_run_on_text_leaves_texts_and_measures_of_them(finished):
    programs, run = finished
    text = run.result["text"]
    assert text["reconstruction"]["sentences"] == run.result["examples"]
    assert text["prior"]["draws"] == 100
    assert text["probe"] is None
    assert "text" not in run.result["validation"]
    page = (run.folder / "texts.txt").read_text(encoding="utf-8")
    assert f"texts       {run.folder / 'texts.txt'}" in run.out
    assert page.startswith(f"SVAE on text, step {run.result['steps']} (test)")
    evaluation = programs.evaluate(run.folder / "checkpoints" / "best.ckpt")
    assert evaluation.result["text"] == text


@pytest.mark.parametrize("word", ODD)
def test_any_word_survives_the_command_line(finished, word):
    page = written(ask(finished, f"interpolate={word} the <unk>|cat {word}"))
    assert f"  from: {word} the <unk>\n  to:   cat {word}\n" in page


def test_all_words_together_from_the_command_line_and_from_a_file(finished, tmp_path):
    text = f"{' '.join(ODD)}|{' '.join(reversed(ODD))}"
    asked = written(ask(finished, f"interpolate={text}"))
    path = tmp_path / "pairs = of, sentences.txt"
    path.write_text(text + "\n", encoding="utf-8")
    assert written(ask(finished, f"interpolate_file={path}")) == asked
    assert sentences_in(re.findall("\n    .*", asked)) == 7


@pytest.mark.parametrize("strategy", ["greedy", "beam", "nucleus", "ancestral"])
def test_samples_come_by_every_strategy_and_again_the_same(finished, strategy):
    page, again = (written(ask(finished, "sample=5", f"decode={strategy}", "beam.width=3")) for _ in range(2))
    assert page == again
    assert sentences_in(page.split("Samples", 1)[1].splitlines()[1:]) == 5
    assert "draws of z from the prior decode" in page


def test_samples_stand_before_the_measures_and_leave_them_alone(finished):
    programs, run = finished
    plain = programs.evaluate(run.folder / "checkpoints" / "best.ckpt")
    both = programs.evaluate(run.folder / "checkpoints" / "best.ckpt", "sample=2")
    assert both.result_path == plain.result_path
    assert both.result["ll"] == plain.result["ll"]
    assert both.out.index("Samples") < both.out.index("result ")


def test_the_sentences_of_another_file_are_measured_in_the_words_of_the_model(finished, tmp_path):
    programs, run = finished
    checkpoint = run.folder / "checkpoints" / "best.ckpt"
    own = programs.evaluate(checkpoint)
    path = tmp_path / "other, sentences=2.txt"
    path.write_text("the cat sat\n" * 5 + "a dog on the mat\n")
    other = programs.evaluate(checkpoint, f"text={path}")
    assert other.status == 0, other.err
    assert other.result_path != own.result_path
    assert (other.result["data"], other.result["corpus"]) == (path.name, str(path))
    assert (other.result["examples"], other.result["symbols"]) == (6, 26)
    assert "text: 10.0% of 20 words are not in" in other.out
    assert "text=absent.txt is no file" in programs.evaluate(checkpoint, "text=absent.txt").paragraph
    path.write_text("wholly other words\nwholly other words\n")
    refused = programs.evaluate(checkpoint, f"text={path}").paragraph
    assert "is of another corpus than text: 100% of the 6 words" in refused
    assert "Give a file whose words are written as in training" in refused
    path.write_text("the cat sat\n")
    assert f"{path} gives one sentence" in programs.evaluate(checkpoint, f"text={path}").paragraph


def test_the_lines_of_another_file_follow_options_of_their_own(finished, tmp_path):
    programs, run = finished
    checkpoint = run.folder / "checkpoints" / "best.ckpt"
    path = tmp_path / "lines.txt"
    path.write_text("the cat sat on the mat\n\n" + "the cat\n" * 3)
    assert "leave such lines out with data.empty=drop" in programs.evaluate(checkpoint, f"text={path}").paragraph
    dropped = programs.evaluate(checkpoint, f"text={path}", "data.empty=drop")
    assert dropped.out.count("of 5 lines 1 dropped, as empty") == 1
    assert (dropped.result["examples"], dropped.result["symbols"]) == (4, 16)
    short = programs.evaluate(checkpoint, f"text={path}", "data.empty=drop", "data.max_length=2")
    assert (short.result["examples"], short.result["symbols"]) == (4, 12)
    assert short.result_path != dropped.result_path
    short = programs.evaluate(checkpoint, f"text={path}", "data.empty=drop", "data.max_length=2", "data.long=drop")
    assert (short.result["examples"], short.result["symbols"]) == (3, 9)
    path.write_text("a\tthe cat sat\nb\tthe mat\n")
    labelled = programs.evaluate(checkpoint, f"text={path}", "data.labels=true")
    assert (labelled.result["symbols"], labelled.result["text"]["probe"]) == (7, None)
    assert "data.empty is about the lines of text=" in programs.evaluate(checkpoint, "data.empty=drop").paragraph
    assert "data=mnist is one value for several options" in programs.evaluate(checkpoint, "data=mnist").paragraph


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["interpolate=the dog|the cat"], '"dog" in "the dog" is not in the vocabulary of'),
        (["interpolate=the cat"], "is not two sentences with | between"),
        (["interpolate=the cat|"], "is not two sentences with | between"),
        (["interpolate_file=absent.txt"], "absent.txt"),
        (["sample=0"], "sample=0 must be a whole number, at least 1"),
        (["sample=many"], "sample=many must be a whole number"),
        (["sample=2", "decode=best"], "decode=best is not known. Use one of greedy, beam, nucleus, ancestral"),
        (["sample=2", "decode=beam", "beam.width=0"], "beam.width=0"),
        (["sample=2", "decode=nucleus", "nucleus.p=2"], "above 0 and up to 1, got 2"),
        ([], "measure=false leaves nothing to do"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_refused(finished, options, words):
    before = digest(finished[1].folder)
    assert words in ask(finished, *options).paragraph
    assert digest(finished[1].folder) == before
