"""When training logs, and what it says when it diverges: the same for one run and for many."""

from lid_vae.errors import UserError

__all__ = ["is_logged", "training_diverged", "validation_diverged"]


def is_logged(step: int, interval: int) -> bool:
    """Whether training metrics of ``step`` are logged: each ``interval``-th, as Lightning counts them for loggers."""
    return interval > 0 and (step + 1) % interval == 0


def training_diverged(bound: float, step: int, learning_rate: float) -> UserError:
    """The error of a training bound that is not finite, at a ``step`` with a ``learning_rate``."""
    return UserError(
        f"The training bound became {bound} at step {step} (learning rate {learning_rate:.3g}). Lower lr= of the "
        "optimiser, or gradient_clip=; the checkpoints written before are intact."
    )


def validation_diverged(bound: float, step: int) -> UserError:
    """The error of a validation bound that is not finite, after a ``step``."""
    return UserError(
        f"The validation bound became {bound} after step {step}. Lower lr= of the optimiser, or gradient_clip=; the "
        "checkpoints written before are intact."
    )
