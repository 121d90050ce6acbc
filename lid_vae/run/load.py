"""From a checkpoint to its model: built by its own description, without its data."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from hydra.errors import InstantiationException

from lid_vae import __version__
from lid_vae.check.recipes import BUILT, check_recipes
from lid_vae.errors import UserError
from lid_vae.run.build import build_module
from lid_vae.run.names import current
from lid_vae.run.permitted import check_targets
from lid_vae.run.plan import Parts
from lid_vae.system.checkpoint import load_checkpoint
from lid_vae.train.vae_module import VAEModule

__all__ = ["LoadedModel", "load_model"]


# What building comes to where a description is not one that this program wrote.
DAMAGE = (ArithmeticError, AttributeError, InstantiationException, LookupError, RuntimeError, TypeError, ValueError)


class LoadedModel(NamedTuple):
    """A checkpoint's ``module``, its resolved ``config``, and the ``description`` of what else it says of itself."""

    module: VAEModule
    config: dict[str, Any]
    description: dict[str, Any]


def load_model(path: Path, trust: Sequence[str] = ()) -> LoadedModel:
    """The model of the checkpoint ``path``, on the CPU, as it was trained at that step.

    ``trust`` names packages beside this one whose parts the checkpoint may ask for. Raises ``UserError`` for a
    checkpoint that is damaged, foreign, or asks for others.
    """
    checkpoint = load_checkpoint(path)
    description = checkpoint["lid_vae"]
    with _describing(path):
        config = check_targets(current(description["config"]), path, trust)
        try:
            check_recipes({node: config.get(node) for node in (*BUILT, "model")})
            module = build_module(
                Parts.of(config), int(config["seed"]), None, description["shape"], description["labels"]
            )
        except UserError as error:
            raise UserError(f"The description in {path} is of no model that can be built. {error}") from error
        if not isinstance(config.get("data"), dict):
            raise TypeError("it has no data")
    module.description, module.step = description, description["step"]
    try:
        module.restore(checkpoint)
    except RuntimeError as error:
        raise UserError(
            f"The weights in {path} do not fit its description (written by version {description.get('version')}, "
            f"this is {__version__}). Use the version that wrote it, or train the run again."
        ) from error
    return LoadedModel(module, config, description)


@contextmanager
def _describing(path: Path) -> Iterator[None]:
    """Says of what is raised within that the checkpoint ``path`` describes no model."""
    try:
        yield
    except UserError:
        raise
    except DAMAGE as error:
        root: BaseException = error
        while isinstance(root, InstantiationException) and root.__cause__ is not None:
            root = root.__cause__
        if isinstance(root, UserError):
            raise root from error
        reason = " ".join(str(root).split())[:200]
        raise UserError(
            f"The description in {path} is of no model that can be built ({type(root).__name__}: {reason}). Was it "
            "edited? Copy it again, or train the run again."
        ) from error
