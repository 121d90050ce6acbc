"""Non-negative weights, and an initialisation under which signals pass through layers that have them."""

from math import acos, log, pi, sqrt
from typing import Any

import torch
import torch.nn.functional as F

from lid_vae.errors import UserError
from lid_vae.shapes import Float, Tensor

__all__ = ["check_start", "convex_initialisation", "inverse_softplus", "positive", "softplus"]

CORRELATION = 0.5
THRESHOLD = 40.0
# Numbers from which on the kernels of ``_Softplus`` cost more than their calls.
MANY = 10_000


def softplus(a: Tensor) -> Tensor:
    """log(1 + exp(a)), whose slope is sigmoid(a): beyond PyTorch's own threshold of 20 both would be off by 2e-9.

    In single precision on a CPU PyTorch's own takes five times as long, for its log1p (compiled ten times).
    """
    if a.dtype is torch.float32 and a.device.type == "cpu":
        if torch.compiler.is_compiling():
            e = (-a.abs()).exp()
            u = e + 1
            return u.log() + (e - (u - 1)) / u + (a + a.abs()) / 2
        if a.numel() >= MANY:
            return _Softplus.apply(a)  # type: ignore[no-any-return, no-untyped-call]
    return F.softplus(a, threshold=THRESHOLD)


def positive(raw: Tensor) -> Tensor:
    """softplus(raw) > 0: the gradient vanishes nowhere, as it would under clamping."""
    return softplus(raw)


def inverse_softplus(value: Tensor) -> Tensor:
    """The ``raw`` with ``positive(raw) == value``, for value > 0."""
    return value + torch.log(-torch.expm1(-value))


def convex_initialisation(fan_out: int, fan_in: int) -> tuple[Float[Tensor, "out in"], float]:
    """Raw weights (before ``positive``) and the bias for a layer from ``fan_in`` ReLU-like units to ``fan_out``.

    The weights are log-normal; their mean and variance are such that pre-activations of mean 0, variance 1 and pairwise
    correlation 1/2 give pre-activations of the same kind in the next layer. Hoedt and Klambauer (2023), "Principled
    weight initialisation for input-convex neural networks", derive the same fixed point.
    """
    rho, n = CORRELATION, fan_in
    mean_relu = 1 / sqrt(2 * pi)
    second_moment = 0.5
    cross_moment = (sqrt(1 - rho**2) + rho * (pi - acos(rho))) / (2 * pi)
    variance = (1 - rho) / (n * second_moment)
    sum_variance = n * second_moment + n * (n - 1) * cross_moment - (n * mean_relu) ** 2
    mean = sqrt(rho / sum_variance)
    log_variance = log(1 + variance / mean**2)
    weight = torch.randn(fan_out, fan_in).mul(sqrt(log_variance)).add(log(mean) - log_variance / 2).exp()
    return inverse_softplus(weight.clamp(1e-12)), -mean * n * mean_relu


def check_start(name: str, usual: float, sharpness: float, curvature: float) -> None:
    """Raises ``UserError`` unless ``sharpness`` and ``curvature`` are positive: their logarithms start parameters.

    ``name`` is the class that needs them, ``usual`` the sharpness to advise.
    """
    for option, value, use in (("sharpness", sharpness, usual), ("curvature", curvature, 1)):
        if not value > 0:
            raise UserError(f"{name} needs {option} > 0, got {option}={value}. Use {option}={use}.")


class _Softplus(torch.autograd.Function):
    """max(a, 0) + log1p(e), e = exp(-|a|), with log1p(e) = log(u) + (e - (u - 1)) / u for the rounded u = 1 + e."""

    generate_vmap_rule = True

    @staticmethod
    def forward(a: Tensor) -> Tensor:
        e = a.abs().neg_().exp_()
        u = e + 1
        rest = e.sub_(u - 1).div_(u)
        return u.log_().add_(rest).add_(a.clamp_min(0))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        return _times_slope(gradient, ctx.saved_tensors[0])

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor) -> Tensor:  # type: ignore[override]
        return _times_slope(tangent, ctx.saved_tensors[0])


def _times_slope(factor: Tensor, a: Tensor) -> Tensor:
    """factor * sigmoid(a) in one pass."""
    return torch.ops.aten.softplus_backward(factor, a, 1.0, THRESHOLD)  # type: ignore[no-any-return]
