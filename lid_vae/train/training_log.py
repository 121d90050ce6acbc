"""What training logs under which name, and what it says when it diverges: the same for one run and for many."""

from collections.abc import Mapping
from typing import Any

from lid_vae.errors import UserError

__all__ = ["SHOWN", "is_logged", "training_diverged", "validation_diverged", "validation_metrics"]

SHOWN = ("valid/bound", "valid/active_units", "valid/mutual_information")
"""Those that a progress bar shows."""


def is_logged(step: int, interval: int) -> bool:
    """Whether training metrics of ``step`` are logged: each ``interval``-th, as Lightning counts them for loggers."""
    return interval > 0 and (step + 1) % interval == 0


def validation_metrics(measures: Mapping[str, Any]) -> dict[str, float]:
    """The logged metrics of what an ``Evaluator`` computed on the validation split."""
    latent = measures["latent"]
    metrics = {
        "valid/bound": measures["elbo"],
        "valid/active_units": latent["z"]["au"],
        "valid/log_likelihood": measures["ll"]["mean"],
        "valid/kl": latent["z"]["kl"],
        "valid/mutual_information": latent["z"]["mi"],
    }
    if "joint" in latent:
        metrics |= {"valid/kl_joint": latent["joint"]["kl"], "valid/active_units_w": latent["w"]["au"]}
    if measures["accuracy"] is not None:
        metrics["valid/accuracy"] = measures["accuracy"]
    return metrics


def training_diverged(bound: float, step: int, learning_rate: float) -> UserError:
    """The error of a training bound that is not finite."""
    return UserError(
        f"The training bound became {bound} at step {step} (learning rate {learning_rate:.3g}). Lower optimizer.lr, or "
        "lower gradient_clip; the checkpoints written before are intact."
    )


def validation_diverged(bound: float, step: int) -> UserError:
    """The error of a validation bound that is not finite."""
    return UserError(
        f"The validation bound became {bound} after step {step}. Lower optimizer.lr, or lower gradient_clip; the "
        "checkpoints written before are intact."
    )
