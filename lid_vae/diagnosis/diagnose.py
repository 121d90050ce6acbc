"""Posterior collapse of any VAE, in one call."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from inspect import getclosurevars, isfunction, ismethod
from itertools import chain
from typing import Any

import torch
from torch import nn

from lid_vae.diagnosis.batches import Split, batches_of
from lid_vae.diagnosis.measure import measure
from lid_vae.diagnosis.report import Report
from lid_vae.diagnosis.seeded import seeded
from lid_vae.diagnosis.subject.base import Subject
from lid_vae.diagnosis.subject.foreign import Encode, Foreign, LogLikelihood, Prior
from lid_vae.diagnosis.subject.named import MakeLikelihood
from lid_vae.diagnosis.subject.recognise import recognise
from lid_vae.errors import UserError
from lid_vae.noise import derive_seed
from lid_vae.shapes import Tensor

__all__ = ["diagnose"]


def diagnose(
    model: nn.Module | None = None,
    data: Any = None,
    *,
    encode: Encode | None = None,
    log_likelihood: LogLikelihood | None = None,
    prior: Prior | None = None,
    samples: int = 100,
    likelihood: MakeLikelihood | None = None,
    scale: float = 1.0,
    decode: Callable[[Tensor], Tensor] | None = None,
    batch_size: int = 500,
    split: Split = "test",
    seed: int = 0,
    device: torch.device | str | None = None,
) -> Report:
    """Active units, KL, mutual information and log-likelihood of a VAE, each with its error, and what they mean.

    Either a ``model`` that is recognised (one of this package's, pythae's, diffusers' ``AutoencoderKL``, or a module
    that returns (reconstruction, mean, log_variance) and has ``decode`` or ``decoder``), or any VAE as ``encode``,
    ``log_likelihood`` and ``prior``. Modules are measured in evaluation mode, and left in the mode they were in.
    The random numbers are a function of ``seed``; the caller's are left alone.

    Args:
        model: the VAE, where it is recognised.
        data: examples: a tensor or NumPy array [N, ...], a ``Dataset``, a ``DataLoader`` (of tensors, tuples that begin
            with x, or dictionaries) or a ``LightningDataModule``.
        encode: x [B, ...] -> q(z | x): any ``torch.distributions`` or zuko distribution, its first axis the batch. A
            ``Categorical`` or ``OneHotCategorical`` is summed exactly.
        log_likelihood: (x [B, ...], z [S, B, ...]) -> log p(x | z) [S, B], nats. Without it the log-likelihood and the
            ELBO are left out.
        prior: p(z): a distribution of one latent, such as ``Normal(0, 1)``, or a function that returns it.
        samples: S, importance samples, and draws for every expectation that has no closed form; two at the least.
        likelihood: of a recognised model of another make: ``"bernoulli"`` (it returns probabilities),
            ``"bernoulli_logits"``, ``"gaussian"`` (means), or a function from its reconstruction to a distribution.
        scale: the standard deviation of ``"gaussian"``, in the units of x; 1 is what half the squared error means.
        decode: the part of a module that takes z [N, ...] to the reconstruction, where it is not called so.
        batch_size: examples at once, of a tensor, array or ``Dataset``.
        split: ``"train"``, ``"val"`` or ``"test"``, of a ``LightningDataModule``.
        seed: of the draws.
        device: where the batches go; None: where the model's parameters are, or for functions where the data are.

    Returns:
        A ``Report``: ``au``, ``kl``, ``mi``, ``ll``, ``elbo``, ``kl_by_dimension``, ``verdict()``, ``to_frame()``,
        ``plot()``.

    Raises:
        UserError: (a ``ValueError``) for a missing prior, for shapes, scales and data that do not fit, and for models
            that are not recognised or whose likelihood is not named.

    >>> from torch.distributions import Normal
    >>> x = torch.randn(1000, 2)
    >>> report = diagnose(encode=lambda x: Normal(0.6 * x, 0.8), prior=Normal(0.0, 1.0), data=x)
    >>> report.au.value
    1.0
    >>> 0.35 < report.kl.value < 0.55  # 0.45 in expectation
    True
    """
    _check(model, data, encode, log_likelihood, prior, samples, likelihood, decode)
    modules = list(_modules(model, encode, log_likelihood, decode, prior))
    dtype = None
    if isinstance(model, nn.Module):
        first = next(chain(model.parameters(), model.buffers()), None)
        if first is not None:
            device = first.device if device is None else device
            dtype = first.dtype if first.is_floating_point() else None
    prepare = getattr(model, "prepare", None)
    if isinstance(model, nn.Module) and callable(prepare):
        data = prepare(data)  # one of this package's, which knows what its examples are like
    # loaders and models draw from global generators, too
    with evaluating(modules), seeded(derive_seed("data", seed), torch.device(device or "cpu")):
        batches = batches_of(data, batch_size, split, device, dtype)
        subject: Subject
        if model is None:
            assert encode is not None
            assert prior is not None
            subject = Foreign(encode, log_likelihood, prior, samples, seed)
        else:
            x = next(batches)
            batches = chain([x], batches)
            subject = recognise(model, x, samples, seed, likelihood, scale, decode)
        return measure(subject, batches, seed)


def _check(
    model: nn.Module | None,
    data: Any,
    encode: Encode | None,
    log_likelihood: LogLikelihood | None,
    prior: Prior | None,
    samples: int,
    likelihood: MakeLikelihood | None,
    decode: Callable[[Tensor], Tensor] | None,
) -> None:
    example = "diagnose(encode=lambda x: Normal(mean(x), std(x)), log_likelihood=f, prior=Normal(0, 1), data=x)"
    if model is None and encode is None:
        raise UserError(f"diagnose needs a model, diagnose(model, x), or its parts: {example}.")
    if model is not None and (encode is not None or log_likelihood is not None or prior is not None):
        raise UserError(
            f"diagnose takes a model or its parts, not both. Leave the model out to say what q, p(x | z) and p(z) are: "
            f"{example}."
        )
    if model is not None and not isinstance(model, nn.Module):
        raise UserError(
            f"diagnose(model, x) needs a torch.nn.Module as its model, got a {type(model).__name__}. Functions are "
            f"given by name: {example}."
        )
    if model is None and prior is None:
        raise UserError(
            f"diagnose needs the prior p(z), from which q(z | x) is measured: prior=Normal(0, 1) for a standard normal "
            f"one, as in {example}."
        )
    if model is None and (likelihood is not None or decode is not None):
        raise UserError(
            "likelihood= and decode= go with a model. With encode= give log_likelihood=, a function (x, z) -> log "
            "p(x | z) of shape [S, B]."
        )
    if data is None:
        raise UserError("diagnose needs data: a tensor or array [N, ...], a Dataset, a DataLoader or a data module.")
    if samples < 2:
        raise UserError(f"diagnose needs two samples at the least, for its errors; got samples={samples}.")


def _modules(*parts: Any) -> Iterator[nn.Module]:
    """Modules among ``parts``, those whose methods they are, and those that functions among them name."""
    for part in parts:
        if isinstance(part, nn.Module):
            yield part
        elif ismethod(part):
            if isinstance(part.__self__, nn.Module):
                yield part.__self__
        elif isfunction(part):
            known = getclosurevars(part)
            yield from (one for one in (*known.nonlocals.values(), *known.globals.values()) if _is_module(one))


def _is_module(one: Any) -> bool:
    return isinstance(one, nn.Module)


@contextmanager
def evaluating(modules: Iterable[nn.Module]) -> Iterator[None]:
    """Evaluation mode for a while; each part gets back the mode that it had."""
    modes = [(part, part.training) for module in modules for part in module.modules()]
    try:
        for part, _ in modes:
            part.training = False
        yield
    finally:
        for part, mode in modes:
            part.training = mode
