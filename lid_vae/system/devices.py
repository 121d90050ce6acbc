"""What a run is told of the devices that it may use, before anything is started."""

from dataclasses import dataclass
from typing import Any

__all__ = ["DeviceOptions"]


@dataclass(frozen=True)
class DeviceOptions:
    """What ``trainer`` says of devices.

    ``accelerator`` is auto, cpu or gpu; ``devices`` a number for each node, or what else Lightning takes; ``nodes`` how
    many machines; ``strategy`` Lightning's, how they share a run. ``sweep``: whether the run is one of several of this
    process.
    """

    accelerator: str = "auto"
    devices: Any = 1
    nodes: int = 1
    strategy: str = "auto"
    sweep: bool = False
