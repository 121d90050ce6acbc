"""Blocks of M columns of D, as a lift with one entry in each row has them: sums over many columns in few passes."""

from typing import Any

import torch
import torch.nn.functional as F

from lid_vae.shapes import Tensor

__all__ = ["AddedBlocks", "AffineBlocks", "FoldedBlocks", "folded", "tiled"]

# Columns that are taken at once.
WIDE = 1024


class AddedBlocks(torch.autograd.Function):
    """x + tiled(u) value, some blocks of M columns at a time: x is read once, and only the result is of its size."""

    @staticmethod
    def forward(x: Tensor, u: Tensor, value: Tensor) -> Tensor:
        result = torch.empty_like(x)
        many = tiled(u, _wide(x.shape[-1], u.shape[-1]))
        for columns, of_u in _blocks(x.shape[-1], many.shape[-1]):
            torch.addcmul(x[..., columns], many[..., of_u], value[columns], out=result[..., columns])
        return result

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(inputs[2])
        ctx.features = inputs[1].shape[-1]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:  # type: ignore[override]
        """From ``gradient``, that in the result: those in x and u. ``ctx`` holds what was kept."""
        (value,) = ctx.saved_tensors
        return gradient, FoldedBlocks.apply(gradient, value, ctx.features), None  # type: ignore[no-untyped-call]

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], x: Tensor, u: Tensor, value: Tensor) -> tuple[Tensor, int]:
        """As ``forward``, of ``x``, ``u`` and ``value`` of all seeds in ``info``, along ``in_dims`` (None: shared)."""
        x, u, value = (
            _stacked(tensor, dim, info.batch_size) for tensor, dim in zip((x, u, value), in_dims, strict=True)
        )
        return x + tiled(u, x.shape[-1]) * _aligned(value, x), 0


class AffineBlocks(torch.autograd.Function):
    """hidden W' + bias + tiled(u) value: the sum is what the product is added to, and costs no pass of its own."""

    @staticmethod
    def forward(hidden: Tensor, weight: Tensor, bias: Tensor, u: Tensor, value: Tensor) -> Tensor:
        result = u.new_empty(*u.shape[:-1], len(bias))
        many = tiled(u, _wide(len(bias), u.shape[-1]))
        for columns, of_u in _blocks(len(bias), many.shape[-1]):
            torch.addcmul(bias[columns], many[..., of_u], value[columns], out=result[..., columns])
        result.view(-1, len(bias)).addmm_(hidden.reshape(-1, hidden.shape[-1]), weight.mT)
        return result

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        hidden, weight, _, u, value = inputs
        ctx.save_for_backward(hidden, weight, value)
        ctx.features = u.shape[-1]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, None]:  # type: ignore[override]
        """From ``gradient``, that in the result: those in hidden, weight, bias and u. ``ctx`` holds what was kept."""
        hidden, weight, value = ctx.saved_tensors
        rows = gradient.reshape(-1, gradient.shape[-1])
        to_weight = rows.mT @ hidden.reshape(-1, hidden.shape[-1])
        to_u = FoldedBlocks.apply(gradient, value, ctx.features)  # type: ignore[no-untyped-call]
        return gradient @ weight, to_weight, rows.sum(0), to_u, None

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *inputs: Tensor) -> tuple[Tensor, int]:
        """As ``forward``, of inputs of all seeds in ``info``, along ``in_dims`` (None: shared)."""
        pairs = zip(inputs, in_dims, strict=True)
        hidden, weight, bias, u, value = (_stacked(tensor, dim, info.batch_size) for tensor, dim in pairs)
        product = torch.func.vmap(F.linear)(hidden, weight, bias)
        return product + tiled(u, bias.shape[-1]) * _aligned(value, product), 0


class FoldedBlocks(torch.autograd.Function):
    """The transpose: what ``x * value`` has at the same place of every block of M columns, summed."""

    @staticmethod
    def forward(x: Tensor, value: Tensor, features: int) -> Tensor:
        total = x.new_zeros(*x.shape[:-1], _wide(x.shape[-1], features))
        for columns, of_u in _blocks(x.shape[-1], total.shape[-1]):
            total[..., of_u].addcmul_(x[..., columns], value[columns])
        return folded(total, features).sum(-2)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, int], output: Tensor) -> None:
        ctx.save_for_backward(inputs[1])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[override]
        """From ``gradient``, that in the result: that in x. ``ctx`` holds what was kept."""
        (value,) = ctx.saved_tensors
        return tiled(gradient, len(value)) * value, None, None

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], x: Tensor, value: Tensor, features: int) -> tuple[Tensor, int]:
        """As ``forward``, of ``x`` and ``value`` of all seeds in ``info``, along ``in_dims`` (None: shared).

        ``features`` is M.
        """
        x, value = _stacked(x, in_dims[0], info.batch_size), _stacked(value, in_dims[1], info.batch_size)
        return folded(x * _aligned(value, x), features).sum(-2), 0


def _stacked(tensor: Tensor, dim: int | None, size: int) -> Tensor:
    return tensor.expand(size, *tensor.shape) if dim is None else tensor.movedim(dim, 0)


def _aligned(value: Tensor, x: Tensor) -> Tensor:
    """[seeds, D] with the axes of x of shape [seeds, *batch, D]."""
    return value.unflatten(0, (-1, *(1,) * (x.dim() - 2)))


def tiled(u: Tensor, columns: int) -> Tensor:
    """u, again and again, up to ``columns`` of them."""
    copies = -(-columns // u.shape[-1])
    return u.unsqueeze(-2).expand(*u.shape[:-1], copies, u.shape[-1]).flatten(-2)[..., :columns]


def folded(x: Tensor, features: int) -> Tensor:
    """``x`` of shape [*batch, D] as [*batch, copies, M] with M = ``features``, zeros at the end."""
    return F.pad(x, (0, -x.shape[-1] % features)).unflatten(-1, (-1, features))


def _wide(columns: int, features: int) -> int:
    """How many columns are taken at once: those of several blocks, as passes over short rows are slow."""
    return min(columns, features * max(1, WIDE // features))


def _blocks(columns: int, wide: int) -> list[tuple[slice, slice]]:
    """Columns, ``wide`` of them at once, and those of as many copies of u that they are multiples of."""
    return [(slice(start, start + wide), slice(min(wide, columns - start))) for start in range(0, columns, wide)]
