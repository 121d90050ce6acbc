"""The mean of q, for what shows or probes a single latent for each example."""

import torch

from lid_vae.distribution.approximation import Approximation
from lid_vae.noise import generator
from lid_vae.shapes import Float, Observations, Tensor
from lid_vae.train.vae_module import VAEModule

__all__ = ["STEPS", "average", "between", "posterior_mean"]

PAIRS = 16
STEPS = 7
"""Of a path from one latent to another, both ends included."""


def posterior_mean(module: VAEModule, x: Observations) -> Float[Tensor, "B M"]:
    """E_q[w | x] under ``module``, from draws whose noise comes in opposite pairs: exact for a Gaussian without a flow.

    The noise is keyed: no generator of the run advances.
    """
    rng = generator("posterior mean", device=x.device)
    posterior = module.vae.posterior
    q = module.infer(x, posterior.draw_noise(module.objective.samples, len(x), rng))
    with torch.no_grad():
        noise = posterior.draw_noise(PAIRS, len(x), rng)
        return average(q, q.sample(torch.cat([noise, -noise])).w)


def average(q: Approximation, w: Float[Tensor, "S K B M"]) -> Float[Tensor, "B M"]:
    """E_q[w | x] over the given draws ``w`` of ``q``."""
    mean_KBM = w.mean(0)
    return mean_KBM[0] if q.log_category is None else (q.log_category.exp().unsqueeze(-1) * mean_KBM).sum(0)


def between(first: Float[Tensor, " M"], last: Float[Tensor, " M"]) -> Float[Tensor, "steps M"]:
    """Seven points on the straight line from the latent ``first`` to the latent ``last``, both included."""
    share = torch.linspace(0, 1, STEPS, device=first.device, dtype=first.dtype).unsqueeze(-1)
    return first + share * (last - first)
