"""Data that can be divided: into splits that can be measured, and a batch over several devices."""

from lid_vae.data.base import DataModule
from lid_vae.data.stream import share
from lid_vae.errors import UserError
from lid_vae.likelihood.base import CalibratedLikelihood
from lid_vae.posterior.base import CalibratedPosterior
from lid_vae.train.vae_module import VAEModule

__all__ = ["check_divisible", "check_sizes"]


def check_sizes(data: DataModule) -> None:
    """Refuses by ``UserError`` splits of ``data`` of which no measure could have an error."""
    for part, split in (("valid", data.valid), ("test", data.test)):
        if len(split) < 2:
            raise UserError(
                f"The {part} split of {data.name} has {len(split)} examples, and measures need two at least. Use "
                f"data.{part}_size=2 or more, or more data."
            )


def check_divisible(module: VAEModule, data: DataModule, devices: int) -> None:
    """Refuses by ``UserError`` to divide the training batches of ``data`` among several ``devices``.

    Each device takes as many examples, and those of a batch may not depend on each other in the ``module``.
    """
    for part, divisible, fix in (
        (module.vae.posterior, not isinstance(module.vae.posterior, CalibratedPosterior), "normalization=null"),
        (
            module.vae.likelihood,
            not isinstance(module.vae.likelihood, CalibratedLikelihood),
            "likelihood=gaussian",
        ),
        (module.objective, module.objective.by_example, "objective=elbo"),
    ):
        if not divisible:
            raise UserError(
                f"{type(part).__name__} takes averages over a batch, and each of several devices would take its own. "
                f"Use trainer.devices=1, or {fix}."
            )
    share(min(data.batch_size, len(data.train)), devices)
