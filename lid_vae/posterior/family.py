"""Approximating families as the configuration names them: what is left to say once model and data are known."""

from collections.abc import Callable, Sequence
from typing import Literal

from lid_vae.distribution.components import Support
from lid_vae.distribution.flow_gaussian import Bijection, Exponential
from lid_vae.errors import UserError
from lid_vae.posterior.amortized import AmortizedPosterior
from lid_vae.posterior.base import Posterior
from lid_vae.posterior.bernoulli import BernoulliPosterior
from lid_vae.posterior.constant import ConstantPosterior
from lid_vae.posterior.encoder import Encoder
from lid_vae.posterior.realnvp import RealNVP

__all__ = ["Family", "gaussian_family", "prior_family", "realnvp_family"]

MixtureName = Literal["conditional", "enumerate"]
MakeEncoder = Callable[[Sequence[int]], Encoder]
Family = Callable[[Sequence[int], int, int | None, Support], Posterior]
"""(shape of an example, latent dimension, categories of the prior or None, support of w) -> posterior."""


def gaussian_family(encoder: MakeEncoder, mixture: MixtureName = "conditional") -> Family:
    """Diagonal Gaussian; log-normal where w is positive; factorised Bernoulli where w is binary.

    ``encoder`` makes an ``Encoder`` of the shape of an example. ``mixture`` says how z is inferred where the prior has
    categories: ``conditional`` is q(w | x) and the exact p(z | w), ``enumerate`` q(z | x) q(w | x, z). Raises
    ``UserError`` for another mixture, as all families do once data and prior are known.

    >>> from functools import partial
    >>> family = gaussian_family(partial(MLPEncoder, width=64))
    >>> q = family((784,), 2, None, "real")
    >>> q.distribution(q.encode(torch.rand(5, 784))).mean.shape
    torch.Size([1, 5, 2])
    """

    def build(shape: Sequence[int], latent_dimension: int, categories: int | None, support: Support) -> Posterior:
        enumerated = _enumerated(mixture, categories)
        if support == "binary":
            return BernoulliPosterior(encoder(shape), latent_dimension, enumerated)
        flow = [Exponential()] if support == "positive" else []
        return AmortizedPosterior(encoder(shape), latent_dimension, flow, enumerated)

    return build


def realnvp_family(
    encoder: MakeEncoder,
    width: int,
    couplings: int = 2,
    hidden_layers: int = 1,
    mixture: MixtureName = "conditional",
    context: bool = False,
) -> Family:
    """A Gaussian pushed through RealNVP, the paper's family for images.

    ``width``, ``couplings`` and ``hidden_layers`` are those of ``RealNVP``, ``encoder`` and ``mixture`` those of
    ``gaussian_family``. With ``context`` the couplings see the encoder's features, so that every x has a flow of its
    own; the information of w then takes the densities of all pairs (``PairwiseInformation``). Raises ``UserError`` for
    binary latents.

    >>> from functools import partial
    >>> family = realnvp_family(partial(MLPEncoder, width=64), width=16)
    >>> q = family((784,), 2, None, "real")
    >>> noise = q.draw_noise(10, 5, torch.Generator().manual_seed(0))
    >>> q.distribution(q.encode(torch.rand(5, 784))).sample(noise).w.shape
    torch.Size([10, 1, 5, 2])
    """

    def build(shape: Sequence[int], latent_dimension: int, categories: int | None, support: Support) -> Posterior:
        if support == "binary":
            raise UserError(
                "RealNVP is a density on real numbers and cannot serve binary latents (component='bernoulli'). "
                "Use gaussian_family, which becomes a factorised Bernoulli there."
            )
        encoded = encoder(shape) if context else None
        features = 0 if encoded is None else encoded.out_features
        flow: list[Bijection] = [RealNVP(latent_dimension, width, couplings, hidden_layers, features)]
        if support == "positive":
            flow.append(Exponential())
        return AmortizedPosterior(encoded or encoder(shape), latent_dimension, flow, _enumerated(mixture, categories))

    return build


def prior_family(mixture: MixtureName = "conditional") -> Family:
    """q = N(0, I) for every x, for a model without a latent.

    Raises ``UserError`` for any other prior than N(0, I), and for a ``mixture`` other than ``conditional``.
    """

    def build(shape: Sequence[int], latent_dimension: int, categories: int | None, support: Support) -> Posterior:
        if categories is not None or support != "real" or mixture != "conditional":
            raise UserError(
                "prior_family is q = N(0, I), the prior of a model without a latent. Use StandardNormalPrior, or "
                "another family."
            )
        return ConstantPosterior(latent_dimension)

    return build


def _enumerated(mixture: str, categories: int | None) -> int | None:
    if mixture not in ("conditional", "enumerate"):
        raise UserError(f"mixture={mixture} is not known. Use conditional or enumerate.")
    return categories if mixture == "enumerate" else None
