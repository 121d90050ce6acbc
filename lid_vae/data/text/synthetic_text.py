"""The synthetic text of He et al. (2019, arXiv:1901.05534): sentences of a random LSTM that hears a latent variable."""

__all__ = ["SyntheticText"]

from dataclasses import replace
from pathlib import Path
from typing import Any

from lid_vae.data.split import Corpus, at_least_one, hold_out
from lid_vae.data.text.published_text import TextFile, demand, some
from lid_vae.data.text.text_data_module import TextDataModule
from lid_vae.data.text.text_file import Sentences, parse_sentences
from lid_vae.data.text.toy_language import ToyLanguage
from lid_vae.errors import UserError

_FILES = {
    "train": TextFile("train.txt", "sha256:7625f9fa3c559a54cee18497dbb1adc0b7a95eef254933a9f7634ffa8a0a4954"),
    "test": TextFile("test.txt", "sha256:f768b14530ad0179febabd8cce95f75e27f3958ca397e07b83a5379a3e137e1f"),
}
_HELD_OUT = 2_000
_WHERE = (
    "The authors' archive (prepare_data.py of github.com/jxhe/vae-lagging-encoder) has them, a copy is "
    "synthetic-data/ of github.com/eliisabethein/DD2424-project. Without them, use source='generated'."
)


class SyntheticText(TextDataModule):
    """16,000, 2,000 and 2,000 sentences of 10 words out of 1,000, generated from the data seed, or a published file.

    The generated ones are labelled by the component of the mixture that their z was drawn from; ``root`` is not used.
    The published ones, 16,000 and 4,000 for testing, have no labels; their validation part is held out of the first by
    the data seed (the authors validate on the test file).

    Args:
        root: the folder of the data sets.
        valid_size, test_size: None for 2,000 generated sentences; of the published ones, for a tenth of the training
            file and the whole test file.
        source: "generated", or "published": those found in ``<root>/synthetic/``.
        sentences: how many training sentences to generate.
        length: words of a generated sentence.
        words: words of the generated language.
        options: the others of ``TextDataModule``.

    >>> data = SyntheticText(sentences=100, valid_size=20, test_size=20, words=50, batch_size=8)
    >>> data.setup()
    >>> data.stream().batch(step=0).x.shape, data.label_count  # ten words, and <eos>
    (torch.Size([8, 11]), 4)
    """

    name = "synthetic_text"
    folder = "synthetic"

    def __init__(
        self,
        root: str | None = "data",
        source: str = "generated",
        sentences: int = 16_000,
        length: int = 10,
        words: int = 1_000,
        **options: Any,
    ) -> None:
        super().__init__(root, **options)
        at_least_one(sentences=sentences, length=length, words=words)
        if source not in ("generated", "published"):
            raise UserError(f"source={source} is unknown. Choose generated or published.")
        self.source = source
        self.size, self.length, self.words = sentences, length, words

    def prepare_data(self) -> None:
        if self.source == "published":
            demand(self.name, _FILES.values(), self.path, _WHERE)

    def sentences(self) -> Corpus[Sentences]:
        if self.source == "published":
            rest, test = (_FILES[part].sentences(self.path, self.rules) for part in ("train", "test"))
            train, valid = hold_out(rest, self.valid_size, self.seed, "valid")
            return Corpus(train, valid, some(test, self.test_size, self.seed, "test"))
        language = ToyLanguage(self.seed, self.words)
        sizes = {"train": self.size, "valid": self.valid_size, "test": self.test_size}
        train, valid, test = (self._generate(language, part, size or _HELD_OUT) for part, size in sizes.items())
        return Corpus(train, valid, test)

    def _generate(self, language: ToyLanguage, part: str, size: int) -> Sentences:
        sentences, component = language.sample(part, size, self.length)
        lines = (" ".join(str(word) for word in sentence) for sentence in sentences.tolist())
        data = "\n".join(f"{label}\t{line}" for label, line in zip(component.tolist(), lines, strict=True)).encode()
        return parse_sentences(data, Path(f"synthetic_text, {part}"), replace(self.rules, labelled=True))
