"""How often the intervals of the measures cover what they estimate, in a population where that is known exactly.

    python benchmarks/coverage.py --threads 1

A linear Gaussian model with a q(w | x) that is not its posterior: bound, likelihood, KL and mutual information have
closed forms, and so have the KL and the information of categories that depend on one of a few x. Nothing is trained.
Each replicate draws a data set anew and measures it as an evaluation does; the estimand is the population's, of data
sets without end, not that of the examples drawn.
"""

import math
import sys
from collections.abc import Sequence
from time import perf_counter
from typing import NamedTuple

import torch
from bench import begin, options_of, publish, table
from scipy import stats

NORMAL = stats.norm.ppf(0.975)
FALSE_ALARMS = 0.01


class Interval(NamedTuple):
    """Of one replicate; infinite to the side that a bound says nothing of."""

    low: float
    high: float


class Kind(NamedTuple):
    """An estimate: what it is of, its exact value, and whether its interval is to cover in 95 %, or at the least."""

    name: str
    exact: float
    two_sided: bool


class Gaussian:
    """x_d ~ N(0, 1 + a_d^2) given by w ~ N(0, I), a_d on the diagonal; q(w_d | x) = N(b_d x_d, s_d^2)."""

    def __init__(self) -> None:
        from lid_vae.likelihood import GaussianLikelihood
        from lid_vae.map import LinearMap
        from lid_vae.map.convex.positive import inverse_softplus
        from lid_vae.posterior import AmortizedPosterior, MLPEncoder
        from lid_vae.prior import StandardNormalPrior
        from lid_vae.vae import Autoencoder

        self.a = torch.tensor([1.5, 0.7, 0.12, 0.0], dtype=torch.float64)  # the third is just above AU's threshold
        self.data = 1 + self.a.square()  # the variance of x, with noise of 1
        self.b = 0.9 * self.a / self.data  # not the posterior's, which has no 0.9, and a smaller scale below
        self.s = 1.1 / self.data.sqrt()
        latent = len(self.a)
        likelihood = GaussianLikelihood(LinearMap(latent, latent), 1.0)
        posterior = AmortizedPosterior(MLPEncoder((latent,), 4), latent)
        self.vae = Autoencoder(StandardNormalPrior(latent), likelihood, posterior).double()
        with torch.no_grad():
            likelihood.map.layer.weight.copy_(self.a.diag())
            likelihood.map.layer.bias.zero_()
            scale = torch.tensor(1 - likelihood.scale_floor, dtype=torch.float64)
            likelihood.raw_scale.copy_(inverse_softplus(scale))  # in double precision

    def kinds(self) -> list[Kind]:
        mean_square = self.b.square() * self.data  # of q's mean
        variance = self.s.square()
        kl = 0.5 * (mean_square + variance - 1 - variance.log()).sum()
        information = 0.5 * torch.log1p(mean_square / variance).sum()
        evidence = -0.5 * (math.log(2 * math.pi) + self.data.log() + 1).sum()
        # E_q[log p(x | w)]: (x - a w)^2 has the mean (1 - a b)^2 x^2 + a^2 s^2
        error = (1 - self.a * self.b).square() * self.data + self.a.square() * variance
        bound = -0.5 * (math.log(2 * math.pi) + error).sum() - kl
        units = (mean_square >= 0.01).double().mean()
        return [
            Kind("ELBO", float(bound), True),
            Kind("KL(w), closed form", float(kl), True),
            Kind("KL(w), by draws", float(kl), True),
            Kind("LL, lower bound", float(evidence), False),
            Kind("MI(w), lower bound", float(information), False),
            Kind("MI(w), upper bound", float(information), False),
            Kind("AU(w)", float(units), False),
        ]

    def replicate(self, examples: int, samples: int, rng: torch.Generator) -> list[Interval]:
        from lid_vae.distribution import FlowGaussian
        from lid_vae.measure.batch import Noise, Ruler, measure_batch
        from lid_vae.metrics import ActiveUnits, ExampleMean, LogLikelihood, MutualInformation

        x = self.data.sqrt() * torch.randn(examples, len(self.a), generator=rng, dtype=torch.float64)
        q = FlowGaussian((self.b * x).unsqueeze(0), self.s.expand_as(x).unsqueeze(0), None, [])
        found = measure_batch(self.vae, lambda x, noise: q, x, Ruler(samples, rows=10**6), Noise(rng, rng))
        bound, exact, drawn, likelihood = ExampleMean(), ExampleMean(), ExampleMean(), LogLikelihood()
        bound.update(found["bound"])
        exact.update(found["divergence"])
        noise = self.vae.posterior.draw_noise(samples, examples, rng).double()
        with torch.no_grad():
            terms = self.vae.terms(x, q, noise)
        drawn.update((terms.log_posterior - terms.log_prior).mean((0, 1)))
        likelihood.update(found["evidence"].unsqueeze(0))
        information = MutualInformation()
        information.update(found["statistic"][0], found["natural"], found["normaliser"])
        lower, upper = information.values()
        units = ActiveUnits(torch.ones(len(self.a)))
        units.update(*found["w"])
        active = float(units.compute())
        return [
            *(interval(float(one.compute()), float(one.standard_error())) for one in (bound, exact, drawn)),
            below(float(likelihood.compute()), float(likelihood.standard_error())),
            below(float(lower.mean()), float(information.standard_error())),
            above(float(upper.mean()), float(upper.std() / examples**0.5)),
            Interval(active, active),
        ]


class Categories:
    """x one of four with equal probability; q(z | x) of five categories from a table; p(z) uniform."""

    def __init__(self) -> None:
        rng = torch.Generator().manual_seed(0)
        self.q = torch.softmax(1.5 * torch.randn(4, 5, generator=rng, dtype=torch.float64), -1)

    def kinds(self) -> list[Kind]:
        aggregate = self.q.mean(0)
        kl = (self.q * (self.q / 0.2).log()).sum(-1).mean()
        information = kl - (aggregate * (aggregate / 0.2).log()).sum()
        return [
            Kind("KL(z), exact q(z | x)", float(kl), True),
            Kind("MI(z), exact q(z | x)", float(information), True),
            Kind("MI(z), lower bound", float(information), False),
        ]

    def replicate(self, examples: int, samples: int, rng: torch.Generator) -> list[Interval]:
        from lid_vae.metrics import CategoricalMutualInformation, ExampleMean

        x = torch.randint(4, (examples,), generator=rng)
        exact, drawn, kl = CategoricalMutualInformation(), CategoricalMutualInformation(), ExampleMean()
        exact.update(self.q[x].unsqueeze(0))
        kl.update((self.q[x] * (self.q[x] / 0.2).log()).sum(-1))
        draws = torch.multinomial(self.q[x], samples, replacement=True, generator=rng)
        drawn.update(torch.nn.functional.one_hot(draws.mT, 5).double())
        return [
            interval(float(kl.compute()), float(kl.standard_error())),
            interval(float(exact.compute()), float(exact.standard_error())),
            below(float(drawn.compute()), float(drawn.standard_error())),
        ]


def interval(estimate: float, error: float) -> Interval:
    return Interval(estimate - NORMAL * error, estimate + NORMAL * error)


def below(estimate: float, error: float) -> Interval:
    """What a lower bound says: the value is above it, by the lower end of its interval."""
    return Interval(estimate - NORMAL * error, math.inf)


def above(estimate: float, error: float) -> Interval:
    return Interval(-math.inf, estimate + NORMAL * error)


class Covered(NamedTuple):
    """An estimate's coverage: ``p`` tests it, two-sided against 95 % or one-sided against less; corrected by Holm."""

    kind: Kind
    share: float
    p: float
    holds: bool


def coverage(
    source: Gaussian | Categories, replicates: int, examples: int, samples: int, seed: int
) -> list[tuple[Kind, int]]:
    """How many replicates cover, of each estimate."""
    from lid_vae.noise import generator

    kinds = source.kinds()
    hits = [0] * len(kinds)
    for number in range(replicates):
        rng = generator("coverage", type(source).__name__, seed, number)
        for place, found in enumerate(source.replicate(examples, samples, rng)):
            hits[place] += found.low - 1e-12 <= kinds[place].exact <= found.high + 1e-12
    return list(zip(kinds, hits, strict=True))


def judged(hits: Sequence[tuple[Kind, int]], replicates: int) -> list[Covered]:
    """Binomial tests at 1 % for all estimates together."""
    from lid_vae.report.numbers.comparison import holm

    raw = [
        float(stats.binomtest(n, replicates, 0.95, "two-sided" if kind.two_sided else "less").pvalue)
        for kind, n in hits
    ]
    return [Covered(kind, n / replicates, p, p > FALSE_ALARMS) for (kind, n), p in zip(hits, holm(raw), strict=True)]


def measure(replicates: int, examples: int, samples: int, seed: int = 0) -> list[Covered]:
    """The coverage of every estimate."""
    hits = [
        found
        for source in (Gaussian(), Categories())
        for found in coverage(source, replicates, examples, samples, seed)
    ]
    return judged(hits, replicates)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = options_of(__doc__, replicates=2000, samples=20, seed=0)
    parser.add_argument("--examples", nargs="+", type=int, default=[100, 500, 2000], help="of a data set")
    options = parser.parse_args(arguments)
    begin(options)
    rows, failed = [], []
    for examples in options.examples:
        start = perf_counter()
        for one in measure(options.replicates, examples, options.samples, options.seed):
            wanted = "95 %" if one.kind.two_sided else "at least 95 %"
            shares = f"{100 * one.share:.2f} %", f"{one.p:.3g}"
            holds = "yes" if one.holds else "NO"
            rows.append([one.kind.name, examples, wanted, f"{one.kind.exact:.4f}", *shares, holds])
            failed += [] if one.holds else [f"{one.kind.name} of {examples} examples"]
        print(f"{examples} examples: {perf_counter() - start:.0f} s", file=sys.stderr)
    lines = [
        f"{options.replicates:,} replicates with {options.samples} draws for each example; exact values of the",
        "population, in nats (AU: a share, which has no interval: covered where it is right). Intervals are 1.96",
        "standard errors to either side, of bounds to the side that they bound, where an unbiased estimate would be",
        "covered in 97.5 %. p: binomial test of the coverage against 95 % (of bounds, against less than 95 %), Holm's",
        f"correction for the estimates of equally many examples; holds: p above {FALSE_ALARMS:g}.",
        "",
        *table(["estimate", "examples", "to cover", "exact", "covered", "p", "holds"], rows),
        "",
        f"Does not cover: {', '.join(failed)}." if failed else "All cover.",
    ]
    publish("Coverage of intervals", options, lines)


if __name__ == "__main__":
    main()
