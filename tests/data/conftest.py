"""Where the tests find real corpora: LID_VAE_DATA, else the repository's data/."""

__all__ = ["corpus"]

import os
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def corpus() -> Callable[[str], str]:
    """``corpus("mnist")`` is the data root, where it holds that folder; the test is skipped where it does not."""
    root = Path(os.environ.get("LID_VAE_DATA", Path(__file__).parents[2] / "data"))

    def find(folder: str) -> str:
        if not (root / folder).is_dir():
            pytest.skip(f"{folder} is not in the data root")
        return str(root)

    return find
