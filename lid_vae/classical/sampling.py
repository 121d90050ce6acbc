"""The posterior of the mixture's weight by NUTS, four chains with their diagnostics; needs Pyro (extra ``bayes``)."""

from dataclasses import dataclass
from importlib.util import find_spec

import torch
from torch.nn.functional import logsigmoid

from lid_vae.classical.gmm import GaussianMixture, WeightLikelihood
from lid_vae.errors import UserError
from lid_vae.noise import derive_seed
from lid_vae.shapes import Float, Tensor

__all__ = ["Chains", "require_pyro", "sample_weight"]


@dataclass(frozen=True)
class Chains:
    """Draws of alpha by C chains, S each, with their diagnostics (Vehtari et al. 2021).

    ``alpha`` [C, S] are the draws, ``r_hat`` is split R-hat, near 1 where the chains agree, and ``effective_size`` how
    many independent draws would estimate the mean as well, over all chains.
    """

    alpha: Float[Tensor, "C S"]
    r_hat: float
    effective_size: float

    @property
    def mean(self) -> float:
        """The posterior mean, as estimated from all chains."""
        return float(self.alpha.mean())

    @property
    def standard_deviation(self) -> float:
        """The posterior standard deviation, as estimated from all chains."""
        return float(self.alpha.std())

    @property
    def standard_error(self) -> float:
        """Monte Carlo standard error of ``mean``."""
        return self.standard_deviation / self.effective_size**0.5

    @property
    def mixed(self) -> bool:
        """R-hat at most 1.01 and at least 100 effective draws a chain, as Vehtari et al. (2021) ask; False for NaN."""
        return self.r_hat <= 1.01 and self.effective_size >= 100 * len(self.alpha)


def sample_weight(
    mixture: GaussianMixture,
    x: Float[Tensor, " N"],
    count: Float[Tensor, " N"] | None = None,
    *,
    key: tuple[int | str, ...],
    chains: int = 4,
    samples: int = 1000,
    warmup: int = 300,
) -> Chains:
    """alpha | x_1..x_N at the means and scales of ``mixture``, by Pyro's No-U-Turn sampler (Hoffman and Gelman 2014).

    Each chain starts from its own point, logit(alpha) uniform in (-2, 2), and from random numbers that are a function
    of ``key`` and its number; the process's own generator is left as it was. ``samples`` draws of each of ``chains``
    chains are kept, after ``warmup`` that adapt the step and the mass. The likelihood is one vectorised pass over the
    data ``x``; with ``count``, over what ``compress`` made of them. Raises ``UserError`` without Pyro, and for fewer
    than two chains or four draws, where the diagnostics have no meaning.
    """
    require_pyro()
    from pyro.ops.stats import effective_sample_size, split_gelman_rubin

    if chains < 2 or samples < 4 or warmup < 0:
        raise UserError(
            f"NUTS needs at least 2 chains of 4 draws and no negative warm-up, got {chains} chains of {samples} draws "
            f"after {warmup}. R-hat compares chains, so one alone cannot be judged; the usual choice is 4 of 1000."
        )
    likelihood = mixture.likelihood(x, count)
    draws = torch.stack([_chain(likelihood, mixture, (*key, "chain", c), samples, warmup) for c in range(chains)])
    return Chains(draws, float(split_gelman_rubin(draws, 0, 1)), float(effective_sample_size(draws, 0, 1)))


def require_pyro() -> None:
    """Raises ``UserError`` where Pyro is not installed."""
    if find_spec("pyro") is None:
        raise UserError(
            "Sampling the posterior by NUTS needs Pyro, which is not installed. Run: pip install -e '.[bayes]'. Or "
            "leave the sampler out with figure.nuts.chains=0: everything else in the figure is exact without it."
        )


def _chain(
    likelihood: WeightLikelihood, mixture: GaussianMixture, key: tuple[int | str, ...], samples: int, warmup: int
) -> Float[Tensor, " S"]:
    from pyro.infer import MCMC, NUTS

    first, second = mixture.concentration
    reference = float(likelihood.log_prob(torch.tensor([first / (first + second)], dtype=torch.float64)))

    def potential(state: dict[str, Tensor]) -> Tensor:
        """-log p(logit alpha | x) up to a constant: a Beta density in the logit is alpha^a (1 - alpha)^b."""
        logit = state["logit"]
        prior = first * logsigmoid(logit) + second * logsigmoid(-logit)
        return reference - prior - likelihood.log_prob(logit.sigmoid()[None])[0]

    with torch.random.fork_rng(devices=[]):  # Pyro draws from the process's generator
        torch.manual_seed(derive_seed(*key))
        start = 4 * torch.rand((), dtype=torch.float64) - 2
        # A potential and not a Pyro model: the same sampler, without tracing the model at each step, twice as fast.
        sampler = MCMC(
            NUTS(potential_fn=potential),
            num_samples=samples,
            warmup_steps=warmup,
            initial_params={"logit": start},
            disable_progbar=True,
        )
        sampler.run()
    return sampler.get_samples()["logit"].sigmoid()
