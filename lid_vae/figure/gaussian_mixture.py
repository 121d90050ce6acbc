"""The numbers of Figure 4: the posterior of the mixture's weight by quadrature, NUTS and mean field."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from lid_vae.classical.gmm import GaussianMixture, compress
from lid_vae.classical.gmm_fit import MixtureFit, fit_mixture
from lid_vae.classical.mean_field import MeanField, mean_field
from lid_vae.classical.quadrature import WeightPosterior
from lid_vae.classical.sampling import Chains, sample_weight
from lid_vae.figure.numbers import Number
from lid_vae.figure.options import check_number, check_numbers, check_options
from lid_vae.figure.ppca import FIT, PAPER
from lid_vae.figure.reference import reference_posterior
from lid_vae.noise import generator
from lid_vae.run.plan import check_whole
from lid_vae.shapes import Float, Tensor

__all__ = ["Clusters", "Nuts", "Panel", "collapse_share", "make_panels", "sample_size_sweep"]


@dataclass(frozen=True)
class Clusters:
    """A data set of A.2: ``alpha``, ``mean`` and ``scale``, which are also the parameters that the paper names."""

    alpha: float
    mean: Sequence[float]
    scale: Sequence[float]

    @classmethod
    def from_options(cls, name: str, options: Mapping[str, Any]) -> "Clusters":
        """From ``options``; ``UserError``, by their ``name``, unless they are a number and two lists of numbers."""
        check_options(name, options, alpha=check_number, mean=check_numbers, scale=check_numbers)
        return cls(**options)

    @property
    def mixture(self) -> GaussianMixture:
        """The generating components under the prior of the model."""
        return GaussianMixture(tuple(self.mean), tuple(self.scale))

    def sample(self, count: int, seed: int, *key: int | str) -> Float[Tensor, " N"]:
        """The data set of ``count`` draws, a function of ``seed`` and ``key``."""
        return self.mixture.sample(self.alpha, count, generator(seed, "figure 4", *key))


@dataclass(frozen=True)
class Nuts:
    """How long to sample: ``chains`` of ``samples`` draws each, after ``warmup``; no chains leave the sampler out."""

    chains: int = 4
    samples: int = 1000
    warmup: int = 300

    @classmethod
    def from_options(cls, name: str, options: Mapping[str, Any]) -> "Nuts":
        """From ``options``; ``UserError``, by their ``name``, unless they are three whole numbers, none negative."""
        whole = partial(check_whole, least=0)
        check_options(name, options, chains=whole, samples=whole, warmup=whole)
        return cls(**options)


@dataclass(frozen=True)
class Panel:
    """One data set, ``x``, at one set of parameters, with every posterior of its weight.

    ``case`` names the data and ``parameters`` says whose they are, the paper's or the fit's; ``mixture`` holds them.
    ``exact`` is the posterior by quadrature, ``variational`` by mean field, ``chains`` by NUTS (None: left out).
    ``fit`` is how the parameters were found; None for the paper's.
    """

    case: str
    parameters: str
    mixture: GaussianMixture
    x: Float[Tensor, " N"]
    exact: WeightPosterior
    variational: MeanField
    chains: Chains | None
    fit: MixtureFit | None
    over_paper: float
    """Log evidence of these parameters less that of the paper's, nats."""

    def numbers(self) -> list[Number]:
        """Mean, standard deviation and KL to the prior, by each method, beside an independent computation."""
        (mean, deviation, kl), source = reference_posterior(self.mixture, self.x, self.exact)
        p, q, c = self.exact, self.variational.distribution, self.chains
        number = partial(Number, self.case, self.parameters)
        numbers = []
        for method, found, spread, divergence in (
            ("quadrature", p.mean, p.standard_deviation, p.kl),
            ("mean field", float(q.mean), float(q.stddev), self.variational.kl),
        ):
            numbers += [
                number("posterior mean", method, found, mean, source, ""),
                number("posterior standard deviation", method, spread, deviation, source, ""),
                number("KL to the prior", method, divergence, kl, source),
            ]
        if c is not None:
            numbers += [
                number("posterior mean", "NUTS", c.mean, mean, source, "", c.standard_error),
                number("posterior standard deviation", "NUTS", c.standard_deviation, deviation, source, ""),
                number("R-hat", "NUTS", c.r_hat, 1.0, "limit of long chains", ""),
                number("effective sample size", "NUTS", c.effective_size, unit=""),
            ]
        if self.fit is not None:
            method = "marginal maximum likelihood"
            over_equal = self.fit.log_evidence - self.fit.collapsed_log_evidence
            numbers += [
                number("log evidence over equal components", method, over_equal),
                number("log evidence over the paper's", method, self.over_paper),
                *(number(f"mean of component {k + 1}", method, self.mixture.mean[k], unit="") for k in range(2)),
                *(number(f"scale of component {k + 1}", method, self.mixture.scale[k], unit="") for k in range(2)),
            ]
        return numbers


def make_panels(case: str, clusters: Clusters, samples: int, nuts: Nuts, seed: int) -> Iterator[Panel]:
    """The data set ``case`` at the paper's parameters and at the fit.

    ``samples`` draws of ``clusters``, a function of ``seed``; ``nuts`` says how long to sample the posterior.
    """
    x = clusters.sample(samples, seed, case)
    light, fit = compress(x), fit_mixture(x)
    paper = clusters.mixture.posterior(x).log_evidence
    for parameters, mixture, found in ((PAPER, clusters.mixture, None), (FIT, fit.mixture, fit)):
        chains = None
        if nuts.chains > 0:
            key = (seed, "figure 4", case, parameters)
            chains = sample_weight(mixture, *light, key=key, **vars(nuts))
        exact, variational = mixture.posterior(x), mean_field(mixture, x)
        gain = exact.log_evidence - paper
        yield Panel(case, parameters, mixture, x, exact, variational, chains, found, gain)


def sample_size_sweep(case: str, clusters: Clusters, samples: int, seed: int) -> list[Number]:
    """KL to the prior at the paper's parameters on the first 2, 5, 10, 20, 50, ... of the panel's ``samples``.

    ``case``, ``clusters`` and ``seed`` are those of ``make_panels``.
    """
    x, numbers = clusters.sample(samples, seed, case), []
    steps = [s * 10**p for p in range(9) for s in (1, 2, 5) if 2 <= s * 10**p < samples] + [samples]
    for count in steps:
        posterior = clusters.mixture.posterior(x[:count])
        (_, _, kl), source = reference_posterior(clusters.mixture, x[:count], posterior)
        numbers.append(Number(case, PAPER, "KL to the prior", "quadrature", posterior.kl, kl, source, at=count))
    return numbers


def collapse_share(case: str, clusters: Clusters, samples: int, replicates: int, seed: int) -> list[Number]:
    """How often the fitted maximum has equal components, and how far the others are from it.

    Over ``replicates`` fresh data sets, each of ``samples`` draws of ``clusters``, functions of ``seed``; ``case``
    names them.
    """
    split = []
    for replicate in range(replicates):
        x = clusters.sample(samples, seed, case, "replicate", replicate)
        fit = fit_mixture(x)
        if not fit.collapsed:
            split.append(fit.mixture.posterior(x).kl)
    share = (replicates - len(split)) / replicates
    error = (share * (1 - share) / replicates) ** 0.5
    method = f"{replicates} data sets of {samples:,}"
    numbers = [Number(case, FIT, "share that collapses", method, share, unit="", standard_error=error)]
    if split:
        numbers.append(Number(case, FIT, "median KL of those that split", method, float(np.median(split))))
    return numbers
