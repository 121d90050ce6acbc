"""The log-probability of one symbol, and its first two derivatives, in few passes over the logits."""

from typing import Any

import torch

from lid_vae.map.convex.positive import softplus
from lid_vae.shapes import Float, Int, Tensor

__all__ = ["minimal_log_prob"]


def minimal_log_prob(free: Float[Tensor, "*batch free"], symbol: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    """log softmax([free, 0])[symbol], nats, for ``symbol`` from 0 to the number of free logits, whose logit is the 0.

    A training step over 10,000 symbols spends a good part of itself here. Twice differentiable in reverse mode.
    """
    if torch.compiler.is_compiling():
        fixed, index = _place(free, symbol)
        return free.gather(-1, index).squeeze(-1).masked_fill(fixed, 0) - softplus(free.logsumexp(-1))
    return _MinimalLogProb.apply(free, symbol)[0]  # type: ignore[no-any-return, no-untyped-call]


class _MinimalLogProb(torch.autograd.Function):
    """Also returns log(1 + sum exp free), which the derivatives take."""

    @staticmethod
    def forward(free: Tensor, symbol: Tensor) -> tuple[Tensor, Tensor]:
        fixed, index = _place(free, symbol)
        relative = torch.log_softmax(free, -1)
        log_sum = free[..., 0] - relative[..., 0]
        total = softplus(log_sum)
        # log_sum - softplus(log_sum) = -softplus(-log_sum)
        return torch.where(fixed, -total, relative.gather(-1, index).squeeze(-1) - softplus(-log_sum)), total

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: tuple[Tensor, Tensor]) -> None:
        ctx.save_for_backward(*inputs, output[1])
        ctx.mark_non_differentiable(output[1])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, _: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        return _Slope.apply(gradient, *ctx.saved_tensors), None  # type: ignore[no-untyped-call]


class _Slope(torch.autograd.Function):
    """factor * (onehot(symbol) - probability)."""

    @staticmethod
    def forward(factor: Tensor, free: Tensor, symbol: Tensor, total: Tensor) -> Tensor:
        fixed, index = _place(free, symbol)
        slope = _probability(free, total).mul_(-factor.unsqueeze(-1))
        return slope.scatter_add_(-1, index, factor.masked_fill(fixed, 0).unsqueeze(-1))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:  # type: ignore[override]
        """Of ``total`` too, as the function of ``free`` that it is."""
        factor, free, symbol, total = ctx.saved_tensors
        fixed, index = _place(free, symbol)
        probability = _probability(free, total)
        expected = (probability.unsqueeze(-2) @ gradient.unsqueeze(-1)).squeeze(-1)
        to_factor = gradient.gather(-1, index).masked_fill(fixed.unsqueeze(-1), 0) - expected
        return to_factor.squeeze(-1), probability.mul_(gradient - expected).mul_(-factor.unsqueeze(-1)), None, None


def _place(free: Tensor, symbol: Tensor) -> tuple[Tensor, Tensor]:
    """Whether a symbol is the one without a free logit, and the index of its logit elsewhere."""
    fixed = symbol == free.shape[-1]
    return fixed, symbol.masked_fill(fixed, 0).unsqueeze(-1)


def _probability(free: Tensor, total: Tensor) -> Tensor:
    return (free - total.unsqueeze(-1)).exp_()
