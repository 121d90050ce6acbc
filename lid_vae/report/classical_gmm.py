"""The numbers of Figure 4: the posterior of the mixture's weight by quadrature, NUTS and mean field."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from lid_vae.classical.gmm import GaussianMixture, compress
from lid_vae.classical.gmm_fit import MixtureFit, fit_mixture
from lid_vae.classical.mean_field import MeanField, mean_field
from lid_vae.classical.quadrature import WeightPosterior
from lid_vae.classical.sampling import Chains, sample_weight
from lid_vae.noise import generator
from lid_vae.report.classical_numbers import Number
from lid_vae.report.classical_ppca import FIT, PAPER
from lid_vae.report.classical_reference import reference_posterior
from lid_vae.shapes import Float, Tensor

__all__ = ["Clusters", "Nuts", "Panel", "collapse_share", "make_panels", "sample_size_sweep"]


@dataclass(frozen=True)
class Clusters:
    """A data set of A.2: its weight, means and scales, which are also the parameters that the paper names."""

    alpha: float
    mean: Sequence[float]
    scale: Sequence[float]

    @property
    def mixture(self) -> GaussianMixture:
        """The generating components under the prior of the model."""
        return GaussianMixture(tuple(self.mean), tuple(self.scale))

    def sample(self, count: int, seed: int, *key: int | str) -> Float[Tensor, " N"]:
        """The data set of this size and seed."""
        return self.mixture.sample(self.alpha, count, generator(seed, "figure 4", *key))


@dataclass(frozen=True)
class Nuts:
    """How long to sample; ``chains`` = 0 leaves the sampler out."""

    chains: int = 4
    samples: int = 1000
    warmup: int = 300


@dataclass(frozen=True)
class Panel:
    """One data set at one set of parameters, with every posterior of its weight."""

    case: str
    parameters: str
    mixture: GaussianMixture
    x: Float[Tensor, " N"]
    exact: WeightPosterior
    variational: MeanField
    chains: Chains | None
    fit: MixtureFit | None

    def numbers(self) -> list[Number]:
        """Mean, standard deviation and KL to the prior, by each method, beside an independent computation."""
        (mean, deviation, kl), source = reference_posterior(self.mixture, self.x, self.exact)
        by_quadrature = (self.exact.mean, self.exact.standard_deviation, self.exact.kl)
        q = self.variational.distribution
        by_mean_field = (float(q.mean), float(q.stddev), self.variational.kl)
        names, units = ("posterior mean", "posterior standard deviation", "KL to the prior"), ("", "", "nats")
        numbers = []
        for method, values in (("quadrature", by_quadrature), ("mean field", by_mean_field)):
            for name, value, exact, unit in zip(names, values, (mean, deviation, kl), units, strict=True):
                numbers.append(Number(self.case, self.parameters, name, method, value, exact, source, unit))
        template = Number(self.case, self.parameters, "", "NUTS", 0.0, unit="")
        if self.chains is not None:
            c = self.chains
            numbers += [
                replace(
                    template,
                    quantity=names[0],
                    value=c.mean,
                    exact=mean,
                    exact_source=source,
                    standard_error=c.standard_error,
                ),
                replace(template, quantity=names[1], value=c.standard_deviation, exact=deviation, exact_source=source),
                replace(template, quantity="R-hat", value=c.r_hat, exact=1.0, exact_source="limit of long chains"),
                replace(template, quantity="effective sample size", value=c.effective_size, unit="draws"),
            ]
        if self.fit is not None:
            gain = self.fit.log_evidence - self.fit.collapsed_log_evidence
            template = replace(template, method="marginal maximum likelihood")
            numbers.append(replace(template, quantity="log evidence over equal components", value=gain, unit="nats"))
            for k in range(2):
                numbers.append(replace(template, quantity=f"mean of component {k + 1}", value=self.mixture.mean[k]))
                numbers.append(replace(template, quantity=f"scale of component {k + 1}", value=self.mixture.scale[k]))
        return numbers


def make_panels(case: str, clusters: Clusters, samples: int, nuts: Nuts, seed: int) -> list[Panel]:
    """The data set at the paper's parameters and at the fit."""
    x = clusters.sample(samples, seed, case)
    light, fit = compress(x), fit_mixture(x)
    panels = []
    for parameters, mixture, found in ((PAPER, clusters.mixture, None), (FIT, fit.mixture, fit)):
        chains = None
        if nuts.chains > 0:
            key = (seed, "figure 4", case, parameters)
            chains = sample_weight(mixture, *light, key=key, **vars(nuts))
        exact, variational = mixture.posterior(x), mean_field(mixture, x)
        panels.append(Panel(case, parameters, mixture, x, exact, variational, chains, found))
    return panels


def sample_size_sweep(case: str, clusters: Clusters, samples: int, seed: int) -> list[Number]:
    """KL to the prior at the paper's parameters on the first 2, 5, 10, 20, 50, ... of the panel's samples."""
    x, numbers = clusters.sample(samples, seed, case), []
    steps = [s * 10**p for p in range(9) for s in (1, 2, 5) if 2 <= s * 10**p < samples] + [samples]
    for count in steps:
        posterior = clusters.mixture.posterior(x[:count])
        (_, _, kl), source = reference_posterior(clusters.mixture, x[:count], posterior)
        numbers.append(Number(case, PAPER, "KL to the prior", "quadrature", posterior.kl, kl, source, at=count))
    return numbers


def collapse_share(case: str, clusters: Clusters, samples: int, replicates: int, seed: int) -> list[Number]:
    """How often the fitted maximum has equal components, over fresh data sets, and how far the others are from it."""
    kl, collapsed = [], []
    for replicate in range(replicates):
        x = clusters.sample(samples, seed, case, "replicate", replicate)
        fit = fit_mixture(x)
        collapsed.append(fit.collapsed)
        kl.append(0.0 if fit.collapsed else fit.mixture.posterior(x).kl)
    share = sum(collapsed) / replicates
    error = (share * (1 - share) / replicates) ** 0.5
    method = f"{replicates} data sets of {samples:,}"
    numbers = [Number(case, FIT, "share that collapses", method, share, unit="", standard_error=error)]
    split = [k for k, c in zip(kl, collapsed, strict=True) if not c]
    if split:
        numbers.append(Number(case, FIT, "median KL of those that split", method, float(np.median(split))))
    return numbers
