"""Files under the data root: found there, else downloaded (checked, resumable, atomic), else a clear refusal."""

__all__ = ["RemoteFile", "digest", "fetch", "read_checked"]

import hashlib
import os
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from typing import BinaryIO

from lid_vae.errors import UserError
from lid_vae.system.files import read_file

try:
    import fcntl
except ImportError:  # Windows, where two downloads of a file at once are not kept apart: the sum tells
    fcntl = None  # type: ignore[assignment]

_TIMEOUT = 30.0  # seconds without a byte
_BLOCK = 1 << 20


@dataclass(frozen=True)
class RemoteFile:
    """A file of a data set: its ``name``, ``checksum`` ("sha256:..." or "md5:...") and the ``urls`` to try in turn."""

    name: str
    checksum: str = ""
    urls: tuple[str, ...] = ()


def digest(data: bytes, checksum: str) -> str:
    """The checksum of ``data``, by the algorithm of ``checksum``."""
    algorithm = checksum.partition(":")[0]
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


def read_checked(folder: Path, file: RemoteFile) -> bytes:
    """The bytes of a ``file`` in ``folder``.

    Raises:
        UserError: if it is missing, unreadable, or not the file that it should be.
    """
    path = folder / file.name
    if not path.exists():
        raise _missing(folder, [file], "It is not there")
    try:
        data = read_file(path)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}.") from error
    found = digest(data, file.checksum)
    if found != file.checksum:
        raise UserError(
            f"{file.name} in {folder.absolute()} is damaged or another file: its sum should be {file.checksum}, and is "
            f"{found}. Remove it, and it is downloaded again; or put a good copy in its place."
        )
    return data


def fetch(folder: Path, files: Sequence[RemoteFile]) -> None:
    """Downloads those of ``files`` that ``folder`` lacks; does nothing where all are there.

    A download goes to ``<name>.part``, goes on where an interrupted one stopped, and takes its name only once its sum
    is right. Of several processes that want a file at once, one downloads it.

    Raises:
        UserError: if that fails, naming the files, their sums and the folder to put them in.
    """
    for file in files:
        if (folder / file.name).exists():
            continue
        reasons = []
        for url in file.urls:
            try:
                folder.mkdir(parents=True, exist_ok=True)
                _download(url, folder, file)
                break
            except (OSError, HTTPException) as error:
                reasons.append(f"{url}: {error}")
        else:
            lacking = [each for each in files if not (folder / each.name).exists()]
            raise _missing(folder, lacking, f"The download failed ({'; '.join(reasons) or 'no address is known'})")


def _download(url: str, folder: Path, file: RemoteFile) -> None:
    target, part = folder / file.name, folder / f"{file.name}.part"
    with open(part, "ab") as handle:
        if fcntl is not None:
            fcntl.flock(handle, fcntl.LOCK_EX)
        if target.exists():  # another process was faster, and the handle is on a file that is gone or about to go
            part.unlink(missing_ok=True)
            return
        try:
            resumed = True
            while resumed:  # where the beginning is of another version, once more from nothing
                resumed = _receive(url, handle)
                found = digest(part.read_bytes(), file.checksum)
                if found == file.checksum:
                    os.replace(part, target)
                    return
                handle.truncate(0)
            raise OSError(f"its sum is {found}, not {file.checksum}")
        finally:
            if part.exists() and part.stat().st_size == 0:
                part.unlink()


def _receive(url: str, handle: BinaryIO) -> bool:
    """Appends to ``handle`` what it lacks of ``url``; whether there was a beginning to go on from."""
    handle.seek(0, os.SEEK_END)
    have = handle.tell()
    request = urllib.request.Request(url, headers={"User-Agent": "lid_vae"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as response:
            if response.status != HTTPStatus.PARTIAL_CONTENT:
                handle.truncate(0)  # the server sends the whole file
            length = response.length
            received = 0
            while block := response.read(_BLOCK):
                handle.write(block)
                received += len(block)
            handle.flush()
            if length is not None and received < length:
                raise OSError(f"the connection broke after {received} of {length} bytes; run again to go on from there")
    except urllib.error.HTTPError as error:
        if error.code != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        # nothing lacks: the sum decides whether the part is the file
    return have > 0


def _missing(folder: Path, files: Sequence[RemoteFile], reason: str) -> UserError:
    names = ", ".join(f"{file.name} ({file.checksum})" for file in files)
    return UserError(
        f"Data files are missing: {names}. {reason}. Put them in {folder.absolute()}, or point LID_VAE_DATA (or "
        f"root=) to a folder that holds {folder.name}/ with them."
    )
