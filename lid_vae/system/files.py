"""Files that are whole or absent, and errors that say which file and what to do."""

import errno
import json
import math
import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

from lid_vae.errors import UserError

__all__ = [
    "expanded",
    "explain_os_error",
    "read_file",
    "read_json",
    "remove_unfinished",
    "write_atomic",
    "write_json_atomic",
]

_FULL = (errno.ENOSPC, errno.EDQUOT)
_REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS)
_ENDLESS = "a device or a pipe, and no ordinary file"


def explain_os_error(error: OSError, path: str | os.PathLike[str] | None = None) -> str:
    """One paragraph on the failed file operation ``error``: the path, the reason, and how to mend it.

    ``path`` is named in place of the error's own.
    """
    # Where a copy or a rename fails for want of room or leave, the second name, its target, is the one that counts.
    target = error.filename2 if error.errno in (*_FULL, *_REFUSED) else None
    name = path if path is not None else target or error.filename
    where = "a file" if name is None else str(os.fspath(name))
    reason = error.strerror or str(error)
    if error.errno in _FULL:
        mend = (
            "The disk is full: free some space or write elsewhere with paths.runs=<folder>, then run the command again."
        )
    elif error.errno in _REFUSED:
        mend = "Access is refused: correct its permissions, or choose another folder (paths.runs=, paths.data=)."
    elif error.errno == errno.ENOENT:
        mend = "It does not exist: check the spelling of the path."
    elif error.errno in (errno.ENOTDIR, errno.EISDIR, errno.EEXIST):
        mend = "A file stands where a folder is expected, or the reverse: move it, or choose another path."
    elif error.strerror == _ENDLESS:
        mend = "Name the file itself."
    else:
        mend = "Check that the disk or network share is there and readable."
    return f"Could not read or write {where} ({reason}). {mend}"


def expanded(name: str | os.PathLike[str]) -> Path:
    """``name`` with the folder of the user in the place of ``~``. Raises ``UserError`` where that user has none."""
    try:
        return Path(name).expanduser()
    except RuntimeError as error:
        raise UserError(f"{name} begins with the folder of a user that there is not. Write the path out.") from error


def read_file(path: str | os.PathLike[str]) -> bytes:
    """All of the file ``path``. Raises ``OSError`` as ``open`` does, and for a device or a pipe: it may have no end."""
    kind = os.stat(path).st_mode
    if not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):
        raise OSError(errno.EINVAL, _ENDLESS, os.fspath(path))
    with open(path, "rb") as file:
        return file.read()


def write_atomic(path: str | os.PathLike[str], content: str | bytes) -> None:
    """Write ``content`` (text as UTF-8) so that ``path`` holds all of it or what it held before, even after a crash.

    Makes the folder where it is missing. Raises ``UserError`` where the file cannot be written.
    """
    path = Path(path)
    data = content.encode() if isinstance(content, str) else content
    # Beside the file, because a rename is atomic only within a file system.
    temporary = path.parent / f".{path.name[:64]}.{uuid4().hex}.tmp"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(temporary, "xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)
    except OSError as error:
        raise UserError(explain_os_error(error, path)) from error


def remove_unfinished(folder: str | os.PathLike[str]) -> None:
    """Removes what processes that were killed in the midst of ``write_atomic`` have left below ``folder``."""
    for path in Path(folder).rglob(".*.tmp"):
        path.unlink(missing_ok=True)


def write_json_atomic(path: str | os.PathLike[str], value: Any) -> None:
    """``value`` as indented JSON in ``path``, by ``write_atomic``. Numbers that are not finite become null."""
    write_atomic(path, json.dumps(_plain(value), indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def read_json(path: str | os.PathLike[str]) -> Any:
    """The value in the JSON file ``path``. Raises ``UserError`` where it is missing, unreadable or damaged."""
    try:
        return json.loads(read_file(path).decode())
    except OSError as error:
        raise UserError(explain_os_error(error, path)) from error
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"{path} is damaged or half-written: it is not JSON ({error}). Delete it and make it again."
        ) from error


def _plain(value: Any) -> Any:
    """``value`` in JSON's own types; arrays of one number, as NumPy and torch make them, become that number."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, str | bool | int) or value is None:
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Sequence):
        return [_plain(item) for item in value]
    if hasattr(value, "item"):
        return _plain(value.item())
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable, where the file system can (not on Windows, nor on some network shares)."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError:
        pass
    finally:
        os.close(descriptor)
