"""Mutual information under the whole set's aggregate posterior, with what is known of the KL as its control variate."""

from dataclasses import dataclass

import torch

from lid_vae.diagnosis.subject.base import ExponentialDraws, GenericDraws, LatentBatch
from lid_vae.metrics import MutualInformation
from lid_vae.metrics.control_variate import controlled
from lid_vae.metrics.mutual_information import information_terms
from lid_vae.noise import derive_seed, generator
from lid_vae.shapes import Float, Int, Tensor

__all__ = ["Aggregate", "Information"]

# Densities of pairs that are worth a few seconds: products of matrices, or distributions of any kind.
PAIRS, GENERIC_PAIRS = 200_000_000, 3_000_000
# Of generic densities at once.
AT_ONCE = 500_000
# Bytes of parameters of q; beyond, whole batches are left out at random.
LARGEST = 500_000_000


@dataclass(frozen=True)
class Information:
    """Bounds of I_q(x; z), ``lower`` and ``upper``, nats, with standard errors ``lower_error`` and ``upper_error``.

    ``draws`` examples were drawn for, and the aggregate is of ``aggregate`` ones. ``controlled``: whether the exact KL
    was the control variate.
    """

    lower: float
    lower_error: float
    upper: float
    upper_error: float
    draws: int
    aggregate: int
    controlled: bool


class Aggregate:
    """Collects q(z | x) of all examples, and a draw of each; in bounded memory.

    ``seed`` chooses what is left out where there is not enough of it.
    """

    def __init__(self, seed: int) -> None:
        self.seed, self.number, self.bytes = seed, 0, 0
        self.kept: list[tuple[int, LatentBatch]] = []

    def add(self, batch: LatentBatch) -> None:
        """One more ``batch``, whose ``draws`` are given."""
        assert batch.draws is not None
        self.kept.append((derive_seed("aggregate", self.seed, self.number), batch))
        self.number += 1
        self.bytes += batch.draws.size()
        while self.bytes > LARGEST and len(self.kept) > 1:
            last = max(range(len(self.kept)), key=lambda place: self.kept[place][0])
            left_out = self.kept.pop(last)[1].draws
            assert left_out is not None
            self.bytes -= left_out.size()

    def information(self) -> Information:
        """The bounds. Every example is in the aggregate; draws are of so many as there is time for."""
        batches = [batch for _, batch in self.kept]
        examples = sum(len(batch.mean[0]) for batch in batches)
        exponential = all(isinstance(batch.draws, ExponentialDraws) for batch in batches)
        width = max(_categories(batch) for batch in batches)
        pairs = (PAIRS if exponential else GENERIC_PAIRS) // width
        index = torch.arange(examples)
        if examples > (rows := max(min(examples, 100), pairs // examples)):
            index = torch.randperm(examples, generator=generator("rows", self.seed))[:rows].sort().values
        if exponential:
            device = batches[0].mean[0].device
            metric = MutualInformation(sync_on_compute=False).to(device)
            for batch in batches:
                assert isinstance(batch.draws, ExponentialDraws)
                draws = batch.draws
                metric.update(draws.statistic, draws.natural, draws.normaliser, draws.log_category)
            lower, upper = metric.values(index.to(device))
        else:
            lower, upper = _pairwise(batches, index)
        control = self._controls(batches, index, len(index) < examples)
        first, first_error = controlled(lower.cpu(), control)
        second, second_error = controlled(upper.cpu(), control)
        return Information(first, first_error, second, second_error, len(index), examples, bool(control))

    @staticmethod
    def _controls(
        batches: list[LatentBatch], index: Int[Tensor, " R"], partial: bool
    ) -> list[tuple[Tensor, float, float]]:
        """(values, expectation, the error of that): log q/p less its KL; of a part of the set also the KL itself."""
        found = []
        if all(batch.surplus is not None for batch in batches):
            surplus = torch.cat([batch.surplus for batch in batches if batch.surplus is not None]).cpu()
            found.append((surplus[index], 0.0, 0.0))
        if partial and all(batch.kl is not None for batch in batches):
            kl = torch.cat([batch.kl for batch in batches if batch.kl is not None]).double().cpu()
            found.append((kl[index], float(kl.mean()), float(kl.std() / len(kl) ** 0.5)))
        return found


def _categories(batch: LatentBatch) -> int:
    return len(batch.draws.natural) if isinstance(batch.draws, ExponentialDraws) else 1


def _pairwise(batches: list[LatentBatch], index: Int[Tensor, " R"]) -> tuple[Float[Tensor, " R"], Float[Tensor, " R"]]:
    """``MutualInformation.values`` for a q of any kind, whose densities are asked for pair by pair."""
    draws = [batch.draws for batch in batches if isinstance(batch.draws, GenericDraws)]
    z = torch.cat([one.z for one in draws])
    examples, device = len(z), z.device
    lower, upper = [], []
    for rows in index.to(device).split(max(1, AT_ONCE // examples)):
        points = z[rows].unsqueeze(1)
        with torch.no_grad():
            density = torch.cat([_densities(one, points) for one in draws], -1).double()
        terms = information_terms(density, rows)
        lower.append(terms[0])
        upper.append(terms[1])
    return torch.cat(lower), torch.cat(upper)


def _densities(draws: GenericDraws, points: Float[Tensor, "R 1 *event"]) -> Float[Tensor, "R B"]:
    """log q(z | x) of each point under each x."""
    count = len(draws.z)
    return draws.log_prob(draws.q, points.expand(len(points), count, *points.shape[2:]))
