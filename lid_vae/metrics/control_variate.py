"""A mean with what explains it regressed out."""

from collections.abc import Sequence

import torch

from lid_vae.shapes import Float, Tensor

__all__ = ["controlled"]

# Examples from which a slope is fitted.
LEAST = 20


def controlled(
    value: Float[Tensor, " R"], controls: Sequence[tuple[Float[Tensor, " R"], float, float]]
) -> tuple[float, float]:
    """The mean of ``value`` and its standard error, by control variates: Owen (2013), Monte Carlo, section 8.9.

    ``controls`` are (values, their expectation, the standard error of that). Without any, or of fewer than twenty
    examples, it is the plain mean.

    >>> x = torch.linspace(-1, 1, 101)
    >>> controlled(3 + 2 * x, [(x, 0.5, 0.0)])[0]  # on another sample x had the mean 1/2
    4.0
    """
    deviation = value.std() if len(value) > 1 else torch.tensor(torch.nan)
    if len(value) < LEAST or not controls:
        return float(value.mean()), float(deviation / len(value) ** 0.5)
    design = torch.stack([one - one.mean() for one, _, _ in controls], -1)
    slope = torch.linalg.lstsq(design, (value - value.mean()).unsqueeze(-1), driver="gelsd").solution.squeeze(-1)
    mean = value.mean()
    variance = (value - mean - design @ slope).square().sum() / (len(value) - 1 - len(controls)) / len(value)
    for (one, expected, error), weight in zip(controls, slope, strict=True):
        mean = mean - weight * (one.mean() - expected)
        variance = variance + (weight * error) ** 2
    return float(mean), float(variance.sqrt())
