"""Our models as targets of annealed importance sampling, and examples simulated from them."""

import copy
from collections.abc import Callable
from typing import Literal

import torch

from lid_vae.distribution.approximation import Approximation
from lid_vae.distribution.flow_gaussian import FlowGaussian
from lid_vae.errors import UserError
from lid_vae.measure.annealed.bounds import MakeTarget
from lid_vae.measure.annealed.target import PosteriorTarget, PriorTarget, Target
from lid_vae.noise import generator
from lid_vae.shapes import Float, Tensor
from lid_vae.vae import Autoencoder

__all__ = ["simulate", "target_of"]

Infer = Callable[[Tensor, Tensor], Approximation]
"""(x, noise) -> q for a batch."""
Start = Literal["posterior", "prior"]


def target_of(
    vae: Autoencoder, infer: Infer | None = None, start: Start = "posterior", inference_samples: int = 1
) -> MakeTarget:
    """What ``annealed_bounds`` takes, of a VAE in evaluation mode.

    The chains run in w alone: the categories of a mixture are summed in p(w), and in q where it enumerates them. They
    start from q(w | x) where that is a Gaussian, or a mixture of them, pushed through a flow, as all of ours for w that
    are not binary are; else from the prior. The weights are those of now: the chains have a copy that records no
    gradients.

    Args:
        vae: the model.
        infer: (x, noise) -> q for a batch, by a trained inference strategy; None for the encoder's q.
        start: ``posterior``, or ``prior`` to begin from p(w) whatever q is.
        inference_samples: draws of noise that ``infer`` takes for itself (a refined q), independent of the chains'.

    Raises ``UserError`` for binary w, for models of sequences, and for another ``start``.
    """
    if start not in ("posterior", "prior"):
        raise UserError(f"start={start} is not known. Use posterior or prior.")
    if vae.prior.support == "binary":
        raise UserError(
            f"Annealed importance sampling moves w along gradients, and the w of this {type(vae.prior).__name__} is "
            "binary, which has none. Use the importance-sampled log-likelihood, or component='gaussian', 'gamma' or "
            "'log_normal'."
        )
    if vae.likelihood.symbols is not None:
        raise UserError(
            f"Annealed importance sampling is not offered for models of text ({type(vae.likelihood).__name__}): each "
            "of its thousands of gradients would go through a whole sequence and its vocabulary. Use the "
            "importance-sampled log-likelihood."
        )

    with torch.inference_mode(False), torch.no_grad():
        frozen = copy.deepcopy(vae).requires_grad_(False)
        prior = frozen.prior()

    def make_target(x: Tensor, first: int) -> Target:
        def log_likelihood(w: Tensor) -> Tensor:
            return frozen.likelihood(w).log_prob(x)

        if start == "posterior":
            q = _posterior(frozen, infer, x, first, inference_samples)
            if isinstance(q, FlowGaussian):
                return PosteriorTarget(q, lambda w: prior.log_prob(w) + log_likelihood(w))
        return PriorTarget(prior, log_likelihood, len(x))

    return make_target


@torch.no_grad()
def simulate(vae: Autoencoder, count: int, rng: torch.Generator) -> tuple[Float[Tensor, "N M"], Tensor]:
    """(w, x) of so many examples: w ~ p(w) and x ~ p(x | w). Each w is an exact draw from p(w | x) of its x.

    Args:
        vae: the model.
        count: N.
        rng: the noise, on the model's device.
    """
    w = vae.prior().sample(count, rng)
    return w, vae.likelihood(w).sample(rng)


def _posterior(vae: Autoencoder, infer: Infer | None, x: Tensor, first: int, samples: int) -> Approximation:
    """q of a few examples, whose noise is a function of their numbers."""
    if infer is None:
        with torch.no_grad():
            return vae.posterior.distribution(vae.posterior.encode(x))
    numbers = range(first, first + len(x))
    device = vae.prior().mean.device
    noise = [
        vae.posterior.draw_noise(samples, 1, generator("annealed", "infer", number, device=device))
        for number in numbers
    ]
    return infer(x, torch.cat(noise, 2))
