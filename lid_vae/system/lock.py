"""One process at a time for each run: a lock file with a heartbeat, beside the run's folder."""

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import ClassVar
from uuid import uuid4

from lid_vae.errors import UserError
from lid_vae.system.files import explain_os_error, read_file

__all__ = ["BEAT", "STALE", "Claim", "LeftAlone", "Owner", "claim", "is_held", "lock_path", "owner_of"]

BEAT = 20.0
"""Seconds between two heartbeats: the lock's time of modification is set anew."""
STALE = 300.0
"""Seconds without a heartbeat after which a lock of another machine counts for nothing."""


class LeftAlone(UserError):
    """A run that is not to be trained now, and no failure: another process trains it, or ``retry`` leaves it out."""


@dataclass(frozen=True)
class Owner:
    """Who holds a lock.

    ``host`` is the machine's name and ``namespace`` its table of processes, which containers of one name do not share.
    ``pid`` is the process, ``process`` tells two with one number apart; ``job`` and ``restart`` are Slurm's. ``token``
    is drawn anew for each claim.
    """

    host: str
    namespace: str
    pid: int
    process: str
    job: str
    restart: int
    token: str

    @classmethod
    def here(cls) -> "Owner":
        """This process."""
        job = os.environ.get("SLURM_JOB_ID", "")
        restart = os.environ.get("SLURM_RESTART_COUNT", "0")
        return cls(
            host=socket.gethostname(),
            namespace=_namespace(),
            pid=os.getpid(),
            process=_started(os.getpid()),
            job=job,
            restart=int(restart) if restart.isdigit() else 0,
            token=uuid4().hex,
        )

    def is_gone(self, age: float, here: "Owner") -> bool:
        """Whether nothing will come of it any more, ``age`` seconds after its last heartbeat.

        ``here`` is the process that asks. On one machine the process table tells. A job that Slurm has put back into
        its queue and started again is not running elsewhere. Of another machine nothing is known but the heartbeat.
        """
        if self.job and self.job == here.job and self.restart < here.restart:
            return True
        if (self.host, self.namespace) == (here.host, here.namespace):
            return not self.process or _started(self.pid) != self.process
        return age > STALE


def lock_path(folder: Path) -> Path:
    """Outside the run's folder, which ``force=true`` moves away; hidden, as it is no run."""
    return folder.with_name(f".{folder.name}.lock")


def owner_of(path: Path) -> tuple[Owner | None, float] | None:
    """Who holds the lock ``path``, with the seconds since its last heartbeat by this machine's clock; None for nobody.

    A lock that cannot be read has an owner None, and counts by its age alone.
    """
    try:
        age = time.time() - path.stat().st_mtime
        text = read_file(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UserError(explain_os_error(error, path)) from error
    try:
        stored = json.loads(text)
        return Owner(**{field.name: stored[field.name] for field in fields(Owner)}), age
    except (ValueError, KeyError, RecursionError, TypeError):
        return None, age


def is_held(path: Path, here: Owner) -> bool:
    """Whether a live process holds the lock ``path``, as far as the process ``here`` can know."""
    found = owner_of(path)
    if found is None:
        return False
    owner, age = found
    return not (age > STALE if owner is None else owner.is_gone(age, here))


class Claim:
    """The lock ``path``, held by this process, its ``owner``, until another takes it over for want of a heartbeat."""

    def __init__(self, path: Path, owner: Owner) -> None:
        self.path, self.owner, self.lost = path, owner, False

    def beat(self) -> None:
        found = owner_of(self.path)
        self.lost = found is None or found[0] != self.owner
        if not self.lost:
            os.utime(self.path)

    def check(self) -> None:
        """Raises ``LeftAlone`` if the run is no longer this process's."""
        if self.lost:
            raise LeftAlone(
                f"This process stood still for more than {STALE / 60:.0f} minutes, and its lock {self.path} is gone or "
                "another's: it leaves the run to the other."
            )


@contextmanager
def claim(folder: Path) -> Iterator[Claim]:
    """Holds the run in ``folder``. Raises ``LeftAlone`` where another live process does."""
    path, mine = lock_path(folder), Owner.here()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _acquire(path, mine)
    except OSError as error:
        raise UserError(explain_os_error(error, path)) from error
    held = Claim(path, mine)
    _Heart.beat_for(held)
    try:
        yield held
    finally:
        _Heart.rest(held)
        found = None
        with suppress(UserError):  # a share that is gone: the lock goes stale by itself
            found = owner_of(path)
        if found is not None and found[0] == mine:
            with suppress(OSError):
                path.unlink(missing_ok=True)


def _acquire(path: Path, mine: Owner) -> None:
    """Linking a whole file into place succeeds for one process alone, on network shares too."""
    whole = path.with_name(f"{path.name}.{mine.token}")
    whole.write_text(json.dumps(asdict(mine)) + "\n")
    try:
        if _link(whole, path):
            return
        found = owner_of(path)
        if found is not None:
            owner, _ = found
            with suppress(FileNotFoundError):  # let go of, or taken out of the way by another, since it was read
                # Both times by the share's own clock, which may differ from ours.
                age = whole.stat().st_mtime - path.stat().st_mtime
                if not (age > STALE if owner is None else owner.is_gone(age, mine)):
                    raise LeftAlone(_held(path, owner))
                _remove_stale(path, owner)
        if not _link(whole, path):
            found = owner_of(path)
            raise LeftAlone(_held(path, None if found is None else found[0]))
    finally:
        whole.unlink(missing_ok=True)


def _remove_stale(path: Path, owner: Owner | None) -> None:
    """Takes the lock out of the way, unless it is no longer that of ``owner``: two processes may both find it stale."""
    aside = path.with_name(f"{path.name}.{uuid4().hex}")
    try:
        path.rename(aside)
    except FileNotFoundError:
        return
    found = owner_of(aside)
    if found is not None and found[0] != owner:
        _link(aside, path)  # another process was faster, and its lock goes back
    aside.unlink(missing_ok=True)


def _link(source: Path, target: Path) -> bool:
    try:
        os.link(source, target)
    except FileExistsError:
        return False
    except PermissionError:
        # A file system without links (FAT, some shares): exclusive creation, which may show a half-written lock.
        try:
            with open(target, "x") as file:
                file.write(source.read_text())
        except FileExistsError:
            return False
    return True


def _held(path: Path, owner: Owner | None) -> str:
    folder = path.with_name(path.name.removeprefix(".").removesuffix(".lock"))
    who = "another process" if owner is None else f"process {owner.pid} on {owner.host}"
    return (
        f"{folder} is being trained by {who}: left alone. Should that have died with its machine, the run is free "
        f"{STALE / 60:.0f} minutes later, or once {path} is deleted."
    )


def _namespace() -> str:
    """Containers of one name count their processes apart."""
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _started(pid: int) -> str:
    """What tells the process ``pid`` from an earlier one of the same number; "" where there is none."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        if Path("/proc/self/stat").exists():
            return ""
    except OSError:
        return ""
    else:
        fields_after_name = status.rpartition(")")[2].split()
        # A zombie has ended; only its parent has not noticed.
        return "" if fields_after_name[0] in "ZX" else fields_after_name[19]
    try:  # no /proc, as on macOS
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except PermissionError:
        pass
    return "alive"


class _Heart:
    """One thread for all locks of this process."""

    guard = threading.Lock()
    claims: ClassVar[list[Claim]] = []
    stop: threading.Event | None = None
    pid = 0

    @classmethod
    def beat_for(cls, claim: Claim) -> None:
        with cls.guard:
            cls.claims.append(claim)
            if cls.stop is None or cls.pid != os.getpid():
                cls.stop, cls.pid = threading.Event(), os.getpid()
                threading.Thread(target=cls._beat, args=(cls.stop,), name="heartbeat", daemon=True).start()

    @classmethod
    def rest(cls, claim: Claim) -> None:
        with cls.guard:
            cls.claims.remove(claim)
            if not cls.claims and cls.stop is not None:
                cls.stop.set()
                cls.stop = None

    @classmethod
    def _beat(cls, stop: threading.Event) -> None:
        while not stop.wait(BEAT):
            with cls.guard:
                claims = list(cls.claims)
            for claim in claims:
                with suppress(OSError, UserError):  # a share that is away may come back
                    claim.beat()
