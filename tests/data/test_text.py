"""Text data modules: a user's own files, those of the field where they are at hand, and the generated language."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from making import Recorder
from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import ModelCheckpoint

from lid_vae.data import (
    PTB,
    Batch,
    ShortYelp,
    SyntheticText,
    Text,
    TextDataModule,
    Yahoo,
    Yelp,
    make_vocabulary,
)
from lid_vae.data.source import RemoteFile, digest
from lid_vae.data.text import published_text
from lid_vae.data.text.corpora import PublishedText
from lid_vae.data.text.published_text import TextFile
from lid_vae.data.text.toy_language import ToyLanguage
from lid_vae.errors import UserError

SMALL = {"sentences": 200, "valid_size": 40, "test_size": 60, "words": 50}


def ready(module: TextDataModule) -> TextDataModule:
    module.prepare_data()
    module.setup("fit")
    return module


def sentences(module: TextDataModule, part: str) -> list[str]:
    """In the order of the file."""
    split = getattr(module, part)
    return [module.decode(split.batch(torch.tensor([row])).x[0].tolist()) for row in range(len(split))]


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    def write(name: str, *lines: str, repeat: int = 1) -> str:
        (tmp_path / name).write_text("".join(f"{line}\n" for line in lines) * repeat)
        return str(tmp_path / name)

    return write


# --- a user's own text -----------------------------------------------------------------------------------------------


def test_a_file_for_each_split(write: Callable[..., str]) -> None:
    module = ready(
        Text(
            train=write("train", "the cat sat", "the dog sat", "a cat"),
            valid=write("valid", "the cat", "the bird sat"),
            test=write("test", "a dog", "dog dog"),
            minimum_count=1,
        )
    )
    assert module.vocabulary == ["<unk>", "cat", "sat", "the", "a", "dog", "<eos>"]
    assert (module.shape, module.label_count, module.image_shape, module.binary) == ([7], None, None, False)
    assert sentences(module, "train") == ["the cat sat", "the dog sat", "a cat"]
    assert sentences(module, "valid") == ["the cat", "the <unk> sat"]
    assert sentences(module, "test") == ["a dog", "dog dog"]
    assert module.encode("a bird".replace("bird", "<unk>")) == [5, 1, 7]
    assert torch.allclose(module.mean() * 11, torch.tensor([0.0, 2, 2, 2, 1, 1, 3]))


def test_a_file_that_is_divided(write: Callable[..., str]) -> None:
    path = write("own", *(f"word{number} follows" for number in range(100)))
    module = ready(Text(path=path, valid_size=20, minimum_count=1))
    assert [len(module.train), len(module.valid), len(module.test)] == [70, 20, 10]
    assert len(module.vocabulary) == 73, "the words of the training part alone"
    again, other = ready(Text(path=path, valid_size=20, minimum_count=1)), ready(Text(path=path, seed=1))
    assert module.checksum == again.checksum != other.checksum
    small = ready(Text(path=path, valid_size=20, minimum_count=1, train_size=30))
    assert (len(small.train), small.vocabulary) == (30, module.vocabulary)
    assert set(sentences(small, "train")) < set(sentences(module, "train"))


def test_a_test_file_beside_one_that_is_divided(write: Callable[..., str]) -> None:
    own, test = write("own", "a b c", repeat=50), write("test", "a b", repeat=8)
    module = ready(Text(train=own, test=test, test_size=4))
    assert [len(module.train), len(module.valid), len(module.test)] == [45, 5, 4]


def test_labels(write: Callable[..., str]) -> None:
    module = ready(Text(path=write("own", "bad\ta b c", "good\ta b", repeat=20), labels=True))
    assert module.label_count == 2
    for part in ("train", "valid", "test"):
        for batch in module.batches(part):
            assert torch.equal(batch.y, ((batch.x != 0).sum(1) == 3).long())


def test_a_relative_path_is_looked_for_in_the_root_too(write: Callable[..., str], tmp_path: Path) -> None:
    write("own.txt", "a b c", repeat=50)
    assert len(ready(Text(path="own.txt", root=str(tmp_path))).train) == 41


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, r"path=<file> to divide, or train=<file>"),
        ({"path": "a", "train": "b"}, "and not both"),
        ({"path": "a", "test": "b"}, "and not both"),
        ({"path": "a", "batch_size": 0}, "batch_size=0"),
        ({"path": "a", "test_size": 0}, "test_size=0"),
        ({"path": "a", "vocabulary_size": 0}, "vocabulary_size=0"),
        ({"path": "a", "minimum_count": 0}, "minimum_count=0"),
        ({"path": "a", "max_length": 0}, "max_length=0"),
        ({"path": "a", "long": "cut"}, "long=cut is unknown. Choose truncate or drop"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, object], words: str) -> None:
    with pytest.raises(UserError, match=words):
        Text(**options)


def test_a_missing_file_is_refused_by_its_option(write: Callable[..., str], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"path=absent.txt is no file"):
        ready(Text(path="absent.txt"))
    with pytest.raises(UserError, match=r"valid=absent.txt is no file"):
        ready(Text(train=write("own", "a b", repeat=30), valid="absent.txt"))
    with pytest.raises(UserError, match=r"train=absent.txt is no file"):
        ready(Text(train="absent.txt"))
    with pytest.raises(UserError, match=r"path=\S+ is a folder. Name a file in it"):
        ready(Text(path=str(tmp_path)))


def test_a_corpus_of_one_sentence_is_refused(write: Callable[..., str]) -> None:
    one, two = write("one", "a b"), write("two", "a b", repeat=2)
    for path in (one, two):  # of two, one is held out for the test, and the other is to be divided again
        with pytest.raises(UserError, match="There is one example, which cannot be divided"):
            ready(Text(path=path))
    with pytest.raises(UserError, match="The train split of text is one sentence, from which nothing"):
        ready(Text(train=one, valid=one, test=one))
    with pytest.raises(UserError, match=r"The valid split of text is one sentence.*valid_size"):
        ready(Text(path=write("few", "a b", repeat=9)))
    assert len(ready(Text(train=two, valid=two, test=two)).train) == 2


def test_more_sentences_than_there_are_is_refused(write: Callable[..., str]) -> None:
    with pytest.raises(UserError, match=r"train_size=26 asks for more than there is: 25"):
        ready(Text(path=write("own", "a b", repeat=30), train_size=26))


def test_the_vocabulary_of_another_corpus_is_refused(write: Callable[..., str]) -> None:
    own = ready(Text(path=write("own", "a b c", repeat=30)))
    own.check_vocabulary(list(own.vocabulary))
    with pytest.raises(
        UserError, match=r'is from another corpus than text, which has 5: 2 of its words, "x" among them'
    ):
        own.check_vocabulary(ready(Text(path=write("other", "x y c", repeat=30))).vocabulary)
    with pytest.raises(UserError, match="0 of its words, differ from symbol 2 on"):
        own.check_vocabulary(["<unk>", "b", "a", "c", "<eos>"])
    with pytest.raises(UserError, match=r"from another corpus"):
        own.check_vocabulary(own.vocabulary[:-2])


def test_a_vocabulary_of_a_checkpoint_encodes_without_the_corpus(write: Callable[..., str]) -> None:
    own = ready(Text(path=write("own", "a b c", repeat=30)))
    assert make_vocabulary("tokenizers", own.vocabulary).encode("b a") == own.encode("b a")


# --- the corpora of the field ----------------------------------------------------------------------------------------


def test_penn_treebank(corpus: Callable[[str], str]) -> None:
    module = ready(PTB(corpus("ptb")))
    assert [len(module.train), len(module.valid), len(module.test)] == [42_068, 3_370, 3_761]
    counts = [len(split.tokens) - len(split) for split in (module.train, module.valid, module.test)]
    assert counts == [887_521, 70_390, 78_669]
    assert (module.shape, module.vocabulary[:3], module.vocabulary[-1]) == ([10_000], ["<unk>", "the", "N"], "<eos>")
    first = module.decode(module.train.batch(torch.tensor([1])).x[0].tolist())
    assert first.startswith("pierre <unk> N years old will join the board")
    assert (module.test.tokens == 1).sum() == 4_794, "as in the file: no word of it is new"
    shares = module.mean()[1:-1]
    assert torch.equal(shares, shares.sort(descending=True).values)


def test_yahoo_without_its_training_split_says_what_is_wanted(corpus: Callable[[str], str]) -> None:
    with pytest.raises(UserError, match=r"yahoo needs train.txt .*yahoo\. .*prepare_data.py of github.com/jxhe"):
        ready(Yahoo(corpus("yahoo")))


def test_yahoo_with_a_training_split(corpus: Callable[[str], str], tmp_path: Path) -> None:
    """The validation split in the place of the training split, which only tests may do."""
    (tmp_path / "yahoo").mkdir()
    for path in (Path(corpus("yahoo")) / "yahoo").iterdir():
        (tmp_path / "yahoo" / path.name).symlink_to(path)
    (tmp_path / "yahoo" / "train.txt.gz").symlink_to(Path(corpus("yahoo")) / "yahoo" / "valid.txt.gz")
    module = ready(Yahoo(str(tmp_path), train_size=100, test_size=50))
    assert module.shape == [19_998], "20,001 entries, less <pad>, <s>, </s> and _UNK, and <eos>"
    assert [len(module.train), len(module.valid), len(module.test)] == [100, 10_000, 50]
    assert not any("_UNK" in sentence for sentence in sentences(module, "test"))
    assert any("<unk>" in sentence for sentence in sentences(module, "test"))


def test_short_yelp(corpus: Callable[[str], str]) -> None:
    module = ready(ShortYelp(corpus("short-yelp")))
    assert [len(module.train), len(module.valid), len(module.test)] == [10_000] * 3
    assert (module.label_count, max(module.train.lengths)) == (2, 16)
    assert 0.4 < module.train.y.double().mean() < 0.7
    assert (
        module.decode(module.test.batch(torch.tensor([0])).x[0].tolist())
        == "the girls there were friendly , efficient and really great at their jobs ."
    )


def test_missing_corpora_are_refused_with_their_files_and_where_they_are(tmp_path: Path) -> None:
    wanted = {Yelp: "train.txt, valid.txt, test.txt", ShortYelp: "train10k.txt, valid.txt, test.txt, vocab.txt"}
    for kind, names in wanted.items():
        folder = kind.folder or kind.name
        with pytest.raises(UserError, match=rf"{kind.name} needs {names} .* in .*{folder}\. .*github.com") as told:
            ready(kind(str(tmp_path)))
        assert "LID_VAE_DATA" in str(told.value)


def test_a_corpus_without_network_is_refused_with_its_sums(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offline = {part: TextFile(file.name, file.checksum, ("file:///absent",)) for part, file in PTB.files.items()}
    monkeypatch.setattr(PTB, "files", offline)
    with pytest.raises(UserError, match=r"train.txt \(sha256:fcea.*Put them in .*ptb"):
        ready(PTB(str(tmp_path)))


class Trio(PublishedText):
    """Three files with an address."""

    name = "trio"
    where = "Nowhere."
    files: ClassVar[dict[str, TextFile]] = {
        part: TextFile(f"{part}.txt", digest(b"a b\nc d\n", "sha256:"), (f"https://example.org/{part}",))
        for part in ("train", "valid", "test")
    }


def test_files_are_downloaded_and_held_to_the_sum_of_their_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetch(folder: Path, files: list[RemoteFile]) -> None:
        folder.mkdir(exist_ok=True)
        for file in files:
            assert file.urls == (f"https://example.org/{file.name.removesuffix('.txt')}",)
            (folder / file.name).write_bytes(b"a b\nc d\n")

    monkeypatch.setattr(published_text, "fetch", fetch)
    assert sentences(ready(Trio(str(tmp_path))), "test") == ["a b", "c d"]
    packed = tmp_path / "trio" / "test.txt.gz"
    packed.write_bytes(gzip.compress(b"a b\nc d\n", 1))
    assert sentences(ready(Trio(str(tmp_path))), "test") == ["a b", "c d"]
    packed.write_bytes(gzip.compress(b"a b\nc e\n"))
    with pytest.raises(UserError, match=r"test.txt.gz is damaged or another file: the sum of its text should be"):
        ready(Trio(str(tmp_path)))


# --- the toy language ------------------------------------------------------------------------------------------------


def test_the_toy_language_comes_from_the_data_seed() -> None:
    one, same, run, other = (
        ready(SyntheticText(**SMALL, **seeds)) for seeds in ({}, {}, {"train_seed": 1}, {"seed": 1})
    )
    assert one.checksum == same.checksum == run.checksum != other.checksum
    assert [len(one.train), len(one.valid), len(one.test)] == [200, 40, 60]
    assert (one.label_count, set(one.train.lengths.tolist())) == (4, {11})
    assert set(one.vocabulary[1:-1]) <= {str(number) for number in range(50)}
    assert len(set(sentences(one, "train")) & set(sentences(one, "test"))) < 20, "draws of their own"


def test_the_toy_language_hears_its_latent() -> None:
    """Given the component, a word is known better than without: mutual information, estimated from counts."""
    language = ToyLanguage(0, words=50)
    words, component = language.sample("train", 4_000, 10)
    assert words.min() >= 0
    assert words.max() < 50
    joint = torch.zeros(4, 50, dtype=torch.float64)
    joint.index_put_((component.repeat(9), words[:, 1:].T.flatten()), torch.ones((), dtype=torch.float64), True)
    joint /= joint.sum()
    independent = joint.sum(1, keepdim=True) * joint.sum(0)
    information = torch.where(joint > 0, joint * (joint / independent).log(), 0).sum()
    assert information > 0.3, "nats, of log 4 = 1.39; about (3 x 49) / (2 x 36,000) = 0.002 if there were none"
    first = torch.bincount(words[:, 0], minlength=50).double() / len(words) * 50
    assert (first - 1).abs().max() < 5 * (50 / 4_000) ** 0.5, "the first word is uniform: five standard errors"


def test_sentences_of_different_blocks_are_different_draws() -> None:
    """500 are computed together."""
    whole, _ = ToyLanguage(0).sample("train", 1_000, 10)
    assert len({tuple(sentence) for sentence in whole.tolist()}) > 990


def test_the_published_toy_data(corpus: Callable[[str], str]) -> None:
    module = ready(SyntheticText(corpus("synthetic"), source="published"))
    assert [len(module.train), len(module.valid), len(module.test)] == [14_400, 1_600, 4_000]
    assert (module.shape, module.label_count, len(module.vocabulary)) == ([1_002], None, 1_002)


def test_an_unknown_source_is_refused() -> None:
    with pytest.raises(UserError, match=r"source=early is unknown. Choose generated or published"):
        SyntheticText(source="early")


# --- as the rest of the program uses it ------------------------------------------------------------------------------


def test_reading_before_setup_says_so() -> None:
    with pytest.raises(RuntimeError, match="setup"):
        SyntheticText().vocabulary  # noqa: B018


def test_moving_to_a_device_moves_every_split() -> None:
    module = ready(SyntheticText(**SMALL))
    module.to_device("meta")
    assert {getattr(module, part).device.type for part in ("train", "valid", "test")} == {"meta"}
    assert next(iter(module.val_dataloader())).x.device.type == "meta"
    assert module.stream().batch(0).x.device.type == "meta"


def fit(folder: Path, resume_from: Path | None = None) -> list[Batch]:
    module = Recorder()
    trainer = Trainer(
        max_epochs=3,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
        callbacks=[ModelCheckpoint(folder, filename="{step}", every_n_train_steps=1, save_top_k=-1)],
    )
    trainer.fit(module, datamodule=SyntheticText(**SMALL, batch_size=50, train_seed=5), ckpt_path=resume_from)
    return module.seen


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("step", [2, 4, 7])  # four steps an epoch
def test_lightning_resumes_with_the_batches_of_the_uninterrupted_run(tmp_path: Path, step: int) -> None:
    whole = fit(tmp_path / "whole")
    rest = fit(tmp_path / "rest", resume_from=tmp_path / "whole" / f"step={step}.ckpt")
    assert (len(whole), len(rest)) == (12, 12 - step)
    assert all(torch.equal(a.x, b.x) for a, b in zip(rest, whole[step:], strict=True))
