"""Weights & Biases: one run for each seed, offline where there is no login, and never a question at the terminal."""

import netrc
import os
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from lid_vae.errors import UserError
from lid_vae.log.described import CONFIG, described
from lid_vae.log.wandb_run import WandbRun, define_metrics, keep_file
from lid_vae.system.files import write_atomic

__all__ = ["logged_in", "wandb_logger"]

PUBLIC = ("wandb.ai", "coreweave.com")
LOGIN = ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE")


def wandb_logger(
    folder: str,
    project: str = "lid_vae",
    entity: str | None = None,
    tags: Iterable[str] = (),
    checkpoint: bool = False,
) -> WandbRun:
    """A Lightning logger that writes a wandb run of its own into ``<folder>/wandb``.

    The run is named after the last two parts of ``folder`` (``<model>-<data>-<family>/seed-<n>``) and grouped by
    experiment and model, so that the seeds of a model are one group. ``tags`` are wandb's, to find runs by. Its
    configuration is a dozen names of ``<folder>/config.yaml``, which as a whole is an artifact; with ``checkpoint`` the
    best checkpoint is another. A run that resumes from ``<folder>/checkpoints/last.ckpt`` continues the same wandb run,
    whose id stands in ``<folder>/wandb/run-id``. Under ``wandb agent`` the project, the entity and the id are the
    agent's, one id for each command that it starts. ``WANDB_MODE`` is respected; where it is not set, a run without a
    login, or whose server does not answer, is recorded offline (``wandb sync`` sends it later). Raises ``UserError``
    for ``WANDB_MODE=online`` without a login.
    """
    import wandb  # two seconds, so only where asked for

    place = Path(folder).resolve()
    settings = wandb.setup().settings
    project = os.environ.get("WANDB_PROJECT") or project
    # Of a run in a sweep of wandb's own these are the agent's, and others would be ignored with a warning.
    own = {} if settings.sweep_id else {"project": project, "entity": entity, "id": _run_id(place)}
    config = described(place)
    options: dict[str, Any] = {
        **own,
        "name": f"{place.parent.name}/{place.name}",
        "group": f"{place.parent.parent.name}/{config.get('model') or place.parent.name}",
        "job_type": "train",
        "tags": [str(tag) for tag in tags],
        "config": config,
        "dir": str(place),
        "resume": "allow",
        # Seeds of a sweep share a process: every one its own run, and no capture of the terminal.
        "settings": wandb.Settings(reinit="create_new", console="off", quiet=True),
    }
    mode = _mode(os.environ.get("WANDB_MODE") or settings.mode, logged_in())
    try:
        run = wandb.init(mode=mode, **options)
    except wandb.errors.CommError as error:
        warnings.warn(f"wandb records offline, as its server does not answer: {error}", stacklevel=2)
        run = wandb.init(mode="offline", **options)
    write_atomic(_stored_id(place), f"{run.id}\n")
    define_metrics(run)
    if (place / CONFIG).exists() and mode != "disabled":
        keep_file(run, place / CONFIG, "config")
    return WandbRun(place, checkpoint, experiment=run, save_dir=str(place), project=project)


def _mode(asked: str | None, known: bool) -> Any:
    if asked in ("disabled", "offline", "dryrun") or known:
        return asked
    if os.environ.get("WANDB_MODE") == "online":
        raise UserError("WANDB_MODE=online needs a login. Run `wandb login`, or unset WANDB_MODE to record offline.")
    return "offline"


def logged_in() -> bool:
    """Whether wandb would find credentials for its server without asking for them."""
    import wandb

    settings = wandb.setup().settings
    return _credentials(settings.base_url, settings.api_key)


def _credentials(base_url: str, api_key: str | None) -> bool:
    if api_key or any(os.environ.get(name) for name in LOGIN):
        return True
    host = urlsplit(base_url).netloc
    # Logins at wandb's public service are stored under the one name or the other.
    hosts = {host, "api.wandb.ai"} if host.endswith(PUBLIC) else {host}
    for path in [os.environ.get("NETRC"), Path.home() / ".netrc", Path.home() / "_netrc"]:
        if path is not None and Path(path).expanduser().exists():
            try:
                stored = netrc.netrc(str(Path(path).expanduser()))
            except (OSError, netrc.NetrcParseError):
                return False
            return any(stored.authenticators(name) for name in hosts)
    return False


def _run_id(folder: Path) -> str:
    """The id of the wandb run that this run continues, else a new one: a forced or restarted run begins afresh."""
    if _stored_id(folder).exists() and (folder / "checkpoints" / "last.ckpt").exists():
        return _stored_id(folder).read_text().strip()
    return uuid4().hex[:12]


def _stored_id(folder: Path) -> Path:
    """The file with the id of the run's wandb run, as wandb has it."""
    return folder / "wandb" / "run-id"
