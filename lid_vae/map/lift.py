"""Full-rank lifts R^M -> R^D with orthonormal columns: the beta_2 of Definition 4, fixed once built."""

from abc import ABC, abstractmethod
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import nn

from lid_vae.errors import UserError
from lid_vae.shapes import Float, Tensor

__all__ = [
    "CyclicLift",
    "DenseLift",
    "Lift",
    "LiftName",
    "PadLift",
    "make_lift",
    "pad_lift",
    "pca_lift",
    "random_lift",
    "spread_lift",
]

LiftName = Literal["pad", "random", "pca", "spread"]

# Numbers in a block from which on a pass over them costs more than its call.
MANY = 10_000


class Lift(nn.Module, ABC):
    """u -> B u, where B of shape [D, M] has orthonormal columns, so |B a - B b| = |a - b|."""

    in_features: int
    out_features: int

    @abstractmethod
    def forward(self, u: Float[Tensor, "*batch M"]) -> Float[Tensor, "*batch D"]:
        """B u."""

    def added(self, x: Float[Tensor, "*batch D"], u: Float[Tensor, "*batch M"]) -> Float[Tensor, "*batch D"]:
        """x + B u."""
        return x + self(u)

    @abstractmethod
    def transposed(self, x: Float[Tensor, "*batch D"]) -> Float[Tensor, "*batch M"]:
        """B' x; of the rows of a matrix A, the product A B."""


class DenseLift(Lift):
    """Any B. Raises ``UserError`` if D < M (not injective) or if the columns are not orthonormal."""

    weight: Tensor

    def __init__(self, weight: Float[Tensor, "D M"]) -> None:
        super().__init__()
        self.out_features, self.in_features = weight.shape
        _check_dimensions(self.in_features, self.out_features)
        gram = weight.double().mT @ weight.double()
        if not torch.allclose(gram, torch.eye(len(gram)).to(gram), atol=1e-4):
            raise UserError("A lift needs a matrix with orthonormal columns. Use pad_lift, random_lift or pca_lift.")
        self.register_buffer("weight", weight)

    def forward(self, u: Float[Tensor, "*batch M"]) -> Float[Tensor, "*batch D"]:
        return u @ self.weight.mT

    def transposed(self, x: Float[Tensor, "*batch D"]) -> Float[Tensor, "*batch M"]:
        return x @ self.weight


class PadLift(Lift):
    """Ones on the main diagonal of B and zeros elsewhere. Raises ``UserError`` if D < M."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        _check_dimensions(in_features, out_features)
        self.in_features, self.out_features = in_features, out_features

    def forward(self, u: Float[Tensor, "*batch M"]) -> Float[Tensor, "*batch D"]:
        return F.pad(u, (0, self.out_features - self.in_features))

    def transposed(self, x: Float[Tensor, "*batch D"]) -> Float[Tensor, "*batch M"]:
        return x[..., : self.in_features]


class CyclicLift(Lift):
    """B_dm = value_d where m = d mod M, else 0: one entry in each row, so that it costs D products and not D M.

    A vocabulary has ten thousand rows. Columns are scaled to length one. Raises ``UserError`` if D < M, or if a column
    is zero.
    """

    value: Tensor

    def __init__(self, in_features: int, value: Float[Tensor, " D"]) -> None:
        super().__init__()
        self.in_features, self.out_features = in_features, len(value)
        _check_dimensions(self.in_features, self.out_features)
        length = _folded(value.double().square(), in_features).sum(-2).sqrt()
        if not bool((length > 0).all()):
            raise UserError("A lift needs a matrix of full rank, and a column of this one is zero.")
        self.register_buffer("value", (value / _tiled(length, self.out_features)).to(value.dtype))

    def forward(self, u: Float[Tensor, "*batch M"]) -> Float[Tensor, "*batch D"]:
        return _tiled(u, self.out_features) * self.value

    def added(self, x: Float[Tensor, "*batch D"], u: Float[Tensor, "*batch M"]) -> Float[Tensor, "*batch D"]:
        blocks = -(-self.out_features // self.in_features)
        alike = x.device.type == "cpu" and x.dtype == u.dtype == self.value.dtype
        if alike and x.numel() >= MANY * blocks and not torch.compiler.is_compiling():
            return _AddedBlocks.apply(x, u, self.value)  # type: ignore[no-any-return, no-untyped-call]
        return super().added(x, u)

    def transposed(self, x: Float[Tensor, "*batch D"]) -> Float[Tensor, "*batch M"]:
        return _folded(x * self.value, self.in_features).sum(-2)


class _AddedBlocks(torch.autograd.Function):
    """x + tiled(u) value, block by block of M columns: x is read once, and nothing of its size made but the result."""

    @staticmethod
    def forward(x: Tensor, u: Tensor, value: Tensor) -> Tensor:
        result = torch.empty_like(x)
        for columns, of_u in _blocks(x.shape[-1], u.shape[-1]):
            torch.addcmul(x[..., columns], u[..., of_u], value[columns], out=result[..., columns])
        return result

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(inputs[2])
        ctx.features = inputs[1].shape[-1]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:  # type: ignore[override]
        (value,) = ctx.saved_tensors
        return gradient, _FoldedBlocks.apply(gradient, value, ctx.features), None  # type: ignore[no-untyped-call]

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], x: Tensor, u: Tensor, value: Tensor) -> tuple[Tensor, int]:
        x, u, value = (
            _stacked(tensor, dim, info.batch_size) for tensor, dim in zip((x, u, value), in_dims, strict=True)
        )
        return x + _tiled(u, x.shape[-1]) * _aligned(value, x), 0


class _FoldedBlocks(torch.autograd.Function):
    """The transpose: what ``x * value`` has at the same place of every block of M columns, summed."""

    @staticmethod
    def forward(x: Tensor, value: Tensor, features: int) -> Tensor:
        total = x.new_zeros(*x.shape[:-1], features)
        for columns, of_u in _blocks(x.shape[-1], features):
            total[..., of_u].addcmul_(x[..., columns], value[columns])
        return total

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, int], output: Tensor) -> None:
        ctx.save_for_backward(inputs[1])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[override]
        (value,) = ctx.saved_tensors
        return _tiled(gradient, len(value)) * value, None, None

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], x: Tensor, value: Tensor, features: int) -> tuple[Tensor, int]:
        x, value = _stacked(x, in_dims[0], info.batch_size), _stacked(value, in_dims[1], info.batch_size)
        return _folded(x * _aligned(value, x), features).sum(-2), 0


def _stacked(tensor: Tensor, dim: int | None, size: int) -> Tensor:
    return tensor.expand(size, *tensor.shape) if dim is None else tensor.movedim(dim, 0)


def _aligned(value: Tensor, x: Tensor) -> Tensor:
    """[seeds, D] with the axes of x of shape [seeds, *batch, D]."""
    return value.unflatten(0, (-1, *(1,) * (x.dim() - 2)))


def _tiled(u: Tensor, columns: int) -> Tensor:
    """u, again and again, up to ``columns`` of them."""
    copies = -(-columns // u.shape[-1])
    return u.unsqueeze(-2).expand(*u.shape[:-1], copies, u.shape[-1]).flatten(-2)[..., :columns]


def _folded(x: Tensor, features: int) -> Tensor:
    """[*batch, D] as [*batch, copies, M], zeros at the end."""
    return F.pad(x, (0, -x.shape[-1] % features)).unflatten(-1, (-1, features))


def _blocks(columns: int, features: int) -> list[tuple[slice, slice]]:
    """The columns of each block, and those of u that they are multiples of."""
    return [
        (slice(start, start + features), slice(min(features, columns - start))) for start in range(0, columns, features)
    ]


def pad_lift(in_features: int, out_features: int) -> Lift:
    """Ones on the main diagonal and zeros elsewhere, the paper's choice."""
    return PadLift(in_features, out_features)


def spread_lift(in_features: int, out_features: int) -> Lift:
    """Each direction over all of the D dimensions' length: every M-th of them, with random signs of equal size.

    The count sketch of Charikar, Chen and Farach-Colton (2002). For a vocabulary, where ``pad`` would move the M most
    frequent words alone. Signs from torch's global generator.
    """
    _check_dimensions(in_features, out_features)
    signs = 2 * torch.randint(2, (out_features,)) - 1
    return CyclicLift(in_features, signs.to(torch.get_default_dtype()))


def random_lift(in_features: int, out_features: int) -> Lift:
    """Orthonormal columns uniform over all such matrices (QR of a Gaussian matrix), from torch's global generator."""
    _check_dimensions(in_features, out_features)
    columns, triangle = torch.linalg.qr(torch.randn(out_features, in_features, dtype=torch.float64))
    return DenseLift((columns * triangle.diagonal().sign()).to(torch.get_default_dtype()))


def pca_lift(in_features: int, data: Float[Tensor, "N D"]) -> DenseLift:
    """The leading principal directions of ``data``; each column's largest entry is positive, so that signs repeat.

    Raises ``UserError`` if there are fewer than ``in_features`` dimensions.
    """
    _check_dimensions(in_features, data.shape[1])
    centred = data.double() - data.double().mean(0)
    covariance = centred.mT @ centred / len(data)
    _, vectors = torch.linalg.eigh(covariance)
    columns = vectors.flip(-1)[:, :in_features]
    largest = columns.gather(0, columns.abs().argmax(0, keepdim=True))
    return DenseLift((columns * largest.sign()).to(torch.get_default_dtype()))


def make_lift(name: LiftName, in_features: int, out_features: int) -> Lift:
    """The lift of a name; that of "pca" is random until it is given the directions of the data.

    Raises ``UserError`` for a name that is not known.
    """
    makers = {"pad": pad_lift, "random": random_lift, "pca": random_lift, "spread": spread_lift}
    if name not in makers:
        raise UserError(f"map.lift={name} is not known. Use one of {', '.join(makers)}.")
    return makers[name](in_features, out_features)


def _check_dimensions(in_features: int, out_features: int) -> None:
    if out_features < in_features:
        raise UserError(
            f"A lift goes from fewer dimensions to more, got {in_features} -> {out_features}, which cannot be "
            f"injective. Use a latent dimension of at most {out_features}."
        )
