"""What text shows of a model: samples, reconstructions, interpolations, and whether every z says the same."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

import torch

from lid_vae.data.base import Part
from lid_vae.data.text.text_data_module import TextDataModule
from lid_vae.data.text.token_split import TokenSplit
from lid_vae.errors import UserError
from lid_vae.likelihood.autoregressive import AutoregressiveLikelihood
from lid_vae.noise import generator
from lid_vae.shapes import Float, Tensor
from lid_vae.text.decoding import Decode, decoder
from lid_vae.text.marking import Marked, coloured, folded, marked
from lid_vae.train.display_name import display_name
from lid_vae.train.posterior_mean import between, posterior_mean
from lid_vae.train.vae_module import VAEModule

__all__ = [
    "Diversity",
    "Section",
    "Texts",
    "decoded",
    "interpolation",
    "likelihood_of",
    "part_of",
    "prior_diversity",
    "sampled",
    "sentences",
    "take_texts",
]

DRAWS = 100
# Shares of the draws that decode to one sentence, from which the model is said to collapse.
COLLAPSED = 0.95
SAMPLES, RECONSTRUCTIONS, PAIRS = 10, 10, 3


@dataclass(frozen=True)
class Section:
    """``passages`` under a ``title``, each of lines that belong together.

    ``compared``: the first line of each is a sentence, and each further one what a model makes of it; these are called
    by ``names``, where there are several models.
    """

    title: str
    passages: list[list[str]]
    compared: bool = False
    names: tuple[str, ...] = ()

    def marked(self) -> list[list[Marked]]:
        """Of passages that are compared, each further line with what agrees with the first."""
        return [[marked(line, first) for line in rest] for first, *rest in self.passages] if self.compared else []

    def lines(self, colour: bool = False) -> list[str]:
        """For people: repeated sentences once; with ``colour``, what agrees stands out on a terminal."""
        if self.compared:
            return self._compared(colour)
        if all(len(passage) == 1 for passage in self.passages):
            ordered = sorted((line for (line,) in self.passages), key=[line for (line,) in self.passages].index)
            return folded([_said(line) for line in ordered])
        found = []
        for number, passage in enumerate(self.passages):
            found += ([""] if number else []) + folded([_said(line) for line in passage])
        return found

    def _compared(self, colour: bool) -> list[str]:
        names = ["", *(f"{name}: " for name in self.names)]
        width = max(map(len, names))
        found = []
        for number, (passage, marks) in enumerate(zip(self.passages, self.marked(), strict=True)):
            said = [_said(line) for line in (coloured(passage[0], marks) if colour else passage)]
            heads = names if self.names else [""] * len(said)
            found += ([""] if number else []) + [
                f"{head:<{width}}{line}" for head, line in zip(heads, said, strict=True)
            ]
        return found


@dataclass(frozen=True)
class Diversity:
    """How much the sentence depends on z.

    ``draws`` of the prior decode, each greedily, to ``distinct`` different sentences; ``commonest`` is the share of the
    commonest, which is ``sentence``. ``latent``: whether the model has a latent at all.
    """

    draws: int
    distinct: int
    commonest: float
    sentence: str
    latent: bool

    @property
    def collapsed(self) -> bool:
        """Whether (nearly) every z says the same."""
        return self.commonest >= COLLAPSED

    def verdict(self) -> str:
        if not self.latent:
            return "A language model has no latent: every draw of z decodes to the same sentence, by construction."
        if self.collapsed:
            count = round(self.commonest * self.draws)
            whole = "all" if count == self.draws else f"{count} of"
            return (
                f"Collapse: {whole} {self.draws} draws of z from the prior decode to the same sentence "
                f'(greedy): "{self.sentence}"'
            )
        return (
            f"{self.draws} draws of z from the prior decode to {self.distinct} different sentences (greedy); the "
            f"commonest comes from {self.commonest:.0%} of them."
        )


@dataclass(frozen=True)
class Texts:
    """A page of text: a ``title``, the ``verdict`` on collapse (empty: none), and ``sections``."""

    title: str
    verdict: str
    sections: list[Section]

    def page(self, colour: bool = False) -> str:
        """As text, plain or with ``colour`` for a terminal; a sentence without words is shown as such."""
        lines = [self.title, "", self.verdict] if self.verdict else [self.title]
        for section in self.sections:
            lines += ["", section.title, *(f"  {line}" if line else "" for line in section.lines(colour))]
        return "\n".join(lines) + "\n"

    def marked(self, count: int) -> list[tuple[str, Marked]]:
        """Up to ``count`` sentences with what the model makes of them, where one model's are compared."""
        return [
            (passage[0], marks[0])
            for section in self.sections
            if section.compared and not section.names
            for passage, marks in zip(section.passages, section.marked(), strict=True)
        ][:count]

    def rows(self) -> list[list[str]]:
        """[section, passage] of every passage, for a table."""
        found = [["verdict", self.verdict]] if self.verdict else []
        return found + [[section.title, "\n".join(p)] for section in self.sections for p in section.passages]


def take_texts(module: VAEModule, data: TextDataModule, split: Part) -> Texts:
    """Ten samples, ten reconstructions and three interpolations, of sentences of ``split`` chosen by a key.

    ``data`` are those that the model in ``module`` was trained on, for their words.

    All noise is keyed: no generator of the run advances.
    """
    rows = part_of(data, split)
    chosen = torch.randperm(len(rows), generator=generator("texts", "rows"))[: max(RECONSTRUCTIONS, 2 * PAIRS)]
    x = rows.batch(chosen).x
    original, w = sentences(data, x), posterior_mean(module, x)
    starts = range(0, min(2 * PAIRS, len(w) - 1), 2)
    # All at once, as a step of a few rows costs about as much as one of many.
    parts = [_prior_draws(module, DRAWS), w[:RECONSTRUCTIONS], *(between(w[k], w[k + 1]) for k in starts)]
    said = iter(decoded(module, data, torch.cat(parts), decoder("greedy")))
    from_prior, again, *paths = (list(islice(said, len(part))) for part in parts)
    drawn = sampled(module, data, SAMPLES, decoder("ancestral"))
    sections = [
        Section("Samples: z from the prior, each word drawn", [[line] for line in drawn]),
        Section(
            "Samples: z from the prior, each word the likeliest (greedy)", [[line] for line in from_prior[:SAMPLES]]
        ),
        Section(
            "Reconstructions: a sentence, and below it what its posterior mean decodes to (greedy)",
            [list(pair) for pair in zip(original, again, strict=False)],
            compared=True,
        ),
        Section(
            "Interpolations: two sentences, and what lies between their posterior means (greedy)",
            [interpolation(original[k], original[k + 1], path) for k, path in zip(starts, paths, strict=True)],
        ),
    ]
    return Texts(
        f"{display_name(module)} on {data.name}, step {module.step} ({split})",
        _diversity(module, from_prior).verdict(),
        sections,
    )


def sampled(module: VAEModule, data: TextDataModule, count: int, decode: Decode) -> list[str]:
    """A sentence for each of ``count`` keyed draws of the prior: what ``decoded`` makes of them.

    ``module``, ``data`` and ``decode`` are its own.
    """
    return decoded(module, data, _prior_draws(module, count), decode)


def decoded(module: VAEModule, data: TextDataModule, w: Float[Tensor, "R M"], decode: Decode) -> list[str]:
    """A sentence for each row of ``w``, which ``module`` decodes by ``decode`` into the words of ``data``.

    It is cut at the length of the longest of the training split.
    """
    return sentences(data, decode(likelihood_of(module), w, int(data.train.lengths.max())))


def interpolation(first: str, last: str, path: Iterable[str]) -> list[str]:
    """The passage on the sentences ``first`` and ``last``, and those between them, ``path``."""
    return [f"from: {first}", f"to:   {last}", *(f"  {line}" for line in path)]


def prior_diversity(module: VAEModule, data: TextDataModule) -> Diversity:
    """Over a hundred draws of z from the prior of ``module``, decoded into the words of ``data``."""
    return _diversity(module, sampled(module, data, DRAWS, decoder("greedy")))


def part_of(data: TextDataModule, split: Part) -> TokenSplit:
    """The sentences of ``data`` in a ``split``, by its name."""
    return {"train": data.train, "valid": data.valid, "test": data.test}[split]


def sentences(data: TextDataModule, x: Tensor) -> list[str]:
    """Rows of symbols, ``x``, as the words that ``data`` numbers so."""
    return [data.decode(row) for row in x.tolist()]


def likelihood_of(module: VAEModule) -> AutoregressiveLikelihood:
    """The module's likelihood. Raises ``UserError`` where it is not one of sequences."""
    likelihood = module.vae.likelihood
    if not isinstance(likelihood, AutoregressiveLikelihood):
        raise UserError(
            f"Sentences need a model of sequences, and this is a {display_name(module)} of vectors. Its samples and "
            "reconstructions are in the picture latents.png beside its result."
        )
    return likelihood


def _said(line: str) -> str:
    """A sentence without words is shown as such."""
    return line if line.strip() else line + "(no word)"


def _diversity(module: VAEModule, said: list[str]) -> Diversity:
    sentence, most = Counter(said).most_common(1)[0]
    return Diversity(len(said), len(set(said)), most / len(said), sentence, likelihood_of(module).wiring != "none")


def _prior_draws(module: VAEModule, count: int) -> Float[Tensor, "N M"]:
    with torch.no_grad():
        prior = module.vae.prior()
        return prior.sample(count, generator("texts", device=prior.mean.device))
