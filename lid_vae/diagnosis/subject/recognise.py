"""Models that need no functions: this package's, pythae's, diffusers', and modules that return (x', mean, log var)."""

import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.distributions import Normal

from lid_vae.diagnosis.subject.base import REFUSALS, Subject, refused
from lid_vae.diagnosis.subject.foreign import Encode, Foreign
from lid_vae.diagnosis.subject.named import NAMES, MakeLikelihood, likelihood_of
from lid_vae.errors import UserError
from lid_vae.shapes import Tensor

__all__ = ["recognise"]

Decode = Callable[[Tensor], Tensor]
# pythae's models whose q or prior is not what its encoder's embedding and a standard normal say.
NOT_GAUSSIAN = ("AE", "VAMP", "VAE_IAF", "VAE_LinNF", "VQVAE", "SVAE", "PoincareVAE", "HVAE", "RHVAE", "WAE_MMD")


def recognise(
    model: nn.Module,
    x: Tensor,
    samples: int,
    seed: int,
    likelihood: MakeLikelihood | None,
    scale: float,
    decode: Decode | None,
) -> Subject:
    """What ``model`` is, by what it has; ``x`` is the first batch. Raises ``UserError`` where it is nothing known.

    ``samples``, ``seed``, ``likelihood``, ``scale`` and ``decode`` are those of ``diagnose``.
    """
    own = _own(model, samples)
    if own is not None:
        if likelihood is not None or decode is not None:
            raise UserError(
                f"{type(model).__name__} has its own likelihood; leave likelihood= and decode= out of diagnose."
            )
        return own
    name = type(model).__name__
    encode, found = _pythae(model) or _diffusers(model, x) or _returning_three(model, x, decode)
    if likelihood is None:
        raise UserError(
            f"{name} returns a reconstruction and does not say what p(x | z) it is of. Name it: diagnose(model, x, "
            f"likelihood=...), one of {', '.join(NAMES)}, or a function from the reconstruction to a "
            f"distribution.{_hint(model)}"
        )
    return Foreign(
        encode, likelihood_of(decode or found, likelihood, scale), Normal(0.0, 1.0), samples, seed, name=name
    )


def _own(model: nn.Module, samples: int) -> Subject | None:
    """Without importing Lightning for it: a model of a class that was never imported is none."""
    module = sys.modules.get("lid_vae.train.vae_module")
    plain = sys.modules.get("lid_vae.vae")
    if module is not None and isinstance(model, module.VAEModule):
        from lid_vae.diagnosis.subject.own import Own

        return Own(model.vae, model.infer, samples, model.objective.samples, type(model).__name__)
    if plain is not None and isinstance(model, plain.Autoencoder):
        from lid_vae.diagnosis.subject.own import Own

        return Own(
            model, lambda x, noise: model.posterior.distribution(model.posterior.encode(x)), samples, name="Autoencoder"
        )
    return None


def _pythae(model: Any) -> tuple[Encode, Decode] | None:
    """Chadebec et al. (2022): an encoder that returns embedding and log_covariance, a decoder with reconstruction."""
    if not all(hasattr(model, part) for part in ("encoder", "decoder", "model_config")):
        return None
    if (kind := getattr(model, "model_name", "VAE")) in NOT_GAUSSIAN:
        raise UserError(
            f"pythae's {kind} has another q or another prior than a Gaussian encoder and N(0, 1). Say what they are: "
            "diagnose(encode=..., log_likelihood=..., prior=..., data=...)."
        )

    def encode(x: Tensor) -> Normal:
        out = model.encoder(x)
        return gaussian(out.embedding, out.log_covariance)

    return encode, lambda z: model.decoder(z).reconstruction


def _diffusers(model: Any, x: Tensor) -> tuple[Encode, Decode] | None:
    """AutoencoderKL and its relatives: encode(x).latent_dist, decode(z).sample."""
    if not (callable(getattr(model, "encode", None)) and callable(getattr(model, "decode", None))):
        return None
    try:
        with torch.no_grad():
            found = hasattr(model.encode(x[:1]), "latent_dist")
    except REFUSALS as error:
        if hasattr(model, "config"):
            raise refused(type(model).__name__, x, error) from error
        return None
    if not found:
        return None

    def encode(x: Tensor) -> Normal:
        q = model.encode(x).latent_dist
        return Normal(q.mean, q.std)

    return encode, lambda z: model.decode(z).sample


def _returning_three(model: Any, x: Tensor, decode: Decode | None) -> tuple[Encode, Decode]:
    """A module whose forward returns (reconstruction, mean, log_variance), as tutorials write it."""
    name = type(model).__name__
    try:
        with torch.no_grad():
            out = model(x[:2])
    except REFUSALS as error:
        raise refused(type(model).__name__, x, error) from error
    unknown = (
        f"{name} is not recognised. diagnose(model, x) knows the models of lid_vae, pythae and diffusers, and modules "
        "that return (reconstruction, mean, log_variance); any other VAE is diagnose(encode=..., log_likelihood=..., "
        "prior=..., data=...)."
    )
    if not isinstance(out, tuple | list) or len(out) < 3 or not all(isinstance(part, Tensor) for part in out[:3]):
        raise UserError(unknown)
    reconstruction, mean, log_variance = out[:3]
    rows = len(x[:2])
    if mean.shape != log_variance.shape or reconstruction.numel() != x[:2].numel() or mean.shape[:1] != (rows,):
        raise UserError(
            f"{unknown} This one returns shapes {list(reconstruction.shape)}, {list(mean.shape)} and "
            f"{list(log_variance.shape)} for x of shape {list(x[:2].shape)}."
        )
    if decode is None:
        decode = getattr(model, "decode", None) or getattr(model, "decoder", None)
    if not callable(decode):
        raise UserError(
            f"{name} has neither decode nor decoder. Say which part takes z to the reconstruction: "
            "diagnose(model, x, decode=model.generator)."
        )
    chosen = decode

    def encode(x: Tensor) -> Normal:
        return gaussian(*model(x)[1:3])

    return encode, chosen


def gaussian(mean: Tensor, log_variance: Tensor) -> Normal:
    """q of a mean and a logarithm of the variance."""
    return Normal(mean, (0.5 * log_variance).exp(), validate_args=False)


def _hint(model: Any) -> str:
    loss = getattr(getattr(model, "model_config", None), "reconstruction_loss", None)
    names = {
        "bce": ' Its configuration says reconstruction_loss="bce", which is likelihood="bernoulli".',
        "mse": ' Its configuration says reconstruction_loss="mse", which is likelihood="gaussian" with scale=1.',
    }
    return names.get(loss, "") if isinstance(loss, str) else ""
