"""Reads a .wandb file: records of wandb's, in the frames of LevelDB's log, which stand in blocks of 32 KiB."""

import json
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["config", "finished", "history", "of_kind"]

_BLOCK, _FRAME = 32768, 7
_WHOLE, _LAST = 1, 4


def finished(folder: Path, seconds: float = 30) -> Path:
    """The one file of the run in ``folder``, when wandb's service, which takes its time, has written the end of it."""
    end = time.monotonic() + seconds
    while True:
        found = list(folder.glob("wandb/offline-run-*/*.wandb"))
        if found and of_kind(found[0], "exit"):
            return found[0]
        assert time.monotonic() < end, f"no run in {folder} has ended"
        time.sleep(0.05)


def of_kind(path: Path, kind: str) -> list[Any]:
    """The records of one ``kind`` (run, history, metric, artifact, ...) in the file ``path``, in their order."""
    from wandb.proto.wandb_internal_pb2 import Record

    records = [Record.FromString(content) for content in _records(path.read_bytes())]
    return [getattr(record, kind) for record in records if record.WhichOneof("record_type") == kind]


def history(path: Path) -> list[dict[str, Any]]:
    """What was logged, a dictionary for each call."""
    return [
        {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in record.item}
        for record in of_kind(path, "history")
    ]


def config(path: Path) -> dict[str, Any]:
    """The run's configuration, less wandb's own part of it."""
    (run,) = of_kind(path, "run")
    return {item.key: json.loads(item.value_json) for item in run.config.update if item.key != "_wandb"}


def _records(content: bytes) -> Iterator[bytes]:
    position, parts = _FRAME, b""  # the file's own header comes first
    while position + _FRAME <= len(content):
        left = _BLOCK - position % _BLOCK
        if left < _FRAME:
            position += left
            continue
        _, length, kind = struct.unpack("<IHB", content[position : position + _FRAME])
        if position + _FRAME + length > len(content):
            return
        parts += content[position + _FRAME : position + _FRAME + length]
        position += _FRAME + length
        if kind in (_WHOLE, _LAST):
            yield parts
            parts = b""
