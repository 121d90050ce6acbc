"""The toy language of He et al. (2019, arXiv:1901.05534, appendix B): sentences of a random LSTM that hears z."""

__all__ = ["ToyLanguage"]

import torch

from lid_vae.noise import generator
from lid_vae.shapes import Float, Int, Tensor

_CENTRES = ((-2.0, -2.0), (2.0, 2.0), (-2.0, 2.0), (2.0, -2.0))
_BLOCK = 500  # sentences at a time, so that their probabilities stay in the cache


class ToyLanguage:
    """p(sentence) of a fixed random network, in float64, so that machines agree on the sentences.

    z is of one of four Gaussians of unit variance around (+-2, +-2). An LSTM of 100 ``units`` reads the word before (an
    embedding of 100) and z, and starts from a linear map of z; the next word's logits are linear in its state and in z.
    Weights are uniform in [-1, 1], those from z to the logits in [-z_weight, z_weight] (5 in the paper). The first word
    is uniform, as in the authors' code. All weights follow from ``seed``; the language has ``words`` words (1000 in the
    paper).
    """

    components = len(_CENTRES)

    def __init__(self, seed: int, words: int = 1000, units: int = 100, z_weight: float = 5.0) -> None:
        rng = generator(seed, "toy language")

        def uniform(bound: float, *shape: int) -> Tensor:
            return (2 * torch.rand(*shape, generator=rng, dtype=torch.float64) - 1) * bound

        self.seed, self.words = seed, words
        self.embedding = uniform(1.0, words, units)
        self.gates = uniform(1.0, units + 2 + units, 4 * units)
        self.gate_bias = uniform(1.0, 4 * units) + uniform(1.0, 4 * units)
        self.start = uniform(1.0, 2, units)
        self.from_state = uniform(1.0, units, words)
        self.from_z = uniform(z_weight, 2, words)

    def sample(self, part: str, size: int, length: int) -> tuple[Int[Tensor, "N T"], Int[Tensor, " N"]]:
        """``size`` sentences of ``length`` words (from 0) and their components, a function of seed and ``part``."""
        rng = generator(self.seed, "toy language", part)
        component = torch.randint(self.components, (size,), generator=rng)
        centre = torch.tensor(_CENTRES, dtype=torch.float64)[component]
        z = centre + torch.randn(size, 2, generator=rng, dtype=torch.float64)
        place = torch.rand(size, length, generator=rng, dtype=torch.float64)
        blocks = zip(z.split(_BLOCK), place.split(_BLOCK), strict=True)
        return torch.cat([self._sentences(*block) for block in blocks]), component

    def _sentences(self, z: Float[Tensor, "N 2"], place: Float[Tensor, "N T"]) -> Int[Tensor, "N T"]:
        """Sentences of z; each word is where ``place``, uniform in [0, 1), falls in its cumulated probabilities."""
        cell = z @ self.start
        state = cell.tanh()
        from_z = z @ self.from_z
        word = (place[:, 0] * self.words).long()
        sentence = [word]
        for step in range(1, place.shape[1]):
            state, cell = self._step(word, z, state, cell)
            logits = (state @ self.from_state).add_(from_z)
            cumulated = logits.sub_(logits.amax(1, keepdim=True)).exp_().cumsum(1)
            target = place[:, step : step + 1] * cumulated[:, -1:]
            word = torch.searchsorted(cumulated, target, right=True).squeeze(1).clamp_max(self.words - 1)
            sentence.append(word)
        return torch.stack(sentence, 1)

    def _step(
        self, word: Int[Tensor, " N"], z: Float[Tensor, "N 2"], state: Float[Tensor, "N H"], cell: Float[Tensor, "N H"]
    ) -> tuple[Float[Tensor, "N H"], Float[Tensor, "N H"]]:
        """The LSTM's state and cell after ``word``."""
        drive = torch.cat([self.embedding[word], z, state], 1) @ self.gates + self.gate_bias
        admit, forget, candidate, emit = drive.chunk(4, 1)
        cell = forget.sigmoid() * cell + admit.sigmoid() * candidate.tanh()
        return emit.sigmoid() * cell.tanh(), cell
