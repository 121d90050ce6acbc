"""What is said before an evaluation that takes long, and how the time is found."""

import pytest
from runs import Programs

from lid_vae.data import Pinwheel
from lid_vae.data.stream import SplitLoader
from lid_vae.data.text.token_split import TokenSplit
from lid_vae.log import beforehand
from lid_vae.log.beforehand import long_evaluation
from lid_vae.system import phases


def test_the_size_of_a_batch_of_sentences_is_that_of_its_symbols():
    loader = SplitLoader(TokenSplit.pack([[1] * (1 + k % 10) for k in range(2000)], 5), 200)
    assert loader.sizes() == [200 * length for length in range(1, 11)]
    assert loader.sizes() == [batch.x.numel() for batch in loader]


def test_a_long_evaluation_is_told_with_what_shortens_it():
    data = Pinwheel(per_class=600, valid_size=200, test_size=2000)
    data.setup()
    told = long_evaluation(data, ("test", "valid"), 100, sizable=True)
    assert told(50.0) is None, "and a tenth of that for the other split"
    assert told(200.0).splitlines() == [
        "evaluation  about 4 min: 2,000 test and 200 valid examples, 100 draws of each",
        "            for a first try less will do: samples=10 or data.test_size=1000",
    ]
    assert max(map(len, told(5000.0).splitlines())) <= 80
    assert long_evaluation(data, ("valid",), 10, rounds=3)(60.0) == (
        "evaluation  about 3 min: 200 valid examples, 10 draws of each, 3 times"
    )


@pytest.mark.parametrize("words", [(), ("-m", "seed=0-1")])
def test_a_run_tells_it_once_and_an_evaluation_too(tmp_path, monkeypatch, words):
    monkeypatch.setattr(phases, "SURE", -1.0)
    monkeypatch.setattr(beforehand, "LONG", 0.0)
    programs = Programs(tmp_path)
    small = ("data.eval_batch_size=20", "samples=20", "trainer.max_epochs=1")
    trained = programs.train("model=vae", *small, *words)
    assert trained.status == 0, trained.err
    lines = [line for line in trained.out.splitlines() if line.startswith("evaluation  ")]
    assert len(lines) == 1
    assert lines[0].endswith("60 test and 50 valid examples, 20 draws of each" + (", 2 times" if words else ""))
    assert "for a first try less will do: samples=10\n" in trained.out
    checkpoint = next(tmp_path.rglob("best.ckpt"))
    assert "60 test examples, 4 draws of each\n" in programs.evaluate(checkpoint).out
