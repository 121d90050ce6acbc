"""What a linear classifier reads of labels from latents, all dimensions together and each alone."""

import warnings
from dataclasses import dataclass

import numpy as np

from lid_vae.shapes import Float, Int, Tensor

__all__ = ["LinearProbe", "linear_probe"]

ERRORS = 2.0


@dataclass(frozen=True)
class LinearProbe:
    """``accuracy`` of a logistic regression on held-out examples, beside ``majority``, that of always the same label.

    ``usable_M``: the dimensions whose own regression beats the majority by more than two standard errors.
    """

    accuracy: float
    majority: float
    usable_M: list[bool]

    @property
    def share(self) -> float:
        """Of the dimensions, those that are usable."""
        return sum(self.usable_M) / len(self.usable_M)


def linear_probe(
    train: Float[Tensor, "N M"], train_label: Int[Tensor, " N"], test: Float[Tensor, "P M"], label: Int[Tensor, " P"]
) -> LinearProbe:
    """Fits to ``train`` by scikit-learn's logistic regression (L2 penalty of strength 1) and measures on ``test``.

    Dimensions are standardised; the majority label is that of ``train``. The standard error is that of the paired
    difference, example by example, of the two accuracies. ``train_label`` and ``label`` are class numbers of the rows
    of ``train`` and of ``test``.
    """
    x, y = _array(train), train_label.cpu().numpy()
    held_out, true = _array(test), label.cpu().numpy()
    mean, scale = x.mean(0), x.std(0)
    scale = np.where(scale > 1e-8 * (1 + np.abs(mean)), scale, np.inf)  # a constant dimension tells nothing
    x, held_out = (x - mean) / scale, (held_out - mean) / scale
    labels, counts = np.unique(y, return_counts=True)
    guess = true == labels[counts.argmax()]
    if len(labels) == 1:
        return LinearProbe(float(guess.mean()), float(guess.mean()), [False] * x.shape[1])
    usable = []
    for dimension in range(x.shape[1]):
        alone = slice(dimension, dimension + 1)
        gain = (_predicted(x[:, alone], y, held_out[:, alone]) == true).astype(float) - guess
        error = gain.std(ddof=1) / len(gain) ** 0.5 if len(gain) > 1 else np.inf
        usable.append(bool(gain.mean() > ERRORS * error))
    accuracy = float((_predicted(x, y, held_out) == true).mean())
    return LinearProbe(accuracy, float(guess.mean()), usable)


def _predicted(x: np.ndarray, y: np.ndarray, held_out: np.ndarray) -> np.ndarray:
    from sklearn.exceptions import ConvergenceWarning  # here, because importing scikit-learn takes a second
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings():
        # A hundred steps of L-BFGS from zero, whether they reach the optimum or not, on standardised data.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return LogisticRegression(max_iter=100).fit(x, y).predict(held_out)


def _array(value: Tensor) -> np.ndarray:
    return value.detach().double().cpu().numpy()
