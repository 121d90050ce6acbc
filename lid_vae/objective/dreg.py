"""DReG: the importance-weighted bound, with a gradient of the posterior that does not fade as samples are added."""

from math import log

import torch

from lid_vae.distribution.approximation import Approximation, LatentSample
from lid_vae.distribution.flow_gaussian import FlowGaussian
from lid_vae.errors import UserError
from lid_vae.objective.base import Objective
from lid_vae.shapes import Float, Observations, Tensor
from lid_vae.vae import Autoencoder

__all__ = ["DReG"]


class DReG(Objective):
    """The value of ``ImportanceWeighted``, with the doubly reparametrised gradient of Tucker et al. (2019).

    With w_s = T(noise_s; phi) and normalised weights v_s = p(x, w_s) / q(w_s | x) / sum_r p(x, w_r) / q(w_r | x), the
    gradient in the posterior's parameters phi is

        sum_s v_s^2  d log(p(x, w_s) / q(w_s | x)) / dw_s  dw_s / dphi,

    without the score of q. Its mean is the bound's gradient. Near the posterior its signal-to-noise ratio grows as
    sqrt(S), where that of the plain estimator falls as 1 / sqrt(S) (Rainforth et al. 2018); far from it, where a few
    draws have all the weight, neither is the better for certain. With one sample it is the path gradient of the bound
    (Roeder, Wu and Duvenaud 2017), zero at the exact posterior whatever the noise. The gradient in the parameters of
    prior and likelihood, and in q(z | x) where categories are enumerated, is the plain one.

    The weights come from a pass of their own, so that the decoder runs forward twice a step. What a prior made of q
    (``AggregatePrior``) owes directly to phi has the plain gradient. SA-VAE refines by this gradient, and
    differentiates through it as if weights and score were constants.

    Args:
        samples: S, draws of q for each example.

    Raises:
        UserError: for no samples, and for draws without a reparametrised gradient.

    Example:
        >>> DReG(samples=8).samples
        8
    """

    def __init__(self, samples: int = 5) -> None:
        super().__init__()
        if samples < 1:
            raise UserError(f"DReG needs at least one sample, got samples={samples}. Use samples=5.")
        self.samples = samples

    def forward(
        self, vae: Autoencoder, x: Observations, q: Approximation, noise: Float[Tensor, "S K B M"]
    ) -> Float[Tensor, " B"]:
        if not isinstance(q, FlowGaussian):
            raise UserError(
                f"DReG needs reparametrised draws with a density of their own, which {type(q).__name__} has not. Use "
                "ELBO, or a prior with component='gamma', 'log_normal' or 'gaussian'."
            )
        with vae.likelihood.keeping(x):  # the same dropout in both passes
            sample = q.sample(noise)
            with torch.no_grad():
                weight = torch.softmax(vae.terms_at(x, q, sample).log_weight(), 0)
            terms = vae.terms_at(x, q, _scaled(q, sample, weight.detach()))
        bound = torch.logsumexp(terms.log_weight(), 0, keepdim=True) - log(len(noise))
        return terms.expectation(bound).squeeze(0)


def _scaled(q: FlowGaussian, sample: LatentSample, weight: Float[Tensor, "S K B"]) -> LatentSample:
    """The same draws and densities as numbers; what flows back through the draws is multiplied by ``weight``.

    Of log q(w | x) only what flows through w: the whole derivative less that of the density at a w that stands still.
    The logarithm of a sum multiplies by the weights once more.
    """
    path = sample.log_prob - q.log_prob(sample.w.detach())
    return LatentSample(
        _with_gradient(sample.w, weight.unsqueeze(-1)),
        sample.log_prob.detach() + weight * (path - path.detach()),
        sample.base,
    )


def _with_gradient(value: Tensor, factor: Tensor) -> Tensor:
    """``value``, its gradient multiplied by ``factor``."""
    still = value.detach()
    return still + factor * (value - still)
