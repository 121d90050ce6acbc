"""Hydra composes faster in tests: what it reads and merges anew every time is kept for as long as the files stay."""

import os
import pickle
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from hydra._internal import defaults_list
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.default_element import InputDefault, ResultDefault
from hydra.core.plugins import Plugins
from omegaconf import DictConfig

__all__ = ["composed_faster"]

CONF = Path(__file__).resolve().parents[1] / "conf"
# Where the files of the schema and of installed plugins are: in modules, which no test changes.
FIXED = ("pkg", "structured")


@contextmanager
def composed_faster() -> Iterator[None]:
    """Within it a file is parsed once, and what the same choices of groups come to is merged once.

    What is kept is pickled, as OmegaConf's own copies take twice the time of that. A file whose defaults name no choice
    of another group is not given a configuration of all choices to find it in. Overrides of values, which differ from
    test to test, are always Hydra's own work; of folders other than this checkout's ``conf`` all is.
    """
    Plugins.instance()  # which imports the sources of configurations once more
    from hydra._internal.core_plugins.file_config_source import FileConfigSource

    parse, merge = FileConfigSource.load_config, ConfigLoaderImpl._compose_config_from_defaults_list
    map_choices = defaults_list._create_interpolation_map
    parsed: dict[Any, bytes] = {}
    merged: dict[Any, bytes] = {}

    def load_config(source: Any, config_path: str) -> Any:
        path = os.path.join(source.path, source._normalize_file_name(config_path))
        if not os.path.isfile(path):
            return parse(source, config_path)
        found = os.stat(path)
        key = source.provider, os.path.realpath(path), found.st_ino, found.st_mtime_ns, found.st_size
        if key not in parsed:
            parsed[key] = pickle.dumps(parse(source, config_path))
        return pickle.loads(parsed[key])

    def compose(loader: Any, defaults: Sequence[ResultDefault], repo: Any) -> DictConfig:
        sources = [source for source in repo.get_sources() if source.scheme() not in FIXED]
        if any(Path(source.path).resolve() != CONF for source in sources):
            return merge(loader, defaults, repo)
        key = tuple((one.config_path, one.package, one.parent, one.is_self, one.primary) for one in defaults)
        if key not in merged:
            merged[key] = pickle.dumps(merge(loader, defaults, repo))
        return pickle.loads(merged[key])

    def choices(overrides: Any, defaults: list[InputDefault], self_added: bool) -> DictConfig | None:
        if not any(one.is_interpolation() for one in defaults):
            return None  # nothing would be looked up
        return map_choices(overrides, defaults, self_added)

    with (
        mock.patch.object(defaults_list, "_create_interpolation_map", choices),
        mock.patch.object(FileConfigSource, "load_config", load_config),
        mock.patch.object(ConfigLoaderImpl, "_compose_config_from_defaults_list", compose),
    ):
        yield
