"""A user's folder of image files."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lid_vae.data.array.own.image_folder import read_image_folder, resize
from lid_vae.errors import UserError


def write(path: Path, array: np.ndarray) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)
    return array


def grey(seed: int, height: int = 5, width: int = 7) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)


def test_files_in_the_order_of_their_names(tmp_path: Path) -> None:
    arrays = [write(tmp_path / name, grey(seed)) for seed, name in enumerate(["a.png", "b.bmp", "c.PNG"])]
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / ".d.png").write_text("hidden")
    (tmp_path / "nothing").mkdir()
    images, names = read_image_folder(tmp_path, None)
    assert names is None
    assert np.array_equal(images.numpy(), np.stack(arrays))


def test_sub_folders_are_labels(tmp_path: Path) -> None:
    second, first, third = (
        write(tmp_path / name, grey(seed)) for seed, name in enumerate(["b/x.png", "a/y.png", "b/z.png"])
    )
    images, names = read_image_folder(tmp_path, None)
    assert names == ["a", "b", "b"]
    assert np.array_equal(images.numpy(), np.stack([first, second, third]))


def test_colours_become_luminance(tmp_path: Path) -> None:
    write(tmp_path / "a.png", np.full((2, 2, 3), [255, 0, 0], np.uint8))
    assert read_image_folder(tmp_path, None)[0].unique().tolist() == [76]  # 0.299 of red


def test_colours_are_kept_where_asked_channels_first(tmp_path: Path) -> None:
    array = write(tmp_path / "a.png", np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8))
    images, _ = read_image_folder(tmp_path, None, colour=True)
    assert np.array_equal(images.numpy()[0], np.moveaxis(array, -1, 0))
    small, _ = read_image_folder(tmp_path, (2, 3), colour=True)
    planes = [resize(torch.from_numpy(array[None, :, :, channel]), (2, 3)) for channel in range(3)]
    assert torch.equal(small, torch.stack(planes, 1)), "each channel is resized by itself"
    write(tmp_path / "b.png", grey(0))
    assert read_image_folder(tmp_path, None, colour=True)[0][1].unique(dim=0).shape[0] == 1, "grey is three times grey"


def test_sizes_that_differ_are_refused_or_resized(tmp_path: Path) -> None:
    write(tmp_path / "a.png", grey(0, 5, 7))
    write(tmp_path / "b.png", grey(1, 6, 7))
    with pytest.raises(UserError, match=r"a.png is 5 x 7 .* b.png is 6 x 7. Give one with size=\[5,7\]"):
        read_image_folder(tmp_path, None)
    assert read_image_folder(tmp_path, (4, 3))[0].shape == (2, 4, 3)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no image files"):
        read_image_folder(tmp_path, None)


def test_images_beside_sub_folders_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.png", grey(0))
    write(tmp_path / "sub" / "b.png", grey(0))
    with pytest.raises(UserError, match=r"a.png, \.\.\.\) beside sub-folders of images \(sub/"):
        read_image_folder(tmp_path, None)


def test_a_broken_image_is_named(tmp_path: Path) -> None:
    write(tmp_path / "a.png", grey(0, 50, 50))
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:200])
    with pytest.raises(UserError, match=r"a.png cannot be read as an image"):
        read_image_folder(tmp_path, None)


def test_sixteen_bits_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.png", grey(0).astype(np.uint16) * 256)
    with pytest.raises(UserError, match="more than 8 bits"):
        read_image_folder(tmp_path, None)


def test_resizing_keeps_constants_and_means() -> None:
    assert resize(torch.full((1, 9, 9), 200, dtype=torch.uint8), (4, 5)).unique().tolist() == [200]
    image = torch.from_numpy(grey(3, 64, 64))[None]
    assert abs(resize(image, (16, 16)).float().mean() - image.float().mean()) < 2
    assert torch.equal(resize(image, (64, 64)), image)
