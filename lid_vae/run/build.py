"""From a plan to its objects: data, module, hooks, loggers and trainer."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import UnionType
from typing import Any

import pytorch_lightning as pl
import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from pytorch_lightning.callbacks import Checkpoint, EarlyStopping
from pytorch_lightning.loggers import Logger

from lid_vae import __version__
from lid_vae.check.kinds import spelled
from lid_vae.check.memory import built_within_memory
from lid_vae.data.array.array_data_module import ArrayDataModule
from lid_vae.data.base import DataModule
from lid_vae.data.text.text_data_module import TextDataModule
from lid_vae.errors import UserError
from lid_vae.inference.base import Inference
from lid_vae.likelihood.base import Likelihood
from lid_vae.map.base import Aligned
from lid_vae.measure import Measure
from lid_vae.measure.base import Choosy
from lid_vae.noise import derive_seed, generator
from lid_vae.objective.base import Objective
from lid_vae.objective.schedule import Schedule
from lid_vae.posterior.base import Posterior
from lid_vae.prior.base import AggregatePrior, Prior
from lid_vae.run.names import current
from lid_vae.run.permitted import NEVER
from lid_vae.run.plan import MemberPlan, Parts, RunPlan
from lid_vae.shapes import Float, Tensor
from lid_vae.train.hooks.keepers import Best, Last
from lid_vae.train.member import Hook
from lid_vae.train.vae_module import VAEModule
from lid_vae.vae import Autoencoder

__all__ = [
    "build_callbacks",
    "build_data",
    "build_described",
    "build_hooks",
    "build_loggers",
    "build_measures",
    "build_module",
    "build_trainer",
    "check_measures",
    "training_array",
]

INITIAL_DRAWS = 1000
SMALLER = "Use a smaller width, depth, latent_dimension or categories."


def training_array(data: DataModule) -> Float[Tensor, "N D"] | None:
    """The training split of ``data``; None where it is not of vectors."""
    return data.training_array() if isinstance(data, ArrayDataModule) else None


def build_data(recipe: Mapping[str, Any]) -> DataModule:
    """The data module that ``recipe`` makes (its ``_target_`` and options), downloaded where need be, and loaded."""
    with _building("data", recipe):
        data = _part("data", recipe, instantiate(recipe), DataModule)
        data.prepare_data()
        data.setup()
    return data  # type: ignore[no-any-return]


def build_module(
    parts: Parts,
    seed: int,
    data: DataModule | None,
    shape: Sequence[int],
    labels: int | None,
    array: Float[Tensor, "N D"] | None = None,
) -> VAEModule:
    """The module of a model, its weights a function of ``seed``.

    ``parts`` are its recipes. ``shape`` is that of one example: (D,), (height, width) or (channels, height, width);
    ``labels`` the number of classes, None for none. With ``data``, what the model takes from the training set before
    training (output bias, directions of ``lift=pca``, pseudo-inputs) is set; without, a checkpoint brings it. ``array``
    is ``training_array(data)``, where several modules are built of the same. Raises ``UserError`` where parts do not
    fit.
    """
    features = 1
    for size in shape:
        features *= size
    if parts.latent_dimension > features:
        raise UserError(
            f"latent_dimension={parts.latent_dimension} exceeds the {features} dimensions of the data. "
            f"Use latent_dimension={features} or less."
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "initialise"))
        vae = built_within_memory(partial(_autoencoder, parts, shape, features), SMALLER)
    prior, likelihood = vae.prior, vae.likelihood
    if data is not None:
        _check_data(likelihood.binary, data)
        _check_categories(parts, prior.categories, data)
        array = training_array(data) if array is None else array
        if isinstance(likelihood.map, Aligned):
            likelihood.map.align(array)
        if isinstance(prior, AggregatePrior) and array is not None:
            prior.initialise(array, seed)
        with torch.no_grad():
            w = prior().sample(INITIAL_DRAWS, generator(seed, "initialise bias"))
        likelihood.eval().initialise(data.mean(), w)  # without dropout
        likelihood.train()
    made = {}
    for name, recipe, kind in (
        ("objective", parts.objective, Objective),
        ("inference", parts.inference, Inference),
        ("schedule", parts.schedule, Schedule),
    ):
        with _building(name, recipe):
            made[name] = _part(name, recipe, instantiate(recipe), kind)
    with _building("optimizer", parts.optimizer):
        optimizer = instantiate(parts.optimizer)
    with _building("model", parts.model):
        module: VAEModule = instantiate(parts.model)(
            vae=vae,
            **made,
            optimizer=optimizer,
            seed=seed,
            gradient_clip=parts.gradient_clip,
            labels=labels,
            evaluation_samples=parts.validation_samples,
        )
    return _part("model", parts.model, module, VAEModule)  # type: ignore[no-any-return]


def _autoencoder(parts: Parts, shape: Sequence[int], features: int) -> Autoencoder:
    with _building("prior", parts.prior):
        prior = instantiate(parts.prior)
        if isinstance(prior, partial):  # it has to know the data's dimension
            prior = prior(features=features)
    _part("prior", parts.prior, prior, Prior)
    with _building("likelihood", parts.likelihood):
        with _building("map", parts.map):
            make_map = instantiate(parts.map)
        likelihood = instantiate(parts.likelihood)(make_map, parts.latent_dimension, features)
    _part("likelihood", parts.likelihood, likelihood, Likelihood)
    with _building("family", parts.family):
        posterior = instantiate(parts.family)(shape, prior.latent_dimension, prior.categories, prior.support)
    _part("family", parts.family, posterior, Posterior)
    if parts.normalization is not None:
        with _building("normalization", parts.normalization):
            posterior = instantiate(parts.normalization)(posterior)
        _part("normalization", parts.normalization, posterior, Posterior)
    return Autoencoder(prior, likelihood, posterior)


def build_described(
    plan: RunPlan, member: MemberPlan, data: DataModule, array: Float[Tensor, "N D"] | None = None
) -> VAEModule:
    """The module of a ``member`` of ``plan``, to be trained on ``data``, with what its checkpoints say of it.

    ``array`` is that of ``build_module``. Raises ``UserError`` where parts, measures and data do not fit.
    """
    module = build_module(plan.parts, member.seed, data, data.shape, data.label_count, array)
    check_measures(build_measures(plan.measures), module.vae)
    text = data if isinstance(data, TextDataModule) else None
    scaling = data.standardisation if isinstance(data, ArrayDataModule) else None
    module.description = {
        "config": json.loads(json.dumps(member.config)),
        "config_hash": plan.digest,
        "version": __version__,
        "checksum": data.checksum,
        "shape": data.shape,
        "labels": data.label_count,
        "vocabulary": None if text is None else text.vocabulary,
        "standardisation": None if scaling is None else scaling.describe(),
        "longest": None if text is None else int(text.train.lengths.max()),
    }
    return module


def build_measures(recipes: Mapping[str, Any]) -> dict[str, Measure]:
    """The further measures that ``recipes`` make, by name, less what they show.

    Raises ``UserError`` for a node that is none.
    """
    found = {}
    for name, recipe in recipes.items():
        measure = instantiate({key: value for key, value in recipe.items() if key != "shown"})
        if not isinstance(measure, Measure):
            raise UserError(
                f"measures.{name} is {type(measure).__name__}, and a measure is a DrawMeasure or a SplitMeasure of "
                "lid_vae.measure. See docs/extend.md."
            )
        found[name] = measure
    return found


def check_measures(measures: Mapping[str, Measure], vae: Autoencoder) -> None:
    """Raises ``UserError`` for the first of ``measures`` that does not serve ``vae``."""
    for measure in measures.values():
        if isinstance(measure, Choosy):
            measure.check(vae)


def build_loggers(member: MemberPlan) -> list[Logger]:
    """Those of a ``member``, as its configuration names them, less those that are null."""
    made = instantiate(member.config["logger"]) or {}
    return [
        _part(f"logger.{name}", member.config["logger"][name], one, Logger)
        for name, one in made.items()
        if one is not None
    ]


def build_hooks(member: MemberPlan) -> list[Hook]:
    """Those under ``callbacks`` that are the ``member``'s own, the keepers of checkpoints last.

    Raises ``UserError`` where nothing keeps the best checkpoint.
    """
    parts = _callbacks(member)
    if not any(isinstance(part, Best | Checkpoint) for part in parts):
        raise UserError(
            "Without callbacks.checkpoint nothing keeps the best checkpoint, which is what is evaluated in the end. "
            "Leave it as it is; callbacks.checkpoint.monitor says what is best."
        )
    hooks = [part for part in parts if not isinstance(part, pl.Callback)]
    return sorted(hooks, key=lambda hook: isinstance(hook, Best | Last))


def build_callbacks(plan: RunPlan) -> list[pl.Callback]:
    """Those under ``callbacks`` that are Lightning's, which see the training of all members of ``plan``.

    Raises ``UserError`` for one that decides by metrics where several seeds train together.
    """
    callbacks = [part for part in _callbacks(plan.members[0]) if isinstance(part, pl.Callback)]
    for callback in callbacks:
        decides = isinstance(callback, Checkpoint | EarlyStopping) or getattr(callback, "monitor", None) is not None
        if decides and len(plan.members) > 1:
            raise UserError(
                f"{type(callback).__name__} decides for one training, and the {len(plan.members)} seeds of this run "
                "share theirs, where it would see means over them. Use ensemble.size=1, or callbacks=early_stopping."
            )
    return callbacks


def build_trainer(plan: RunPlan, folder: Path, callbacks: list[pl.Callback], **options: Any) -> pl.Trainer:
    """The trainer of a ``plan``, with ``callbacks``, whose root is ``folder``; ``options`` are further ones, and win.

    Raises ``UserError`` for options that Lightning refuses.
    """
    writes = any(isinstance(callback, Checkpoint) for callback in callbacks)
    settings = {"logger": False, "enable_checkpointing": writes, **options}
    torch.set_float32_matmul_precision(plan.matmul_precision)
    try:
        trainer: pl.Trainer = instantiate(plan.trainer)(
            check_val_every_n_epoch=plan.interval, callbacks=callbacks, default_root_dir=str(folder), **settings
        )
    except (TypeError, ValueError) as error:
        raise UserError(f"The trainer refuses its options: {error} Correct those under trainer.") from error
    return _part("trainer", plan.trainer, trainer, pl.Trainer)  # type: ignore[no-any-return]


@contextmanager
def _building(name: str, recipe: Mapping[str, Any]) -> Iterator[None]:
    """Says of what is raised within that the node ``name`` could not be built, and of what."""
    try:
        yield
    except (UserError, InstantiationException, torch.OutOfMemoryError):
        raise
    except (ArithmeticError, RuntimeError, TypeError, ValueError) as error:
        if "DefaultCPUAllocator" in str(error):
            raise
        options = ", ".join(
            f"{name}.{key}={spelled(value)}"
            for key, value in recipe.items()
            if not key.startswith("_") and not isinstance(value, Mapping) and value != "" and len(str(value)) < 40
        )
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise UserError(
            f"{name} cannot be built of its options ({reason.rstrip('.')}). Correct those under it: {options}."
        ) from error


def _part(name: str, recipe: Mapping[str, Any], part: Any, kind: type | UnionType) -> Any:
    """The ``part`` that ``recipe`` made for the node ``name``. Raises ``UserError`` where it is of no such ``kind``."""
    package = type(part).__module__.partition(".")[0]
    if not isinstance(part, kind) and package in NEVER:  # parts of users' own have to serve, whatever they are
        wanted = getattr(kind, "__name__", "callback")
        raise UserError(
            f"{name}._target_={recipe.get('_target_')} makes a {type(part).__name__}, and a {wanted} belongs "
            f"there. Leave it as its group says: {name}=<choice>."
        )
    return part


def _callbacks(member: MemberPlan) -> list[Any]:
    recipes = current(member.config["callbacks"])
    made = instantiate(recipes)
    return [
        _part(f"callbacks.{name}", recipes[name], one, pl.Callback | Hook)
        for name, one in made.items()
        if one is not None
    ]


def _check_data(binary: bool, data: DataModule) -> None:
    if binary and not data.in_unit_interval:
        standardised = isinstance(data, ArrayDataModule) and data.log_det_jacobian is not None
        kept = " Or keep zeros and ones as they are with data.standardise=false." if standardised else ""
        raise UserError(
            f"A Bernoulli likelihood needs values in [0, 1], and {data.name} has real ones. Use likelihood=gaussian."
            f"{kept}"
        )


def _check_categories(parts: Parts, categories: int | None, data: DataModule) -> None:
    if categories is None:
        return
    if categories > len(data.train):
        raise UserError(
            f"categories={categories} are more than the {len(data.train)} training examples of {data.name}, so that "
            f"some would never be used. Use fewer categories, or more data."
        )
    labels = data.label_count
    if labels is not None and categories > labels and not parts.extra_categories:
        raise UserError(
            f"categories={categories} are more than the {labels} classes of {data.name}. Use categories={labels} or "
            f"fewer, or say that you mean it with extra_categories=true."
        )
