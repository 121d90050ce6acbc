"""From an exception to one paragraph: what is wrong, where, and how to mend it."""

import errno
import re
from collections.abc import Mapping
from typing import Any

import yaml
from hydra.errors import CompactHydraException, InstantiationException
from omegaconf.errors import InterpolationResolutionError, MissingMandatoryValue, OmegaConfBaseException

from lid_vae.command_line.options import in_options
from lid_vae.errors import UserError
from lid_vae.launch.sweeper import RunFailed
from lid_vae.system.files import explain_os_error

__all__ = ["explain"]

_ALLOCATION = re.compile(
    r"DefaultCPUAllocator|Storage size calculation overflowed|Maximum allowed dimension exceeded|array is too big|"
    r"numel: integer multiplication overflow"
)

_FULL_KEY = re.compile(r"^ *full_key: (\S+)", re.MULTILINE)


def explain(error: BaseException, kind: str, config: Mapping[str, Any] | None = None) -> str | None:
    """The paragraph for an ``error`` that a user can mend; None for any other, which deserves its traceback.

    ``kind`` is the program that was called, train or evaluate; ``config`` is that of its run, whose options the
    library's own words become.
    """
    for link in _causes(error):
        if isinstance(link, UserError):
            return str(link) if config is None else in_options(link, config)
        if isinstance(link, RunFailed):
            return str(link)
    if (spent := _memory(error)) is not None:
        return spent
    if isinstance(error, InstantiationException):
        return _explain_instantiation(error, kind, config)
    # Before OSError: Hydra's error for a missing configuration file is one.
    if isinstance(error, CompactHydraException | OmegaConfBaseException):
        return _explain_configuration(error)
    if place := _FULL_KEY.search(str(error)):  # OmegaConf's too, which it has left in Python's class
        reason = "it is null" if "NoneType" in str(error) else str(error).splitlines()[0]
        return (
            f"{place[1]} cannot be merged with what was given: {reason}. "
            f"Correct the option {place[1]}, or leave it out; --cfg all shows what there is."
        )
    # Named, not imported, to keep torch out: Lightning's error for a device or an option that it cannot serve.
    if type(error).__name__ == "MisconfigurationException":
        return f"{_one_line(error)} Correct the options under trainer; --cfg job shows them all."
    if isinstance(error, yaml.YAMLError):
        return f"A configuration file is not YAML. Correct it: {_one_line(error)}."
    if isinstance(error, OSError) and (error.filename is not None or error.errno in (errno.ENOSPC, errno.EDQUOT)):
        return explain_os_error(error)
    return None


def _memory(error: BaseException) -> str | None:
    """What is said of an allocation that failed: by NumPy, by torch on a CPU or a GPU, or for want of a number."""
    for link in _causes(error):
        text = _one_line(link)
        if isinstance(link, MemoryError) or type(link).__name__ == "OutOfMemoryError" or _ALLOCATION.search(text):
            asked = re.search(r"allocate ([\d.]+ ?\w+)", text)
            amount = f"{asked[1]} at once" if asked else "more than there is"
            return (
                f"The memory does not suffice: {amount} was asked for. Use smaller numbers: data.batch_size, samples, "
                "width or sizes under data."
            )
    return None


def _causes(error: BaseException | None) -> list[BaseException]:
    """The error and what it was raised from, outermost first."""
    links = []
    while error is not None:
        links.append(error)
        error = error.__cause__
    return links


def _explain_instantiation(error: InstantiationException, kind: str, config: Mapping[str, Any] | None) -> str | None:
    root = _causes(error)[-1]
    if root is error or isinstance(root, ImportError):
        return _one_line(error)
    known = explain(root, kind, config)
    if known is not None:
        return known
    if isinstance(root, TypeError | ValueError):
        keys = [line.partition("full_key:")[2].strip() for line in str(error).splitlines() if "full_key:" in line]
        place = f"the options under {keys[0]}" if keys and keys[0] else "the options"
        return f"Could not build an object from {place}: {_one_line(root)} Correct them; --cfg job shows them all."
    return None


def _explain_configuration(error: BaseException) -> str:
    links = _causes(error)
    for link in links:
        key = getattr(link, "full_key", None)
        if isinstance(link, MissingMandatoryValue) and key:
            return f"The option {key} has no value. Give it one: {key}=<value>."
        if isinstance(link, InterpolationResolutionError) and key:
            return f"{key} refers to what is not there: {str(link).splitlines()[0]}. Correct it: {key}=<value>."
    lines = dict.fromkeys(_one_line(link) for link in links if str(link).strip())
    return " ".join(line if line.endswith((".", "?", "!")) else line + "." for line in lines)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
