"""Options of the kind of their defaults: conf/ says what is a number, a truth value, a text or several options."""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from math import isinf, isnan
from pathlib import Path
from typing import Any

import yaml

from lid_vae.errors import UserError

__all__ = ["ELSEWHERE", "GREATEST", "check_kinds", "spelled"]

# Counts of which each one takes time or memory, with what no machine of today comes near.
GREATEST = {
    "samples": 10**9,
    "validation_samples": 10**9,
    "depth": 10**5,
    "hidden_layers": 10**5,
    "width": 10**9,
    "latent_dimension": 10**9,
    "categories": 10**9,
    "trainer.max_epochs": 10**12,
    "trainer.check_val_every_n_epoch": 10**12,
    "map.depth": 10**5,
    "map.hidden_layers": 10**5,
    "map.shears": 10**5,
    "family.couplings": 10**5,
    "family.hidden_layers": 10**5,
    "encoder.hidden_layers": 10**5,
    "encoder.layers": 10**5,
    "likelihood.layers": 10**5,
    "prior.pseudo_inputs": 10**9,
    "data.per_class": 10**10,
    "data.classes": 10**10,
    "data.sentences": 10**10,
    "data.words": 10**9,
    "data.length": 10**9,
}
# Checked in other words, by what takes them: more than one kind is right.
ELSEWHERE = re.compile(
    r"data\.(batch_size|train_size|valid_size|eval_batch_size|path|root)|seed|paths\..*|choices\..*|samples|width|"
    r"latent_dimension|categories|trainer\.(max_epochs|check_val_every_n_epoch|devices|compile|capture|precision|accelerator|"
    r"strategy|matmul_precision)|.*\.shown|.*\._target_"
)
# Numbers that may be without bound.
UNBOUNDED = re.compile(r".*(clip|bound|delta|patience)|trainer\..*")
# Nodes that every run has, or every evaluation.
REQUIRED = {
    "train": ("callbacks", "data", "encoder", "ensemble", "optimizer", "paths", "trainer"),
    "evaluate": ("beam", "data", "nucleus", "paths"),
}
FOREIGN = (("hydra",), ("experiment",), ("figure",))
# Numbers that nothing can do without, of parts whose signatures do not say so.
NEEDED = ("optimizer.lr", "validation_samples")
LARGEST = 3.4028e38  # of 32 bits
_REFERENCE = re.compile(r"\$\{([\w.]+)\}")


def check_kinds(config: Mapping[str, Any], conf: Path, program: str = "train") -> None:
    """Raises ``UserError`` for the first option of a resolved ``config`` that is not of its kind.

    Its kind is that of its defaults in the folder ``conf``, for the ``program`` train or evaluate. Options that have
    none there, or null among them, may be anything here; so may null: what an option is for may do without it.
    """
    known = _defaults(conf, program)
    for name in REQUIRED[program]:
        if not isinstance(config.get(name), Mapping):
            below = ", ".join(sorted(path for path in known if path.startswith(f"{name}.") and path.count(".") == 1))
            raise UserError(
                f"{name}={spelled(config.get(name))} takes away options that are needed. Give values to single "
                f"ones: {below}."
            )
    # Those at the top first: many below take their values from there.
    for path, value in sorted(_walk(config), key=lambda pair: "." in pair[0]):
        _check(path, value, known)


def spelled(value: object) -> str:
    """A ``value`` as one types it."""
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _check(path: str, value: Any, known: Mapping[str, tuple[Any, ...]]) -> None:
    greatest = GREATEST.get(path)
    if greatest is not None and _number(value) and value > greatest:
        raise UserError(f"{path}={value} is more than any machine could hold. Use {path}={greatest} or less.")
    if ELSEWHERE.fullmatch(path):
        return
    if isinstance(value, float) and (isnan(value) or (isinf(value) and not UNBOUNDED.fullmatch(path))):
        raise UserError(f"{path}={value} is no number to compute with. Write a finite one.")
    if isinstance(value, float) and not isinf(value) and abs(value) > LARGEST:
        raise UserError(f"{path}={value} is beyond what 32 bits hold. Write a number below {LARGEST:.1e}.")
    defaults = _of(path, known)
    if value is None and path in NEEDED:
        raise UserError(f"{path}=null is not a number, which is what belongs there. Write one: {path}={defaults[0]}.")
    if value is None or not defaults or None in defaults:
        return
    usual = defaults[0]
    kinds = {type(default) for default in defaults}
    if kinds == {dict}:
        if not isinstance(value, Mapping):
            below = ", ".join(sorted(name for name in known if name.startswith(f"{path}."))) or f"{path}._target_"
            raise UserError(f"{path}={spelled(value)} is one value for several options. Give it to one: {below}.")
    elif isinstance(value, Mapping | list):
        if type(value) not in kinds and not (isinstance(value, Mapping) and "_target_" in value):
            raise UserError(f"{path}={value} is several values for one option. Write one, as in {path}={usual}.")
    elif kinds == {bool} and not (isinstance(value, bool) or value in (0, 1)):
        raise UserError(f"{path}={value} is neither true nor false. Write {path}=true or {path}=false.")
    elif kinds <= {int, float} and not _number(value):
        raise UserError(
            f"{path}={spelled(value)} is not a number, which is what belongs there. Write one, as in {path}={usual}."
        )
    elif kinds == {int} and value % 1:
        raise UserError(f"{path}={value} is no whole number, as stands there by default. Write one: {path}={usual}.")
    elif kinds == {int} and abs(value) >= 2**63 and not path.endswith("seed"):
        raise UserError(f"{path}={value} is beyond what 64 bits hold. Write a number nearer {path}={usual}.")


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _of(path: str, known: Mapping[str, tuple[Any, ...]]) -> tuple[Any, ...]:
    """The defaults of ``path``, of a path that is a reference those of what it refers to; several kinds, none."""
    found = known.get(path, ())
    for _ in range(4):
        referred = [_REFERENCE.fullmatch(value) if isinstance(value, str) else None for value in found]
        if not any(referred):
            break
        found = tuple(
            default
            for value, match in zip(found, referred, strict=True)
            for default in (known.get(match[1], (None,)) if match else (value,))
        )
    return found


def _walk(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in node.items():
        path = f"{prefix}{key}"
        yield path, value
        if isinstance(value, Mapping) and _own(value):
            yield from _walk(value, f"{path}.")


def _own(node: Mapping[str, Any]) -> bool:
    """Whether what a node calls, if anything, is known here; a user's own part may have options of other kinds."""
    return str(node.get("_target_", "lid_vae.")).startswith(("lid_vae.", "torch.optim.", "pytorch_lightning."))


@lru_cache
def _defaults(conf: Path, program: str) -> dict[str, tuple[Any, ...]]:
    """Of each option all defaults that files of ``conf`` give it."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    found: dict[str, dict[str, Any]] = {}
    for file in sorted(conf.rglob("*.yaml")):
        place = file.relative_to(conf).parent
        top = not place.parts and file.stem != program
        if top or place.parts[:1] in FOREIGN or (program == "evaluate" and place.parts not in ((), ("measures",))):
            continue
        text = file.read_text()
        whole = not place.parts or "@package _global_" in text
        for path, value in _walk_all(yaml.load(text, loader) or {}, "" if whole else f"{'.'.join(place.parts)}."):
            if not path.startswith(("defaults", "hydra")):
                found.setdefault(path, {})[f"{type(value)} {value if isinstance(value, str) else ''}"] = value
    return {path: tuple(values.values()) for path, values in found.items()}


def _walk_all(node: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in node.items():
        yield f"{prefix}{key}", value
        if isinstance(value, Mapping):
            yield from _walk_all(value, f"{prefix}{key}.")
