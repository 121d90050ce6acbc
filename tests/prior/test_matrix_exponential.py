"""The matrix exponential by products: equal to PyTorch's, a rotation where it should be one, and captured as it is."""

import pytest
import torch
from builders import normal
from hypothesis import given
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from lid_vae.prior import ComponentCode
from lid_vae.prior.matrix_exponential import matrix_exponential

sizes = st.integers(1, 64)
# From where training starts to four times as far as a random walk of 100,000 steps leads.
norms = st.just(0.0) | st.floats(1e-6, 200.0)
keys = st.integers(0, 10**6)


def skew(dimension: int, norm: float, key: int) -> torch.Tensor:
    """A skew-symmetric matrix whose largest singular value is ``norm``."""
    a = normal(dimension, dimension, key=key)
    a = a - a.mT
    return a * (norm / torch.linalg.matrix_norm(a, 2).clamp_min(1e-12))


def rotation(a: torch.Tensor) -> torch.Tensor:
    """exp(a) of a skew-symmetric ``a`` by its eigenvalues, those of i a being real."""
    values, vectors = torch.linalg.eigh(1j * a)
    return ((vectors * torch.exp(-1j * values)) @ vectors.mH).real


@given(sizes, norms, keys)
def test_a_skew_symmetric_matrix_gives_its_rotation(dimension: int, norm: float, key: int) -> None:
    a = skew(dimension, norm, key)
    found = matrix_exponential(a)
    torch.testing.assert_close(found, rotation(a), rtol=0, atol=1e-13)
    torch.testing.assert_close(found, torch.linalg.matrix_exp(a), rtol=0, atol=2e-13)
    torch.testing.assert_close(found @ found.mT, torch.eye(dimension, dtype=a.dtype), rtol=0, atol=1e-13)


@given(sizes, norms, keys)
def test_single_precision_is_as_good_as_its_argument(dimension: int, norm: float, key: int) -> None:
    """The rotation of the rounded argument, to 1e-6 and orthogonal to it, where PyTorch's own is off by 1e-4."""
    a = skew(dimension, norm, key).float()
    found = matrix_exponential(a)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), rotation(a.double()), rtol=0, atol=1e-6)
    torch.testing.assert_close(found @ found.mT, torch.eye(dimension), rtol=0, atol=1e-6)
    if norm < 1:
        torch.testing.assert_close(found, torch.linalg.matrix_exp(a), rtol=0, atol=2e-6)


@given(st.integers(1, 16), st.floats(0.0, 10.0), keys)
def test_any_matrix_has_pytorchs_exponential(dimension: int, norm: float, key: int) -> None:
    a = normal(2, 3, dimension, dimension, key=key)
    a = a * (norm / torch.linalg.matrix_norm(a, 2, keepdim=True))
    expected = torch.linalg.matrix_exp(a)
    torch.testing.assert_close(matrix_exponential(a), expected, rtol=1e-12, atol=1e-13 * float(expected.abs().max()))


def test_at_zero_it_is_the_identity_to_the_last_bit() -> None:
    for dtype in (torch.float32, torch.float64):
        assert torch.equal(matrix_exponential(torch.zeros(5, 5, dtype=dtype)), torch.eye(5, dtype=dtype))


def test_it_holds_beyond_what_training_reaches() -> None:
    a = skew(16, 500.0, 0)
    torch.testing.assert_close(matrix_exponential(a), rotation(a), rtol=0, atol=1e-6)


@pytest.mark.parametrize("norm", [0.0, 1.0, 30.0])
def test_gradients_to_the_second_order(norm: float) -> None:
    a = skew(4, norm, 1).requires_grad_()
    assert torch.autograd.gradcheck(matrix_exponential, a)
    assert torch.autograd.gradgradcheck(matrix_exponential, a)
    weight = normal(4, 4)
    own, theirs = (
        torch.autograd.grad((exponential(a) * weight).sum(), a)[0]
        for exponential in (matrix_exponential, torch.linalg.matrix_exp)
    )
    torch.testing.assert_close(own, theirs, rtol=0, atol=1e-12)


def test_vmap_is_a_loop() -> None:
    a = torch.stack([skew(6, norm, 2) for norm in (0.0, 0.3, 3.0, 60.0)])
    torch.testing.assert_close(
        torch.vmap(matrix_exponential)(a), torch.stack([matrix_exponential(one) for one in a]), rtol=0, atol=1e-14
    )


def test_mixed_precision_leaves_it_alone() -> None:
    a = skew(8, 5.0, 3).float()
    with torch.autocast("cpu", torch.bfloat16):
        found = matrix_exponential(a)
    assert torch.equal(found, matrix_exponential(a))


class Operations(TorchDispatchMode):
    """Notes the name of every operation."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        self.names.add(function.overloadpacket.__name__)
        return function(*arguments, **(options or {}))


def test_a_regular_code_is_made_and_differentiated_without_the_host() -> None:
    """PyTorch's exponential reads the norm of its argument, which no captured step can."""
    code = ComponentCode(5, 3, "regular", 0.5)
    with Operations() as operations:
        code().square().sum().backward()
    assert not operations.names & {"linalg_matrix_exp", "_local_scalar_dense", "nonzero", "item"}
    meta = ComponentCode(5, 3, "regular", 0.5).to("meta")
    meta().sum().backward()
    assert meta.skew.grad is not None


@pytest.mark.gpu
def test_a_regular_code_is_captured_as_a_graph() -> None:
    code = ComponentCode(5, 8, "regular", 0.5).cuda()
    weight = normal(5, 8).float().cuda()

    def gradient() -> torch.Tensor:
        return torch.autograd.grad((code() * weight).sum(), code.skew)[0]

    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        gradient()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = gradient()
    with torch.no_grad():
        code.skew.copy_(normal(8, 8, key=1))
    graph.replay()
    torch.testing.assert_close(captured, gradient())
