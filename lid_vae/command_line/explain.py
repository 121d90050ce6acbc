"""From an exception to one paragraph: what is wrong, where, and how to mend it."""

import errno
from collections.abc import Sequence
from pathlib import Path

from hydra.errors import (
    CompactHydraException,
    ConfigCompositionException,
    InstantiationException,
    OverrideParseException,
)
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from lid_vae.command_line.misspelling import find_misspelling
from lid_vae.errors import UserError
from lid_vae.files import explain_os_error
from lid_vae.sweep.sweeper import RunFailed

__all__ = ["explain"]

_HINT = "(HYDRA_FULL_ERROR=1 shows the traceback.)"


def explain(error: BaseException, kind: str, conf: Path | None = None, arguments: Sequence[str] = ()) -> str | None:
    """The paragraph for an error that a user can mend; None for any other, which deserves its traceback.

    ``conf`` and ``arguments`` are given for an error outside a job: a misspelt option is then looked for.
    """
    text = _explain(error, kind, conf, arguments)
    return text if text is None or "\n" in text else f"{text} {_HINT}"


def _explain(error: BaseException, kind: str, conf: Path | None, arguments: Sequence[str]) -> str | None:
    for link in _causes(error):
        if isinstance(link, UserError | RunFailed):
            return str(link)
    if isinstance(error, InstantiationException):
        return _explain_instantiation(error, kind)
    # Before OSError: Hydra's error for a missing configuration file is one.
    if isinstance(error, CompactHydraException | OmegaConfBaseException):
        if conf is not None and isinstance(error, ConfigCompositionException | OverrideParseException):
            misspelling = find_misspelling(kind, conf, arguments)
            if misspelling is not None:
                return misspelling
        return _explain_configuration(error)
    if isinstance(error, OSError) and (error.filename is not None or error.errno in (errno.ENOSPC, errno.EDQUOT)):
        return explain_os_error(error)
    return None


def _causes(error: BaseException | None) -> list[BaseException]:
    """The error and what it was raised from, outermost first."""
    links = []
    while error is not None:
        links.append(error)
        error = error.__cause__
    return links


def _explain_instantiation(error: InstantiationException, kind: str) -> str | None:
    root = _causes(error)[-1]
    if root is error:
        return _one_line(error)
    known = _explain(root, kind, None, ())
    if known is not None:
        return known
    # Named, not imported, to keep torch out: Lightning's error for a device or an option that it cannot serve.
    if isinstance(root, TypeError | ValueError) or type(root).__name__ == "MisconfigurationException":
        key = next(
            (line.removeprefix("full_key:").strip() for line in str(error).splitlines() if "full_key:" in line), ""
        )
        place = f"the options under {key}" if key else "the options"
        return (
            f"Could not build an object from {place}: {_one_line(root)}. Correct them; {kind}.py --cfg job shows them."
        )
    return None


def _explain_configuration(error: BaseException) -> str:
    links = _causes(error)
    for link in links:
        if isinstance(link, MissingMandatoryValue):
            key = getattr(link, "full_key", None)
            return f"The option {key} has no value. Give it one: {key}=<value>." if key else _one_line(link)
    lines = dict.fromkeys(_one_line(link) for link in links if str(link).strip())
    return " ".join(line if line.endswith((".", "?", "!")) else line + "." for line in lines)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
