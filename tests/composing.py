"""Hydra composes faster in tests: what it reads and merges anew every time is kept for as long as the files stay."""

import copy
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.default_element import ResultDefault
from hydra.core.plugins import Plugins
from omegaconf import DictConfig

__all__ = ["composed_faster"]

CONF = Path(__file__).resolve().parents[1] / "conf"
# Where the files of the schema and of installed plugins are: in modules, which no test changes.
FIXED = ("pkg", "structured")


@contextmanager
def composed_faster() -> Iterator[None]:
    """Within it a file is parsed once, and what the same choices of groups come to is merged once.

    Overrides of values, which differ from test to test, are always Hydra's own work; of folders other than this
    checkout's ``conf`` all is.
    """
    Plugins.instance()  # which imports the sources of configurations once more
    from hydra._internal.core_plugins.file_config_source import FileConfigSource

    parse, merge = FileConfigSource.load_config, ConfigLoaderImpl._compose_config_from_defaults_list
    parsed: dict[Any, Any] = {}
    merged: dict[Any, DictConfig] = {}

    def load_config(source: Any, config_path: str) -> Any:
        path = os.path.join(source.path, source._normalize_file_name(config_path))
        if not os.path.isfile(path):
            return parse(source, config_path)
        found = os.stat(path)
        key = source.provider, os.path.realpath(path), found.st_ino, found.st_mtime_ns, found.st_size
        if key not in parsed:
            parsed[key] = parse(source, config_path)
        return copy.deepcopy(parsed[key])

    def compose(loader: Any, defaults: Sequence[ResultDefault], repo: Any) -> DictConfig:
        sources = [source for source in repo.get_sources() if source.scheme() not in FIXED]
        if any(Path(source.path).resolve() != CONF for source in sources):
            return merge(loader, defaults, repo)
        key = tuple((one.config_path, one.package, one.parent, one.is_self, one.primary) for one in defaults)
        if key not in merged:
            merged[key] = merge(loader, defaults, repo)
        return copy.deepcopy(merged[key])

    with (
        mock.patch.object(FileConfigSource, "load_config", load_config),
        mock.patch.object(ConfigLoaderImpl, "_compose_config_from_defaults_list", compose),
    ):
        yield
