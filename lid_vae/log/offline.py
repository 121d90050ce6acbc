"""What wandb has recorded offline, and how to send it."""

import shlex
from collections.abc import Iterable
from pathlib import Path

__all__ = ["sync_command"]


def sync_command(places: Iterable[Path]) -> str | None:
    """The command that sends the wandb runs of the run folders ``places`` that are recorded offline and were not sent.

    Run folders of one experiment (``<experiment>/<model>/seed-<n>``) are named by one pattern; None where there is
    nothing to send.
    """
    found = [
        place
        for place in places
        if any(not any(run.glob("*.wandb.synced")) for run in place.glob("wandb/offline-run-*"))
    ]
    if len(found) == 1:
        names = [shlex.quote(str(found[0]))]
    else:
        experiments = dict.fromkeys(place.parents[1] for place in found)
        names = [f"{shlex.quote(str(experiment))}/*/seed-*" for experiment in experiments]
    return f"wandb sync {' '.join(f'{name}/wandb/offline-run-*' for name in names)}" if names else None
