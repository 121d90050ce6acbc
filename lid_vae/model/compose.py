"""A model from options: composed as ``train.py`` composes, so that there is one source of defaults."""

from collections.abc import Mapping, Sequence
from typing import Any

from hydra.errors import HydraException
from hydra.types import RunMode
from hydra.utils import instantiate
from omegaconf import DictConfig, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException
from pytorch_lightning import Callback

from lid_vae.command_line.arguments import in_todays_words, rewrite
from lid_vae.command_line.mistake import find_mistake
from lid_vae.data.base import DataModule
from lid_vae.errors import UserError
from lid_vae.model.data import data_of, preset_of
from lid_vae.run.build import build_data, build_described
from lid_vae.run.names import current
from lid_vae.run.panels import Panels
from lid_vae.run.plan import RunPlan, plan_run
from lid_vae.run.store import CONF, own_presets
from lid_vae.train.hooks.keepers import Best, Last
from lid_vae.train.member import Hook
from lid_vae.train.vae_module import VAEModule

__all__ = ["build", "build_model", "built_of", "own_hooks"]

# Options of data that a model built in Python does not have: its data are in memory.
KEPT = ("batch_size", "eval_batch_size")


def build(options: Sequence[str] = ()) -> Any:
    """A model by the options of ``train.py``, on the data that they name, still to be trained: ``.fit()``.

    Args:
        options: as on the command line, ``["model=lidgmvae", "data=digits", "width=64"]``; ``seed=3`` decides the
            weights, ``paths.data=`` where data are looked for and downloaded to.

    Returns:
        The model: ``lid_vae.LIDGMVAE``, or the class that ``model=`` names.

    Raises:
        UserError: for an option that does not exist or is out of range, and where parts and data do not fit.

    >>> build(["model=vae", "data=pinwheel", "data.per_class=40", "data.valid_size=20", "data.test_size=20"]).labels
    5
    """
    plan = _plan(list(options))
    return _described(plan, build_data(plan.data), in_memory=False)


def build_model(model: str, x: Any, y: Any, seed: int, options: Mapping[str, Any]) -> VAEModule:
    """The model of the choice ``model=`` for the examples ``x`` and class numbers ``y``, by its ``seed``.

    ``options`` are by name. Raises ``UserError`` where they do not fit, or do not exist.
    """
    batch = {key: options[key] for key in ("batch_size",) if options.get(key) is not None}
    data = _in_memory(x, y, options.get("data"), {"train_seed": seed, **batch})
    words = [f"model={model}", f"data={preset_of(data)}", f"seed={seed}"]
    others = {key: value for key, value in options.items() if key not in ("batch_size", "data")}
    words += [word for key, value in others.items() for word in _words(key, value)]
    plan = _plan(words, data)
    if not isinstance(x, DataModule) and not batch:
        data.batch_size = int(plan.data["batch_size"])
    return _described(plan, data, in_memory=True)


def _in_memory(x: Any, y: Any, asked: Any, options: Mapping[str, Any]) -> DataModule:
    """``x`` and ``y`` as a data module by ``options`` and what is ``asked`` as ``data=``.

    Raises ``UserError`` for a name, for options that do not exist, and where a data module has its own.
    """
    if asked is not None and (not isinstance(asked, Mapping) or isinstance(x, DataModule)):
        raise UserError(
            f"data={asked!r} goes with x in memory, and takes options of lid_vae.data.Array: "
            'data={"binarise": "dynamic"}. Data by name: lid_vae.build(["data=digits"]).'
        )
    if isinstance(x, DataModule):
        return data_of(x, y)
    try:
        return data_of(x, y, **{**options, **(asked or {})})
    except TypeError as error:
        if not asked:
            raise
        raise UserError(
            f"data={dict(asked)} is not understood: {error}. See lid_vae.data.Array for its options."
        ) from error


def built_of(module: VAEModule) -> DataModule | None:
    """The data that ``module`` was built of, where it was built in this process."""
    return module.__dict__.get("_built_of")


def own_hooks(module: VAEModule) -> list[Hook]:
    """What the presets of ``module`` do in the course of a training, such as annealing; no files and no pictures."""
    nodes = current(module.description.get("config", {})).get("callbacks") or {}
    made = [instantiate(node) for name, node in nodes.items() if name != "progress"]
    return [part for part in made if not isinstance(part, Best | Last | Panels | Callback)]


def _described(plan: RunPlan, data: DataModule, in_memory: bool) -> VAEModule:
    module = build_described(plan, plan.members[0], data)
    if in_memory:
        module.description["in_memory"] = True
    module.__dict__["_built_of"] = data
    return module


def _plan(words: Sequence[str], data: DataModule | None = None) -> RunPlan:
    """The plan of one run by ``words``; of ``data`` where these are in memory."""
    today, _ = in_todays_words(words)
    arguments = rewrite(today)
    presets = own_presets()
    try:
        cfg: DictConfig = presets.loader.load_configuration("train", arguments, RunMode.RUN)
        if data is not None:
            _replace_data(cfg, data)
        plan = plan_run(cfg, presets, overrides=arguments)
    except (HydraException, OmegaConfBaseException) as error:
        text = find_mistake("train", CONF, arguments) or str(error)
        raise UserError(text.replace("--help lists the common options, --cfg job all of them.", OPTIONS)) from error
    if len(plan.members) > 1:
        raise UserError("A model has one seed. Build one for each, or train a sweep: python train.py -m seed=0-9.")
    return plan


OPTIONS = "Options are those of train.py; python train.py --help lists the common ones."


def _replace_data(cfg: DictConfig, data: DataModule) -> None:
    """In place of data with a recipe, what says that they were in memory."""
    kept = {key: cfg.data[key] for key in KEPT if key in cfg.data}
    kind = type(data)
    with read_write(cfg), open_dict(cfg):
        cfg.data = {"_target_": f"{kind.__module__}.{kind.__qualname__}", **kept}
        cfg.data_name = data.name


def _words(name: str, value: Any) -> list[str]:
    """An option by its name and value, as words of the command line."""
    if isinstance(value, Mapping):
        return [word for key, one in value.items() for word in _words(f"{name}.{key}", one)]
    if value is None:
        return [f"{name}=null"]
    if isinstance(value, bool):
        return [f"{name}={str(value).lower()}"]
    if isinstance(value, list | tuple):
        return [f"{name}=[{','.join(map(str, value))}]"]
    return [f"{name}={value}"]
