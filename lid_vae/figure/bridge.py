"""The bridge: VAEs of this library fitted to PPCA's data and measured by its ruler, beside PPCA's exact values."""

from collections.abc import Callable
from functools import partial
from math import log
from typing import Any

import torch
from scipy.optimize import minimize_scalar

from lid_vae.classical.ppca import PPCA, fit, sample_covariance
from lid_vae.distribution.approximation import Approximation
from lid_vae.distribution.flow_gaussian import FlowGaussian
from lid_vae.figure.numbers import Number
from lid_vae.figure.ppca import ACTIVE
from lid_vae.likelihood.gaussian import GaussianLikelihood
from lid_vae.map.base import Aligned, InjectiveMap, Map
from lid_vae.map.composed import composed_brenier
from lid_vae.map.network.linear import LinearMap
from lid_vae.measure.evaluator import Evaluator
from lid_vae.noise import derive_seed, generator
from lid_vae.objective.elbo import ELBO
from lid_vae.posterior.amortized import AmortizedPosterior
from lid_vae.posterior.encoder import Encoder, MLPEncoder
from lid_vae.prior.standard_normal import StandardNormalPrior
from lid_vae.shapes import Float, Tensor
from lid_vae.vae import Autoencoder

__all__ = [
    "brenier_vae",
    "fit_brenier",
    "fit_linear",
    "fit_with_gains",
    "limit_sample",
    "linear_vae",
    "measure",
    "numbers_beside_ppca",
]

PASSES = 10


class Identity(Encoder):
    """The example itself; a posterior's head then makes its mean linear in x, as PPCA's exact posterior is."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.out_features = features

    def forward(self, x: Float[Tensor, "B D"]) -> Float[Tensor, "B F"]:
        return x


def limit_sample(model: PPCA, count: int, generator: torch.Generator) -> Float[Tensor, "N D"]:
    """``count`` draws, moved so that their mean and covariance are exactly the model's, by ``generator``.

    That is what a fit of ``model`` sees in the large-sample limit.
    """
    x_ND = model.sample(count, generator)
    have, want = (torch.linalg.cholesky(c) for c in (sample_covariance(x_ND), model.marginal_covariance))
    white_ND = torch.linalg.solve_triangular(have, (x_ND - x_ND.mean(0)).T, upper=False).T
    return model.mean + white_ND @ want.T


def linear_vae(features: int, latent: int, seed: int) -> Autoencoder:
    """z ~ N(0, I_L), a linear decoder, Gaussian noise, a linear encoder: PPCA as a VAE (Lucas et al. 2019).

    ``latent`` is L, ``features`` D; initial weights are a function of ``seed``.
    """
    return _build(lambda: LinearMap(latent, features), lambda: Identity(features), latent, seed)


def brenier_vae(
    x: Float[Tensor, "N D"], latent: int, width: int, strong_convexity_floor: float, seed: int
) -> Autoencoder:
    """The same with a decoder of two Brenier maps and an MLP encoder.

    ``x`` is what it will be fitted to; ``latent`` is L, ``width`` the units of each hidden layer. The constants of both
    maps are at least ``strong_convexity_floor``. Initial weights are a function of ``seed``.
    """
    features = x.shape[1]

    def make_map() -> Map:
        return composed_brenier(latent, features, width, 1, lift="pca", strong_convexity_floor=strong_convexity_floor)

    vae = _build(make_map, lambda: MLPEncoder((features,), width, 1), latent, seed)
    map_ = vae.likelihood.map
    assert isinstance(map_, Aligned)
    map_.align(x)
    return vae


def fit_linear(vae: Autoencoder, x: Float[Tensor, "N D"], steps: int = 500) -> Autoencoder:
    """The maximum of the ELBO of ``vae`` on ``x``, by at most ``steps`` of L-BFGS on all data, without sampling noise.

    For a linear decoder the integrand is quadratic in the draws, and noise is an input: the 2 L points +-sqrt(L) e_d
    have the normal's first three moments, so they give the exact value.
    """
    latent = vae.posterior.latent_dimension
    points = latent**0.5 * torch.cat([torch.eye(latent), -torch.eye(latent)]).to(x)
    noise = points[:, None, None, :].expand(-1, 1, len(x), -1)
    objective = ELBO(samples=2 * latent)
    optimizer = torch.optim.LBFGS(
        vae.parameters(),
        max_iter=steps,
        tolerance_grad=1e-9,
        tolerance_change=1e-14,
        history_size=50,
        line_search_fn="strong_wolfe",
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = -objective(vae, x, _q(vae, x), noise).mean()
        value.backward()
        return value

    optimizer.step(loss)
    return vae


def fit_brenier(
    vae: Autoencoder, x: Float[Tensor, "N D"], seed: int, steps: int = 2000, rate: float = 0.03
) -> Autoencoder:
    """``vae`` after ``steps`` of Adam on the sampled ELBO of all of ``x``, the ``rate`` falling to zero along a cosine.

    Its noise is a function of ``seed``. The likelihood is almost flat in the gain of an idle direction, so that mu is
    still falling towards its floor when everything else has settled.
    """
    objective, rng = ELBO(), generator(seed, "bridge", "noise")
    optimizer = torch.optim.Adam(vae.parameters(), rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        optimizer.zero_grad()
        noise = vae.posterior.draw_noise(1, len(x), rng)
        (-objective(vae, x, _q(vae, x), noise).mean()).backward()
        optimizer.step()
        schedule.step()
    return vae


def fit_with_gains(x: Float[Tensor, "N D"], latent: int, least: float) -> PPCA:
    """The maximum of PPCA's likelihood among weights whose singular values, its gains, are all at least ``least``.

    That is a linear decoder of ``latent`` directions and that inverse-Lipschitz constant, fitted to ``x``. ``least`` =
    0 gives ``fit``. The axes stay the eigenvectors; at a noise variance s the best gains are sqrt(max(l_j - s,
    least^2)), and one search over s remains. Raises ``UserError`` as ``fit`` does.
    """
    model = fit(x, latent)
    value_D = torch.linalg.eigvalsh(sample_covariance(x)).flip(0)
    used_L, left_D = value_D[:latent], value_D[latent:]

    def gains(noise: float) -> Float[Tensor, " L"]:
        return (used_L - noise).clamp_min(least**2).sqrt()

    def misfit(log_noise: float) -> float:
        noise = torch.as_tensor(log_noise).exp()
        variance_L = gains(float(noise)).square() + noise
        return float((variance_L.log() + used_L / variance_L).sum() + (log_noise + left_D / noise).sum())

    # Each gain that is held up lowers the noise variance, all of them together at most by the factor (D - L) / D.
    highest = log(model.noise_variance)
    bounds = (highest + log(len(left_D) / len(value_D)), highest + 0.01)
    found = minimize_scalar(misfit, bounds=bounds, method="bounded", options={"xatol": 1e-12})
    noise = float(torch.as_tensor(found.x).exp())
    axes_LD = torch.linalg.eigh(sample_covariance(x)).eigenvectors.T.flip(0)[:latent]
    return PPCA(gains(noise)[:, None] * axes_LD, noise, model.mean).in_principal_axes()


def measure(vae: Autoencoder, x: Float[Tensor, "N D"], samples: int) -> dict[str, Any]:
    """The evaluator's result of ``vae`` on ``x``, with S = ``samples``, and two numbers more.

    ``kl_per_direction`` is each latent's mean KL, nats, the largest first; ``mu`` the decoder's certified constant, or
    0. x passes ten times, each time with noise of its own. That leaves the aggregate posterior and all that is exact as
    they are, and divides the standard error of the mutual information, of one draw for each example, by sqrt(10).
    """
    evaluator = Evaluator(vae, lambda x, noise: _q(vae, x), samples)
    for _ in range(PASSES):
        evaluator.update(x)
    with torch.no_grad():
        q = _q(vae, x)
        assert isinstance(q, FlowGaussian)
        mean, scale = q.mean[0], q.scale[0]
        kl = 0.5 * (mean.square() + scale.square() - 1 - 2 * scale.log()).mean(0)
        decoder = vae.likelihood.map
        mu = decoder.certificate() if isinstance(decoder, InjectiveMap) else 0.0
    return {**evaluator.compute(), "kl_per_direction": kl.sort(descending=True).values.tolist(), "mu": mu}


def numbers_beside_ppca(
    case: str, decoder: str, measured: dict[str, Any], x: Float[Tensor, "N D"], latent: int
) -> list[Number]:
    """What ``measure`` says of a VAE, ``measured``, beside PPCA's exact values at the maximum likelihood on ``x``.

    ``case`` names the data and ``decoder`` the VAE's; PPCA has ``latent`` directions. Beside a decoder that certifies
    an inverse-Lipschitz constant mu, those of the PPCA whose gains are at least mu. They are exact for PPCA; a Brenier
    decoder can also bend, so it comes near them and no more.
    """
    mu = measured["mu"]
    model = fit_with_gains(x, latent, mu) if mu > 0 else fit(x, latent)
    source = f"PPCA at its maximum likelihood{f', gains at least {mu:.4g}' if mu > 0 else ''}"
    latents = measured["latent"]["z"]
    active = (model.posterior_mean_variance(sample_covariance(x)) >= ACTIVE).double().mean()
    log_likelihood = float(model.log_likelihood(x).mean())
    number = partial(Number, case, decoder, method="evaluator", exact_source=source)
    numbers = [
        number("active share", value=latents["au"], exact=float(active), unit=""),
        number("KL", value=latents["kl"], exact=float(model.kl(x).mean())),
        number("I(x; z)", value=latents["mi"], exact=model.empirical_information(x), standard_error=latents["mi_se"]),
        number("log-likelihood", value=measured["ll"]["mean"], exact=log_likelihood),
        number("ELBO", value=measured["elbo"], exact=log_likelihood),
    ]
    by_direction = zip(measured["kl_per_direction"], model.kl_per_direction(x).mean(0).tolist(), strict=True)
    numbers += [
        number(f"KL of direction {d}", value=value, exact=exact)
        for d, (value, exact) in enumerate(by_direction, start=1)
    ]
    if mu > 0:
        numbers.append(Number(case, decoder, "mu, as learned", "certificate of the decoder", mu, unit=""))
    return numbers


def _q(vae: Autoencoder, x: Float[Tensor, "N D"]) -> Approximation:
    return vae.posterior.distribution(vae.posterior.encode(x))


def _build(make_map: Callable[[], Map], make_encoder: Callable[[], Encoder], latent: int, seed: int) -> Autoencoder:
    """In float64; the initial weights are a function of the seed, and the process's generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "bridge", "weights"))
        likelihood = GaussianLikelihood(make_map(), scale=0.5)
        vae = Autoencoder(StandardNormalPrior(latent), likelihood, AmortizedPosterior(make_encoder(), latent))
    return vae.double()
