"""Sentences that a user asks a model for: samples, and what lies between sentences of their own."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice, pairwise
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence

from lid_vae.data.base import Part
from lid_vae.data.text.text_data_module import TextDataModule
from lid_vae.data.text.text_file import decode_text, read_text
from lid_vae.errors import UserError
from lid_vae.noise import derive_seed, generator
from lid_vae.shapes import Tensor
from lid_vae.symbols import PADDING
from lid_vae.system.files import expanded
from lid_vae.text.decoding import DRAWN, decoder
from lid_vae.text.texts import Section, Texts, decoded, interpolation, part_of, prior_diversity, sampled, sentences
from lid_vae.train.display_name import display_name
from lid_vae.train.posterior_mean import STEPS, between, posterior_mean
from lid_vae.train.vae_module import VAEModule

__all__ = ["TextRequest", "text_request"]

SEPARATOR = "|"
HOW_TO_ASK = (
    f'Write interpolate="a sentence{SEPARATOR}another", words apart by spaces; each line of interpolate_file= likewise.'
)


@dataclass(frozen=True)
class TextRequest:
    """Sentences that are wanted of a model.

    ``sample`` sentences from the prior; for each of ``chains`` what lies between each of its sentences and the next.
    ``strategy`` and ``options`` are those of ``decoder``. ``reconstruct``: so many sentences of a split, each with what
    it is reconstructed to.
    """

    sample: int
    chains: list[list[str]]
    strategy: str
    options: dict[str, Any]
    reconstruct: int = 0

    def digest(self, *more: object) -> str:
        """Eight letters that tell requests apart, and what ``more`` an answer depends on."""
        asked = (self.sample, self.chains, self.strategy, sorted(self.options.items()))
        more = (*([self.reconstruct] if self.reconstruct else []), *more)
        return f"{derive_seed(repr((*asked, *more))) & 0xFFFFFFFF:08x}"

    def answer(self, modules: Sequence[VAEModule], data: TextDataModule, split: Part) -> Texts:
        """What the models in ``modules`` say, in the words of ``data``; what is reconstructed is of its ``split``.

        Raises ``UserError`` for a word that the vocabulary lacks, and a sentence without words.
        """
        names = _names(modules)
        sections = [self._reconstructions(modules, names, data, split)] if self.reconstruct else []
        verdicts = []
        for module, name in zip(modules, names, strict=True):
            of = f"{name}. " if len(modules) > 1 else ""
            sections += [replace(section, title=of + section.title) for section in self._said(module, data)]
            if self.sample:
                verdicts.append(of + prior_diversity(module, data).verdict())
        return Texts(f"{' and '.join(names)} on {data.name}", "\n".join(verdicts), sections)

    def _reconstructions(
        self, modules: Sequence[VAEModule], names: Sequence[str], data: TextDataModule, split: Part
    ) -> Section:
        part = part_of(data, split)
        chosen = torch.randperm(len(part), generator=generator("texts", "rows"))[: self.reconstruct]
        x, decode = part.batch(chosen).x, decoder(self.strategy, **self.options)
        again = [decoded(module, data, posterior_mean(module, x), decode) for module in modules]
        return Section(
            f"Reconstructions: a sentence, and below it what its posterior mean decodes to ({self.strategy})",
            [list(lines) for lines in zip(sentences(data, x), *again, strict=True)],
            compared=True,
            names=tuple(names) if len(names) > 1 else (),
        )

    def _said(self, module: VAEModule, data: TextDataModule) -> list[Section]:
        """Samples of one model, and what lies between sentences."""
        encoded = [[data.encode(sentence) for sentence in chain] for chain in self.chains]
        decode = decoder(self.strategy, **self.options)
        sections = []
        how = "drawn" if self.strategy in DRAWN else "searched"
        said = f"({self.strategy}, {how})" if self.strategy != "greedy" else "(greedy)"
        if self.sample:
            samples = sampled(module, data, self.sample, decode)
            sections.append(Section(f"Samples: z from the prior {said}", [[line] for line in samples]))
        ends: list[tuple[str, str]] = []
        lines: list[Tensor] = []
        for chain, symbols in zip(self.chains, encoded, strict=True):
            x = pad_sequence([torch.tensor(row) for row in symbols], batch_first=True, padding_value=PADDING)
            ends += pairwise(chain)
            lines += [between(*pair) for pair in pairwise(posterior_mean(module, x.to(module.device)))]
        if lines:
            found = iter(decoded(module, data, torch.cat(lines), decode))
            passages = [interpolation(*pair, islice(found, STEPS)) for pair in ends]
            sections.append(Section(f"Interpolations: between posterior means, on a straight line {said}", passages))
        return sections


def text_request(
    sample: int | None,
    interpolate: str | None,
    interpolate_file: str | None,
    strategy: str,
    reconstruct: int | None = None,
    **options: Any,
) -> TextRequest | None:
    """What the options ask for; None for nothing.

    ``sample`` is how many draws of the prior to decode, by ``strategy``, and ``reconstruct`` how many sentences.
    ``interpolate`` is two sentences or more with ``|`` between, ``interpolate_file`` a file of such lines, and of empty
    ones between them; ``options`` are those of ``decoder``. Raises ``UserError`` for what is not so.
    """
    decoder(strategy, **options)
    chains = []
    if interpolate is not None:
        chains.append(_chain(interpolate, "interpolate="))
    if interpolate_file is not None:
        path = expanded(interpolate_file)
        lines = decode_text(read_text(path), path).split("\n")
        asked = [_chain(line, f"Line {number} of {path}") for number, line in enumerate(lines, start=1) if line.strip()]
        if not asked:
            raise UserError(f"{path} holds no lines. {HOW_TO_ASK}")
        chains += asked
    if not (sample or chains or reconstruct):
        return None
    return TextRequest(sample or 0, chains, strategy, options, reconstruct or 0)


def _names(modules: Sequence[VAEModule]) -> list[str]:
    """Those of the models; of two that are called alike, with numbers."""
    names = [display_name(module) for module in modules]
    return names if len(set(names)) == len(names) else [f"{name} {k}" for k, name in enumerate(names, start=1)]


def _chain(text: str, place: str) -> list[str]:
    found = [" ".join(part.split()) for part in text.split(SEPARATOR)]
    if len(found) < 2 or not all(found):
        raise UserError(f'{place} "{text}" is not two sentences with {SEPARATOR} between. {HOW_TO_ASK}')
    return found
