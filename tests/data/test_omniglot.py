"""Omniglot from the packed file and from the authors' archives."""

import hashlib
import io
import zipfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lid_vae.data import Omniglot
from lid_vae.data.array import omniglot
from lid_vae.data.array.omniglot import area_average
from lid_vae.errors import UserError


def test_area_average_against_exact_fractions() -> None:
    image = torch.randint(0, 9, (1, 7, 7), generator=torch.Generator().manual_seed(0))
    step = Fraction(7, 3)
    for i in range(3):
        for j in range(3):
            total = sum(
                int(image[0, a, b])
                * max(0, min((i + 1) * step, a + 1) - max(i * step, a))
                * max(0, min((j + 1) * step, b + 1) - max(j * step, b))
                for a in range(7)
                for b in range(7)
            )
            assert area_average(image.double(), 3)[0, i, j].item() == pytest.approx(float(total / step**2), abs=1e-12)


def test_the_packed_file(corpus: Callable[[str], str]) -> None:
    module = Omniglot(corpus("omniglot"))
    module.prepare_data()
    module.setup()
    assert (len(module.train), len(module.valid), len(module.test)) == (23_000, 1_345, 8_115)
    assert (module.train.y, module.label_count, module.image_shape) == (None, None, (28, 28))
    assert next(module.batches("test")).y is None
    ink = module.training_array().mean()
    assert 0.05 < ink < 0.15  # ink is white, and most of a page is paper


def test_area_average_gives_the_packed_pixels(corpus: Callable[[str], str]) -> None:
    folder = Path(corpus("omniglot")) / "omniglot"
    if not (folder / "images_background.npz").exists():
        pytest.skip("omniglot/images_background.npz is not in the data root")
    with np.load(folder / "images_background.npz") as arrays:
        ink = 1 - torch.from_numpy(arrays["images"].reshape(-1, 105, 105)[:500]).float()
    with np.load(folder / "omniglot_28x28.npz") as arrays:
        packed = torch.from_numpy(arrays["images"][:500])
    assert torch.equal(area_average(ink, 28).mul(255).round().to(torch.uint8), packed)


def archive(alphabet: str, count: int, seed: int) -> tuple[bytes, np.ndarray]:
    """A zip of one-bit PNG files in the authors' layout, written backwards, and the paper of its images in order."""
    paper = np.random.default_rng(seed).random((count, 105, 105)) < 0.9
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as zipped:
        for drawer in reversed(range(count)):
            png = io.BytesIO()
            Image.fromarray(paper[drawer]).save(png, "png")
            zipped.writestr(f"images/{alphabet}/character01/0001_{drawer + 1:02d}.png", png.getvalue())
    return stream.getvalue(), paper


def test_the_archives_are_read_where_there_is_no_packed_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "omniglot").mkdir()
    papers = []
    for seed, name in enumerate(list(omniglot._ARCHIVES)):
        data, paper = archive("Alphabet", 12, seed)
        (tmp_path / "omniglot" / name).write_bytes(data)
        monkeypatch.setitem(omniglot._ARCHIVES, name, "md5:" + hashlib.md5(data).hexdigest())
        papers.append(paper)
    monkeypatch.setattr(omniglot, "_TRAINING", 18)
    module = Omniglot(str(tmp_path), valid_size=3)
    module.prepare_data()
    module.setup()
    assert (len(module.train), len(module.valid), len(module.test)) == (15, 3, 6)
    ink = torch.from_numpy(1.0 - np.concatenate(papers))
    expected = area_average(ink, 28).mul(255).round().to(torch.uint8).flatten(1)
    order = np.random.RandomState(0).permutation(24)
    assert torch.equal(module.test.x, expected[np.sort(order[18:])])


def test_missing_files_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr("torchvision.datasets.Omniglot.download_url_prefix", "http://127.0.0.1:9")
    with pytest.raises(UserError, match=r"images_background.zip \(md5:.* images_evaluation.zip .*LID_VAE_DATA"):
        Omniglot(str(tmp_path)).prepare_data()
    with pytest.raises(UserError, match=r"images_background.zip .* is not there"):
        Omniglot(str(tmp_path)).setup()
