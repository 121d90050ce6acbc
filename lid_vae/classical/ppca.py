"""Probabilistic principal component analysis: closed-form maximum likelihood, exact posterior, KL and information."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import log, pi

import torch
from torch.distributions import MultivariateNormal

from lid_vae.errors import UserError
from lid_vae.shapes import Float, Tensor

__all__ = ["PPCA", "fit", "fit_em", "sample_covariance"]


@dataclass(frozen=True)
class PPCA:
    """z ~ N(0, I_L); x | z ~ N(mean + z' weight, noise_variance I_D), in float64. Tipping and Bishop (1999).

    ``weight`` [L, D] has one row per latent direction, as in the paper's z'w; ``noise_variance`` is sigma^2; ``mean``
    is [D] (zero in the paper). Raises ``UserError`` where shapes disagree, a value is not finite or the noise is not
    positive.

    >>> truth = PPCA(weight=3 * torch.eye(2, 5), noise_variance=0.1, mean=torch.zeros(5))
    >>> x = truth.sample(1000, torch.Generator().manual_seed(0))
    >>> model = fit(x, latent=2)
    >>> model.posterior(x).mean.shape, round(model.noise_variance, 1)
    (torch.Size([1000, 2]), 0.1)
    """

    weight: Float[Tensor, "L D"]
    noise_variance: float
    mean: Float[Tensor, " D"]

    def __post_init__(self) -> None:
        weight = torch.as_tensor(self.weight, dtype=torch.float64)
        if weight.ndim != 2 or not 1 <= weight.shape[0] <= weight.shape[1]:
            raise UserError(
                f"PPCA needs a weight of shape [latent, features], latent at most features, got {list(weight.shape)}. "
                "Put one latent direction in each row, and use no more of them than there are features."
            )
        mean = torch.as_tensor(self.mean).to(weight)
        if mean.shape != weight.shape[1:]:
            raise UserError(f"PPCA's mean must have shape {list(weight.shape[1:])}, got {list(mean.shape)}.")
        noise = float(self.noise_variance)
        if not (0.0 < noise < float("inf") and bool(weight.isfinite().all()) and bool(mean.isfinite().all())):
            raise UserError(
                f"PPCA needs finite parameters and a positive noise variance, got a noise variance of {noise} with a "
                f"weight between {float(weight.min())} and {float(weight.max())}. Its density does not exist otherwise."
            )
        for name, value in (("weight", weight), ("noise_variance", noise), ("mean", mean)):
            object.__setattr__(self, name, value)

    @property
    def posterior_covariance(self) -> Float[Tensor, "L L"]:
        """Cov[z | x], the same for every x: (I + weight weight' / sigma^2)^-1. Tipping and Bishop (1999), eq. 8."""
        eye = torch.eye(len(self.weight), dtype=torch.float64)
        return torch.cholesky_inverse(torch.linalg.cholesky(eye + self.weight @ self.weight.T / self.noise_variance))

    @property
    def marginal_covariance(self) -> Float[Tensor, "D D"]:
        """Cov[x] = weight' weight + sigma^2 I."""
        return self.weight.T @ self.weight + self.noise_variance * torch.eye(self.weight.shape[1], dtype=torch.float64)

    def posterior_mean(self, x: Float[Tensor, "N D"]) -> Float[Tensor, "N L"]:
        """E[z | x]."""
        return (self._checked(x) - self.mean) @ self.weight.T @ self.posterior_covariance / self.noise_variance

    def posterior(self, x: Float[Tensor, "N D"]) -> MultivariateNormal:
        """p(z | x), exact: batch [N], event [L]."""
        return MultivariateNormal(self.posterior_mean(x), self.posterior_covariance)

    def log_likelihood(self, x: Float[Tensor, "N D"]) -> Float[Tensor, " N"]:
        """log p(x), exact, nats per example.

        The quadratic form is |x - mean - m' weight|^2 / sigma^2 + |m|^2 with m = E[z | x]: a sum of squares, so that a
        small sigma^2 loses no digits, as a difference would.
        """
        x_ND, features = self._checked(x), self.weight.shape[1]
        m_NL = self.posterior_mean(x_ND)
        residual_ND = x_ND - self.mean - m_NL @ self.weight
        quadratic_N = residual_ND.square().sum(1) / self.noise_variance + m_NL.square().sum(1)
        log_determinant = features * log(self.noise_variance) - float(torch.logdet(self.posterior_covariance))
        return -0.5 * (quadratic_N + log_determinant + features * log(2 * pi))

    def kl(self, x: Float[Tensor, "N D"]) -> Float[Tensor, " N"]:
        """KL(p(z | x) || p(z)), nats per example."""
        m_NL, s_LL = self.posterior_mean(x), self.posterior_covariance
        return 0.5 * (m_NL.square().sum(1) + s_LL.trace() - len(s_LL) - torch.logdet(s_LL))

    def kl_per_direction(self, x: Float[Tensor, "N D"]) -> Float[Tensor, "N L"]:
        """KL(p(z_d | x) || p(z_d)) of each coordinate's marginal, nats.

        The coordinates are the model's own. Only ``in_principal_axes()`` makes them independent given x, and only there
        do the columns add up to ``kl``; a rotation of z leaves p(x) as it is, so the likelihood cannot choose one.
        """
        m_NL, s_L = self.posterior_mean(x), self.posterior_covariance.diagonal()
        return 0.5 * (m_NL.square() + s_L - 1 - s_L.log())

    def likelihood_variance(self, x: Float[Tensor, "N D"]) -> Float[Tensor, "N L"]:
        """Var of log p(x | z) over z_d ~ prior, nats squared: 0 only where the likelihood is constant in z_d.

        In principal axes log p(x | z) is a constant plus one function a z_d - b z_d^2 / 2 for each direction, whose
        variance under N(0, 1) is a^2 + b^2 / 2.
        """
        a_NL = (self._checked(x) - self.mean) @ self.weight.T / self.noise_variance
        return a_NL.square() + 0.5 * (self.weight.square().sum(1) / self.noise_variance).square()

    def posterior_mean_variance(self, covariance: Float[Tensor, "D D"]) -> Float[Tensor, " L"]:
        """Var_x E[z_d | x] for x of this covariance: Burda et al. (2016) call a direction active from 0.01."""
        gain_LD = self.posterior_covariance @ self.weight / self.noise_variance
        return (gain_LD @ covariance * gain_LD).sum(1)

    def in_principal_axes(self) -> "PPCA":
        """The same p(x), with z rotated so that p(z | x) has independent coordinates, the most informed one first."""
        _, gain_L, axes_LD = torch.linalg.svd(self.weight, full_matrices=False)
        sign_L = axes_LD.gather(1, axes_LD.abs().argmax(1, keepdim=True)).sign()
        return PPCA(gain_L[:, None] * axes_LD * sign_L, self.noise_variance, self.mean)

    def model_information(self) -> float:
        """I(x; z) under the model's own p(x, z), nats: -1/2 log det Cov[z | x].

        It is also the data's ``gaussian_information`` where their covariance is the model's, and at the maximum
        likelihood, on the data that were fitted; there it equals the mean of ``kl``.
        """
        return -0.5 * float(torch.logdet(self.posterior_covariance))

    def gaussian_information(self, covariance: Float[Tensor, "D D"]) -> float:
        """I_q(x; z), nats, for x Gaussian with this covariance and z | x the model's posterior.

        I_q = E_x KL(p(z | x) || q(z)) with the aggregate q(z) = E_x p(z | x), here Gaussian too. For any other x of the
        same covariance this is an upper bound: of all aggregates of one covariance the Gaussian has most entropy.
        """
        s_LL = self.posterior_covariance
        gain_LD = s_LL @ self.weight / self.noise_variance
        return 0.5 * float(torch.logdet(s_LL + gain_LD @ covariance @ gain_LD.T) - torch.logdet(s_LL))

    def empirical_information(self, x: Float[Tensor, "N D"], nodes: int = 16) -> float:
        """I_q(x; z), nats, with x uniform on these N examples: the number that a diagnostic on a data set estimates.

        The aggregate q(z) is a mixture of N Gaussians; its entropy is a Gauss-Hermite sum of ``nodes`` points per
        direction around each, at a cost of N^2 nodes^L: meant for L up to 2. It exceeds neither log N nor
        ``gaussian_information`` of the data's covariance.
        """
        scale_LL = torch.linalg.cholesky(self.posterior_covariance)
        center_NL = torch.linalg.solve_triangular(scale_LL, self.posterior_mean(x).T, upper=False).T
        point_Q, weight_Q = _gauss_hermite(nodes)
        grid = torch.cartesian_prod(*[point_Q] * len(scale_LL)).reshape(-1, len(scale_LL))
        weight = torch.cartesian_prod(*[weight_Q] * len(scale_LL)).reshape(-1, len(scale_LL)).prod(1)
        total = 0.0
        for center_BL in center_NL.split(max(1, 4_000_000 // (len(grid) * len(center_NL)))):
            distance = torch.cdist((center_BL[:, None] + grid).flatten(0, 1), center_NL).square()
            log_ratio = -0.5 * grid.square().sum(1) - torch.logsumexp(-0.5 * distance, 1).unflatten(0, (-1, len(grid)))
            total += float((log_ratio @ weight).sum())
        return log(len(center_NL)) + total / len(center_NL)

    def sample(self, count: int, generator: torch.Generator) -> Float[Tensor, "N D"]:
        """``count`` draws of x, by ``generator`` on the CPU."""
        latent, features = self.weight.shape
        z_NL = torch.randn(count, latent, generator=generator, dtype=torch.float64)
        noise_ND = torch.randn(count, features, generator=generator, dtype=torch.float64)
        return self.mean + z_NL @ self.weight + self.noise_variance**0.5 * noise_ND

    def _checked(self, x: Float[Tensor, "N D"]) -> Float[Tensor, "N D"]:
        if x.ndim != 2 or x.shape[1] != self.weight.shape[1]:
            raise UserError(f"This PPCA takes examples of shape [N, {self.weight.shape[1]}], got {list(x.shape)}.")
        return x.to(torch.float64)


def sample_covariance(x: Float[Tensor, "N D"], center: bool = True) -> Float[Tensor, "D D"]:
    """The maximum-likelihood covariance of ``x`` (divided by N), about the mean or, without ``center``, about zero."""
    x = x.to(torch.float64)
    x = x - x.mean(0) if center else x
    return x.T @ x / len(x)


def fit(x: Float[Tensor, "N D"], latent: int, center: bool = True) -> PPCA:
    """The global maximum of the likelihood of ``x``, in principal axes. Tipping and Bishop (1999), eqs. 14 and 15.

    ``latent`` is L, the number of directions. With eigenvalues l_1 >= ... >= l_D of the sample covariance, sigma^2 is
    the mean of the last D - L and row j of the weight is sqrt(l_j - sigma^2) times eigenvector j. ``center=False``
    fixes the mean at zero, as the paper does.

    Raises ``UserError`` for data that are not finite, not more samples than dimensions, constant data, or L >= D.
    """
    center_D, covariance_DD = _moments(x, latent, center)
    value_D, vector_DD = torch.linalg.eigh(covariance_DD)
    value_D, axes_DD = value_D.flip(0), vector_DD.T.flip(0)
    noise = float(value_D[latent:].mean())
    gain_L = (value_D[:latent] - noise).clamp_min(0).sqrt()
    return PPCA(gain_L[:, None] * axes_DD[:latent], noise, center_D).in_principal_axes()


def fit_em(
    x: Float[Tensor, "N D"],
    latent: int,
    generator: torch.Generator,
    center: bool = True,
    tolerance: float = 1e-13,
    iterations: int = 100_000,
) -> PPCA:
    """The maximum by expectation-maximisation. Tipping and Bishop (1999), eqs. 29 to 32, on the sample covariance.

    ``x``, ``latent`` and ``center`` are those of ``fit``. Starts from a weight drawn by ``generator``; stops when the
    relative change of all parameters is below ``tolerance``. Raises ``UserError`` as ``fit`` does, and where
    ``iterations`` do not suffice.
    """
    center_D, covariance_DD = _moments(x, latent, center)
    scale = (float(covariance_DD.trace()) / len(covariance_DD)) ** 0.5
    start_LD = scale * torch.randn(latent, len(covariance_DD), generator=generator, dtype=torch.float64)
    last = PPCA(start_LD, scale**2, center_D)
    for model in _em_steps(last, covariance_DD, iterations):
        change = (model.weight - last.weight).norm() + abs(model.noise_variance - last.noise_variance)
        if float(change) < tolerance * scale:
            return model.in_principal_axes()
        last = model
    raise UserError(
        f"EM for PPCA still moved by more than {tolerance} after {iterations} steps. Raise `iterations` or "
        "`tolerance`; it is slow where a fitted eigenvalue is close to the noise variance. `fit` has the closed form."
    )


def _em_steps(model: PPCA, covariance_DD: Tensor, iterations: int) -> Iterator[PPCA]:
    for _ in range(iterations):
        s_LL, weight_LD = model.posterior_covariance, model.weight
        gain_LD = s_LL @ weight_LD / model.noise_variance  # E[z | x] = gain (x - mean)
        cross_LD = gain_LD @ covariance_DD  # mean of E[z | x] (x - mean)'
        new_LD = torch.linalg.solve(s_LL + cross_LD @ gain_LD.T, cross_LD)
        noise = float((covariance_DD - cross_LD.T @ new_LD).trace()) / len(covariance_DD)
        model = PPCA(new_LD, noise, model.mean)
        yield model


def _moments(x: Float[Tensor, "N D"], latent: int, center: bool) -> tuple[Tensor, Tensor]:
    """The mean (zero without ``center``) and covariance of data that PPCA with this latent dimension can fit."""
    if x.ndim != 2:
        raise UserError(f"PPCA fits data of shape [samples, features], got {list(x.shape)}.")
    (count, features), finite = x.shape, torch.isfinite(x).all(1)
    if not bool(finite.all()):
        rows = (~finite).nonzero().flatten()
        raise UserError(
            f"PPCA needs finite data, but {len(rows)} of {count} samples hold NaN or infinity (the first is row "
            f"{int(rows[0])}). Remove or impute them."
        )
    if not 1 <= latent < features:
        raise UserError(
            f"PPCA needs a latent dimension of at least 1 and below the data's {features} features, got {latent}: with "
            "as many directions as features none is left to tell the noise from. Use a smaller latent dimension."
        )
    if count <= features:
        raise UserError(
            f"PPCA needs more samples than dimensions, got {count} samples of {features} features: the likelihood "
            "has no proper maximum. Add samples, or drop features."
        )
    x = x.to(torch.float64)
    covariance_DD = sample_covariance(x, center)
    value_D = torch.linalg.eigvalsh(covariance_DD)
    floor = 1e-14 * (float(value_D[-1]) + float(x.mean(0).square().sum()))
    if float(value_D[: features - latent].mean()) <= floor:
        raise UserError(
            f"PPCA cannot fit data that are constant, or that {latent} directions explain without remainder: the noise "
            "variance at the maximum would be 0 and the likelihood infinite. Check the data, or use fewer directions."
        )
    return (x.mean(0) if center else x.new_zeros(features)), covariance_DD


def _gauss_hermite(nodes: int) -> tuple[Tensor, Tensor]:
    """Points and weights for expectations under N(0, 1)  (Golub and Welsch, 1969)."""
    step = torch.arange(1, nodes, dtype=torch.float64).sqrt()
    point, vector = torch.linalg.eigh(torch.diag(step, 1) + torch.diag(step, -1))
    return point, vector[0].square()
