"""The numbers of Figure 3: PPCA's posteriors at the paper's parameters, at the fit, and along two sweeps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import log, nan, pi
from typing import Any

import torch

from lid_vae.classical.ppca import PPCA, fit, sample_covariance
from lid_vae.errors import UserError
from lid_vae.figure.numbers import Number
from lid_vae.figure.options import check_number, check_options, check_rows
from lid_vae.noise import generator
from lid_vae.shapes import Float, Tensor
from lid_vae.system.phases import watched

__all__ = ["FIT", "PAPER", "Truth", "large_sample_law", "noise_sweep", "numbers_at", "sample_size_sweep"]

PAPER, FIT = "paper", "maximum likelihood"
MEAN = "mean over the data"
ACTIVE = 0.01  # Burda et al. (2016): the variance of a posterior mean from which its direction counts as active


@dataclass(frozen=True)
class Truth:
    """The PPCA that generates a data set, with zero mean and ``noise_variance``.

    ``weight`` has one row per true direction.
    """

    weight: Sequence[Sequence[float]]
    noise_variance: float

    @classmethod
    def from_options(cls, name: str, options: Mapping[str, Any]) -> "Truth":
        """From ``options``; ``UserError``, by their ``name``, for any that are not a weight's rows and a number."""
        check_options(name, options, weight=check_rows, noise_variance=check_number)
        return cls(**options)

    @property
    def model(self) -> PPCA:
        """The generating model, in principal axes."""
        weight = torch.tensor(self.weight, dtype=torch.float64)
        return PPCA(weight, self.noise_variance, weight.new_zeros(weight.shape[1])).in_principal_axes()

    def with_directions(self, latent: int) -> PPCA:
        """The paper's maximum-likelihood parameters for ``latent`` directions: weight 0 for each that the truth lacks.

        Raises ``UserError`` for fewer directions than the truth has.
        """
        model = self.model
        idle = latent - len(model.weight)
        if idle < 0:
            raise UserError(
                f"The data have {len(model.weight)} true directions, the model only {latent}. Give figure.latent at "
                f"least {len(model.weight)}."
            )
        weight = torch.cat([model.weight, model.weight.new_zeros(idle, model.weight.shape[1])])
        return PPCA(weight, model.noise_variance, model.mean)


def numbers_at(case: str, parameters: str, model: PPCA, x: Float[Tensor, "N D"]) -> list[Number]:
    """KL by direction, information, log-likelihood and active directions of ``model`` on ``x``, in principal axes.

    ``case`` names the data, ``parameters`` says whose the model's are. At the fit the references are Tipping and
    Bishop's closed forms in the eigenvalues, exact on these very data; at the paper's parameters they are the
    population's values, from which N samples stray by the standard error.
    """
    ratio_L, source = _ratios(parameters, model, x)
    covariance_DD = sample_covariance(x, center=False)
    features, noise = x.shape[1], model.noise_variance
    # log det of the covariance: log(noise) once for each feature, plus log of the ratio once for each direction.
    exact_log_likelihood = -0.5 * (features * log(2 * pi * noise) + float(ratio_L.log().sum()) + features)
    log_likelihood_N = model.log_likelihood(x)
    active_L = model.posterior_mean_variance(covariance_DD) >= ACTIVE
    number = partial(Number, case, parameters)
    return [
        *kl_numbers(case, parameters, model, x),
        number(
            "I(x; z)",
            "quadrature, these data's aggregate",
            model.empirical_information(x),
            model.gaussian_information(covariance_DD),
            "closed form for Gaussian x of the same covariance, an upper bound",
        ),
        number(
            "log-likelihood per example",
            MEAN,
            float(log_likelihood_N.mean()),
            exact_log_likelihood,
            f"-1/2 (D log(2 pi noise) + sum of log ratios + D), {source}",
            standard_error=_standard_error(parameters, log_likelihood_N),
        ),
        number(
            "active directions",
            "variance of E[z | x] at least 0.01",
            float(active_L.sum()),
            float((1 - 1 / ratio_L >= ACTIVE).sum()),
            f"1 - 1 / ratio at least 0.01, {source}",
            "directions",
        ),
    ]


def kl_numbers(case: str, parameters: str, model: PPCA, x: Float[Tensor, "N D"], at: float = nan) -> list[Number]:
    """Each direction's mean KL beside 1/2 log of its ratio."""
    ratio_L, source = _ratios(parameters, model, x)
    number = partial(Number, case, parameters, method=MEAN, exact_source=f"1/2 log ratio, {source}", at=at)
    numbers = []
    for d, (kl_N, exact) in enumerate(zip(model.kl_per_direction(x).T, 0.5 * ratio_L.log(), strict=True), start=1):
        error = _standard_error(parameters, kl_N)
        numbers.append(
            number(f"KL of direction {d}", value=float(kl_N.mean()), exact=float(exact), standard_error=error)
        )
    return numbers


def _ratios(parameters: str, model: PPCA, x: Float[Tensor, "N D"]) -> tuple[Float[Tensor, " L"], str]:
    """Variance along each principal axis over the noise variance, and where it is from."""
    if parameters == FIT:
        value_D = torch.linalg.eigvalsh(sample_covariance(x, center=False)).flip(0)
        return value_D[: len(model.weight)] / model.noise_variance, "ratio = eigenvalue of these data / noise variance"
    return 1 + model.weight.square().sum(1) / model.noise_variance, "ratio = 1 + weight^2 / noise variance, population"


def _standard_error(parameters: str, value_N: Float[Tensor, " N"]) -> float:
    return nan if parameters == FIT else float(value_N.std()) / len(value_N) ** 0.5


def noise_sweep(truth: Truth, latent: int, samples: int, noise_variances: Sequence[float], seed: int) -> list[Number]:
    """KL of each direction as the noise grows, at the true parameters and at the fit to as many samples.

    ``truth`` is taken at each of ``noise_variances``; ``samples`` are drawn, a function of ``seed``, and fitted by
    ``latent`` directions.
    """
    numbers = []
    for noise in watched(noise_variances, "figure 3: noise variances", len(noise_variances)):
        model = Truth(truth.weight, noise).with_directions(latent)
        x = model.sample(samples, generator(seed, "figure 3", "noise", repr(float(noise))))
        numbers += kl_numbers("noise sweep", PAPER, model, x, noise)
        numbers += kl_numbers("noise sweep", FIT, fit(x, latent, center=False), x, noise)
    return numbers


def sample_size_sweep(truth: Truth, latent: int, sizes: Sequence[int], repeats: int, seed: int) -> list[Number]:
    """At the fit to N samples: the first idle direction's KL and the number of active directions, means over repeats.

    The samples are draws of ``truth``, ``repeats`` times for each of ``sizes``, functions of ``seed``; the fit has
    ``latent`` directions. The reference is computed from the eigenvalues alone; ``large_sample_law`` gives what both
    tend to.
    """
    true = truth.with_directions(latent)
    idle = len(truth.model.weight)
    if idle >= latent:
        raise UserError(f"The sweep over sample sizes needs an idle direction: figure.latent above {idle}.")
    law = large_sample_law(true.weight.shape[1] - idle, latent - idle)
    number = partial(Number, "sample size sweep", FIT)
    name, method = f"KL of direction {idle + 1}", f"mean over {repeats} data sets"
    source = "1/2 log of (eigenvalue / noise variance), same data"
    numbers = []
    for size in watched(sizes, "figure 3: sample sizes", len(sizes), sizes):
        rows = []
        for repeat in range(repeats):
            x = true.sample(size, generator(seed, "figure 3", "samples", size, repeat))
            model = fit(x, latent, center=False)
            ratio_L, _ = _ratios(FIT, model, x)
            variance_L = model.posterior_mean_variance(sample_covariance(x, center=False))
            kl = float(model.kl_per_direction(x)[:, idle].mean())
            active = float((variance_L >= ACTIVE).sum())
            rows.append([kl, 0.5 * float(ratio_L[idle].log()), active, float((1 - 1 / ratio_L >= ACTIVE).sum())])
        table = torch.tensor(rows, dtype=torch.float64)
        mean, error = table.mean(0).tolist(), (table.std(0) / repeats**0.5).tolist()
        numbers += [
            number(name, method, mean[0], mean[1], source, standard_error=error[0], at=size),
            number(name, "large-sample law", law / size**0.5, at=size),
            number("active directions", method, mean[2], mean[3], source, "directions", error[2], size),
        ]
    return numbers


def large_sample_law(idle_features: int, idle_latent: int, draws: int = 100_000) -> float:
    """c such that the first idle direction's mean KL tends to c / sqrt(N) nats.

    ``idle_features`` is k, the dimensions that are noise alone, and ``idle_latent`` how many directions are fitted to
    them. The sample covariance of pure noise, N(0, I_k), is I + G / sqrt(N) for large N, with G symmetric Gaussian, of
    variance 2 on the diagonal and 1 off it (Anderson, 1963). The KL is 1/2 log of (largest eigenvalue / mean of those
    left to the noise), so it tends to 1/2 (largest - mean of the rest of G's eigenvalues) / sqrt(N), whose expectation
    is averaged here over ``draws`` of G.
    """
    noise = torch.randn(
        draws, idle_features, idle_features, generator=generator("large-sample law"), dtype=torch.float64
    )
    value = torch.linalg.eigvalsh((noise + noise.mT) / 2**0.5)
    return float(0.5 * (value[:, -1] - value[:, : idle_features - idle_latent].mean(1)).mean())
