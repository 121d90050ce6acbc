"""Shape aliases for signatures, checked at run time in the tests only (jaxtyping).

Letters, also used as suffixes of local names (``x_BD``): S samples, B batch, K categories, L latent, M dimension of w,
D features, N whole data set, T tokens, V vocabulary, H history.
"""

from jaxtyping import Bool, Float, Int
from torch import Tensor

__all__ = ["Bool", "Float", "Int", "Observations", "Tensor"]

Observations = Float[Tensor, "B D"] | Int[Tensor, "B T"]
"""A batch of vectors, or of sequences padded at the right."""
