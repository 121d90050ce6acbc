"""Where the tests find real corpora (LID_VAE_DATA, else the repository's data/), and one thread for small tensors."""

__all__ = ["corpus", "one_thread"]

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch


@pytest.fixture(scope="session")
def corpus() -> Callable[[str], str]:
    """``corpus("mnist")`` is the data root, where it holds that folder; the test is skipped where it does not."""
    root = Path(os.environ.get("LID_VAE_DATA", Path(__file__).parents[2] / "data"))

    def find(folder: str) -> str:
        if not (root / folder).is_dir():
            pytest.skip(f"{folder} is not in the data root")
        return str(root)

    return find


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Threads that wait for each other on a busy machine cost more than they bring to tensors as small as these."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
