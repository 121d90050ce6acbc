"""The VampPrior: the average of the model's own posteriors of learned pseudo-inputs."""

from functools import cached_property
from math import ceil, log

import torch
from torch import nn

from lid_vae.distribution.components import Components, Support
from lid_vae.distribution.flow_gaussian import FlowGaussian
from lid_vae.distribution.gaussian import normal_log_prob
from lid_vae.distribution.latent import LatentDistribution, Mixture
from lid_vae.errors import UserError
from lid_vae.noise import generator
from lid_vae.prior.base import AggregatePrior, Encodes
from lid_vae.shapes import Float, Int, Tensor

__all__ = ["DiagonalGaussianComponents", "PosteriorAverage", "VampPrior"]

# Draws for the mean and variance of a pushed-forward mixture: to 1.5 % of a Gaussian's variance.
MOMENT_DRAWS = 10_000


class VampPrior(AggregatePrior):
    """p(w) = (1/C) sum_c q(w | u_c), q the model's posterior, u_1, ..., u_C learned (Tomczak and Welling 2018, eq. 9).

    The "variational mixture of posteriors": the aggregate posterior, which is the prior that the bound wants most, over
    C pseudo-inputs in place of all the data. The model gives its posterior when it is built (``attach``): q here is the
    q of the data, so that a step moves the encoder for what it does at both; with SA-VAE it is what the encoder says
    before refinement. The pseudo-inputs are parameters of the prior, in the data's units and not bounded (the authors'
    code clips those of images to [0, 1]); training begins with C different training examples.

    z is w, continuous, and the components are only a sum. With ``categorical`` z is the component and w | z its q, a
    mixture model of C categories, which needs a q without a flow. ``separation`` is then the smallest distance between
    two components' (mean, log scale); nothing keeps it above zero.

    Args:
        latent_dimension: M, that of w.
        features: D, the numbers of an observation; of images all pixels.
        pseudo_inputs: C, at most the number of training examples.
        categorical: whether the component is a category z.

    Raises:
        UserError: for no pseudo-inputs or more than training examples; for a q that enumerates categories, has a flow
            where it is to be a component, or is not Gaussian before its flow.

    Example:
        >>> from lid_vae.posterior import AmortizedPosterior, MLPEncoder
        >>> prior = VampPrior(latent_dimension=2, features=4, pseudo_inputs=10)
        >>> prior.attach(AmortizedPosterior(MLPEncoder((4,), 16), latent_dimension=2), None)
        >>> prior().log_prob(torch.zeros(5, 2)).shape
        torch.Size([5])
    """

    support: Support = "real"
    log_mixing: Tensor

    def __init__(
        self, latent_dimension: int, features: int, pseudo_inputs: int = 500, categorical: bool = False
    ) -> None:
        super().__init__()
        if pseudo_inputs < 1:
            raise UserError(f"VampPrior needs pseudo-inputs, got pseudo_inputs={pseudo_inputs}. Use 500.")
        self.latent_dimension, self.categories = latent_dimension, pseudo_inputs if categorical else None
        self.pseudo_inputs = nn.Parameter(torch.randn(pseudo_inputs, features))
        self.register_buffer("log_mixing", torch.full((pseudo_inputs,), -log(pseudo_inputs)), persistent=False)
        # In a tuple, so that it is no submodule: its parameters are the posterior's alone. A copy of the whole model
        # copies it along.
        self._posterior: tuple[Encodes, ...] = ()

    def attach(self, posterior: Encodes, categories: int | None) -> None:
        if categories is not None:
            raise UserError(
                "A VampPrior averages q(w | u), and a family with mixture='enumerate' makes of each a mixture over the "
                f"{categories} categories. Use mixture='conditional'."
            )
        self._posterior = (posterior,)

    @torch.no_grad()
    def initialise(self, x: Float[Tensor, "N D"], seed: int) -> None:
        count = len(self.pseudo_inputs)
        if count > len(x):
            raise UserError(
                f"pseudo_inputs={count} are more than the {len(x)} training examples, with which they begin. "
                f"Use pseudo_inputs={len(x)} or fewer."
            )
        chosen = torch.randperm(len(x), generator=generator(seed, "pseudo-inputs"))[:count]
        self.pseudo_inputs.copy_(x[chosen.to(x.device)])

    def forward(self) -> LatentDistribution:
        q = self._of_pseudo_inputs()
        if self.categories is None:
            return PosteriorAverage(q)
        if q.flow:
            raise UserError(
                f"A VampPrior whose components are categories needs them Gaussian, and here {type(q.flow[0]).__name__} "
                "follows the Gaussian. Use gaussian_family, or categorical=False with VAE or LIDVAE."
            )
        return Mixture(self.log_mixing, DiagonalGaussianComponents(q.mean[0], q.scale[0]))

    @torch.no_grad()
    def separation(self) -> float | None:
        if self.categories is None:
            return None
        q = self._of_pseudo_inputs()
        rows = torch.cat([q.mean[0], q.scale[0].log()], -1).double()
        return float(torch.pdist(rows).min()) if len(rows) > 1 else float("inf")

    def _of_pseudo_inputs(self) -> FlowGaussian:
        if not self._posterior:
            raise UserError("A VampPrior is made of a posterior, and has none yet. Build an Autoencoder with it first.")
        (posterior,) = self._posterior
        q = posterior.distribution(posterior.encode(self.pseudo_inputs))
        if not isinstance(q, FlowGaussian):
            raise UserError(
                f"A VampPrior needs a Gaussian q, with or without a flow, got {type(q).__name__}. Use "
                "gaussian_family or realnvp_family."
            )
        if not q.shared:
            raise UserError(
                "A VampPrior averages q over its pseudo-inputs by one product of matrices, which needs one flow for "
                "all x, and with context=True every x has its own. Use realnvp_family with context=False, or "
                "gaussian_family."
            )
        return q


class PosteriorAverage(LatentDistribution):
    """(1/C) sum_c q(w | x_c) of C examples, ``q`` Gaussian and then pushed through a flow that all share.

    ``mean`` and ``variance`` are exact without a flow, and with one from ten thousand draws of fixed noise.
    """

    support: Support = "real"

    def __init__(self, q: FlowGaussian) -> None:
        self.q, self.marginals = q, not q.flow

    @property
    def mean(self) -> Float[Tensor, " M"]:  # type: ignore[override]
        return self._moments[0]

    @property
    def variance(self) -> Float[Tensor, " M"]:  # type: ignore[override]
        return self._moments[1]

    def log_prob(self, w: Float[Tensor, "*batch M"]) -> Float[Tensor, "*batch"]:
        """By one product of the sufficient statistic and the natural parameters, in double precision.

        The squares are multiplied out, and cancel to 1e-16 of scale^-2. No tensor of C by M numbers for each w.
        """
        base = self.q.pull(w)
        _, log_determinant = self.q.push(base)
        natural, normaliser = self.q.natural()
        density = self.q.statistic(base).double() @ natural[0].mT - normaliser[0]
        return (torch.logsumexp(density, -1) - log(density.shape[-1])).to(w.dtype) - log_determinant

    def elementwise_log_prob(self, w: Float[Tensor, "*batch M"]) -> Float[Tensor, "*batch M"]:
        """Raises ``UserError`` with a flow, which mixes the dimensions."""
        if not self.marginals:
            raise UserError("Behind a flow the single dimensions have no density in closed form. Use gaussian_family.")
        density = normal_log_prob(w.unsqueeze(-2), self.q.mean[0], self.q.scale[0])
        return torch.logsumexp(density, -2) - log(density.shape[-2])

    def sample(self, count: int, generator: torch.Generator) -> Float[Tensor, "N M"]:
        mean, scale = self.q.mean[0], self.q.scale[0]
        chosen = torch.randint(len(mean), (count,), generator=generator, device=mean.device)
        noise = torch.randn(count, mean.shape[-1], generator=generator, device=mean.device, dtype=mean.dtype)
        return self.q.push(mean[chosen] + scale[chosen] * noise)[0]

    @cached_property
    def _moments(self) -> tuple[Float[Tensor, " M"], Float[Tensor, " M"]]:
        if not self.q.flow:
            mean, scale = self.q.mean[0], self.q.scale[0]
            return mean.mean(0), scale.square().mean(0) + mean.var(0, unbiased=False)
        mean = self.q.mean
        shape = (ceil(MOMENT_DRAWS / mean.shape[1]), *mean.shape)
        noise = torch.randn(shape, generator=generator("moments of a prior"), dtype=mean.dtype)
        w = self.q.sample(noise.to(mean.device)).w.flatten(0, -2)
        return w.mean(0), w.var(0, unbiased=False)


class DiagonalGaussianComponents(Components):
    """N(mean_k, diag(scale_k^2)), each with a ``scale`` of its own; ``mean`` and it have shape [K, M]."""

    support: Support = "real"

    def __init__(self, mean: Float[Tensor, "K M"], scale: Float[Tensor, "K M"]) -> None:
        self.mean, self.variance, self.scale = mean, scale.square(), scale

    @property
    def parameters(self) -> Float[Tensor, "K P"]:
        """Mean and logarithm of the scale, side by side."""
        return torch.cat([self.mean, self.scale.log()], -1)

    def elementwise_log_prob(self, w: Tensor, parameters: Tensor) -> Tensor:
        mean, log_scale = parameters.chunk(2, -1)
        return normal_log_prob(w, mean, log_scale.exp())

    def sample(self, category: Int[Tensor, " N"], generator: torch.Generator) -> Float[Tensor, "N M"]:
        mean = self.mean[category]
        noise = torch.randn(mean.shape, generator=generator, device=mean.device, dtype=mean.dtype)
        return mean + self.scale[category] * noise
