"""Active units: the share of latent dimensions whose posterior mean moves with x."""

from typing import Any

import torch

from lid_vae.errors import UserError
from lid_vae.metrics.plotted import PlottedMetric
from lid_vae.shapes import Bool, Float, Tensor

__all__ = ["ActiveUnits"]


class ActiveUnits(PlottedMetric):
    """Share of dimensions d with Var_x(E_q[z_d | x]) >= threshold times the prior variance of z_d.

    ``prior_variance`` [L] is that of each dimension. For a N(0, 1) prior this is Burda, Grosse and Salakhutdinov
    (2016), with their threshold of 0.01. For the one-hot code of a category of probability p the prior variance is
    p (1 - p); an absolute 0.01 would call a perfect 100-way latent dead.

    >>> units = ActiveUnits(torch.ones(3))
    >>> units.update(torch.randn(1000, 3) * torch.tensor([1.0, 0.5, 0.01]))
    >>> round(float(units.compute()), 2)
    0.67
    """

    full_state_update = False
    higher_is_better = True
    count: Tensor
    first_sum: Tensor
    second_sum: Tensor
    product_sum: Tensor
    prior_variance: Tensor

    def __init__(self, prior_variance: Float[Tensor, " L"], threshold: float = 0.01, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.threshold = threshold
        self.register_buffer("prior_variance", prior_variance.detach().double().clone(), persistent=False)
        zeros = torch.zeros(len(prior_variance), dtype=torch.float64)
        self.add_state("count", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        for name in ("first_sum", "second_sum", "product_sum"):
            self.add_state(name, zeros.clone(), dist_reduce_fx="sum")

    def update(self, mean: Float[Tensor, "B L"], independent_mean: Float[Tensor, "B L"] | None = None) -> None:
        """Posterior means of a batch.

        Where they are averages over samples, give two averages over independent halves: the covariance of the halves
        estimates the variance of the exact mean without the bias that sampling noise adds to a variance.
        """
        if mean.ndim != 2 or mean.shape[1] != len(self.prior_variance):
            raise UserError(
                f"Active units need posterior means of shape [B, {len(self.prior_variance)}], got {tuple(mean.shape)}."
            )
        first = mean.double()
        second = first if independent_mean is None else independent_mean.double()
        self.count += len(first)
        self.first_sum += first.sum(0)
        self.second_sum += second.sum(0)
        self.product_sum += (first * second).sum(0)

    def activity(self) -> Float[Tensor, " L"]:
        """Var_x(E_q[z_d | x]) of each dimension."""
        return self.product_sum / self.count - self.first_sum * self.second_sum / self.count.square()

    def active(self) -> Bool[Tensor, " L"]:
        """Which dimensions are active."""
        return self.activity() >= self.threshold * self.prior_variance

    def compute(self) -> Float[Tensor, ""]:
        return self.active().double().mean()

    def absolute(self) -> Float[Tensor, ""]:
        """The share under the absolute rule, Var >= threshold, whatever the prior variance."""
        return (self.activity() >= self.threshold).double().mean()
