"""The data module on a user's own images."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat

from lid_vae.data import Images
from lid_vae.errors import UserError

X = np.random.default_rng(0).integers(0, 256, (50, 4, 6), dtype=np.uint8)
Y = np.arange(50) % 3 + 7


def ready(path: Path, **options: object) -> Images:
    module = Images(str(path), **options)
    module.setup()
    return module


def everything(module: Images) -> torch.Tensor:
    return torch.cat([module.train.x, module.valid.x, module.test.x])


def test_an_array_with_labels_is_divided_in_tenths(tmp_path: Path) -> None:
    np.savez(tmp_path / "own.npz", images=X, kind=Y)
    module = ready(tmp_path / "own.npz", labels="kind")
    assert (len(module.train), len(module.valid), len(module.test)) == (41, 4, 5)
    assert (module.label_count, module.image_shape, module.features) == (3, (4, 6), 24)
    assert sorted(everything(module).tolist()) == sorted(X.reshape(50, 24).tolist())
    label_of = {tuple(row): label - 7 for row, label in zip(X.reshape(50, 24).tolist(), Y.tolist(), strict=True)}
    assert [label_of[tuple(row)] for row in module.train.x.tolist()] == module.train.y.tolist()


def test_both_held_out_parts_come_from_the_data_seed(tmp_path: Path) -> None:
    np.save(tmp_path / "own.npy", X)
    one, again, other = (ready(tmp_path / "own.npy", seed=seed) for seed in (0, 0, 1))
    for part in ("valid", "test"):
        assert torch.equal(getattr(one, part).x, getattr(again, part).x)
        assert not torch.equal(getattr(one, part).x, getattr(other, part).x)


def test_matlab_with_images_in_columns(tmp_path: Path) -> None:
    savemat(tmp_path / "own.mat", {"ff": X.reshape(50, 24).T / 255.0})
    module = ready(tmp_path / "own.mat", shape=[4, 6], valid_size=10, test_size=15)
    assert (len(module.train), len(module.valid), len(module.test)) == (25, 10, 15)
    assert module.train.y is None
    assert sorted(everything(module).tolist()) == sorted(X.reshape(50, 24).tolist())


def test_a_folder_with_labels_in_a_file(tmp_path: Path) -> None:
    for index, image in enumerate(X):
        Image.fromarray(image).save(tmp_path / f"{index:03d}.png")
    np.save(tmp_path / "labels.npy", Y)
    module = ready(tmp_path, labels=str(tmp_path / "labels.npy"))
    assert module.label_count == 3
    assert sorted(everything(module).tolist()) == sorted(X.reshape(50, 24).tolist())
    assert ready(tmp_path).label_count is None


def test_a_folder_of_labelled_sub_folders(tmp_path: Path) -> None:
    for index, image in enumerate(X):
        (tmp_path / f"kind{Y[index]}").mkdir(exist_ok=True)
        Image.fromarray(image).save(tmp_path / f"kind{Y[index]}" / f"{index}.png")
    module = ready(tmp_path, size=8)
    assert (module.label_count, module.image_shape) == (3, (8, 8))
    with pytest.raises(UserError, match="sub-folder for each label"):
        ready(tmp_path, labels="labels.txt")


def test_a_path_inside_the_data_root(tmp_path: Path) -> None:
    np.save(tmp_path / "own.npy", X)
    module = Images("own.npy", root=str(tmp_path), size=[2, 3])
    module.setup()
    assert module.image_shape == (2, 3)
    with pytest.raises(UserError, match=r"path=other.npy does not exist"):
        Images("other.npy", root=str(tmp_path)).setup()


@pytest.mark.parametrize("option", [{"key": "x"}, {"shape": [4, 6]}, {"maximum": 1.0}])
def test_options_of_arrays_are_refused_for_a_folder(tmp_path: Path, option: dict) -> None:
    with pytest.raises(UserError, match=f"{next(iter(option))}= is for array files"):
        ready(tmp_path, **option)


def test_labels_of_another_length_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "own.npz", images=X, kind=Y[:-1])
    with pytest.raises(UserError, match=r"50 images, and labels of shape \(49,\) in kind"):
        ready(tmp_path / "own.npz", labels="kind")


def test_colours_of_a_folder_and_of_an_array_are_the_same_data(tmp_path: Path) -> None:
    rgb = np.random.default_rng(1).integers(0, 256, (30, 4, 6, 3), dtype=np.uint8)
    for index, image in enumerate(rgb):
        (tmp_path / "folder").mkdir(exist_ok=True)
        Image.fromarray(image).save(tmp_path / "folder" / f"{index:03d}.png")
    np.save(tmp_path / "last.npy", rgb)
    np.save(tmp_path / "first.npy", np.moveaxis(rgb, -1, 1) / 255.0)
    modules = [ready(tmp_path / name, colour=True) for name in ("folder", "last.npy", "first.npy")]
    assert {module.checksum for module in modules} == {modules[0].checksum}
    module = modules[0]
    assert (module.image_shape, module.shape, module.features) == ((3, 4, 6), [3, 4, 6], 72)
    assert ready(tmp_path / "folder").image_shape == (4, 6), "grey unless asked"
    assert ready(tmp_path / "last.npy", colour=True, size=3).image_shape == (3, 3, 3)
    with pytest.raises(UserError, match="Colours are kept with colour=True"):
        ready(tmp_path / "last.npy")


def test_grey_arrays_in_colour_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "own.npy", X)
    with pytest.raises(UserError, match=r"shape \(50, 4, 6\), and images in colour are .* Leave colour=True out"):
        ready(tmp_path / "own.npy", colour=True)
    with pytest.raises(UserError, match="colour=True asks for colours"):
        ready(tmp_path / "own.npy", colour=True, shape=[4, 6])


@pytest.mark.parametrize("size", [0, [3], [3, 4, 5], [3, -1]])
def test_sizes_that_are_none_are_refused(size: object) -> None:
    with pytest.raises(UserError, match=r"size=\["):
        Images("own.npy", size=size)


def test_too_few_images_to_divide_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "own.npy", X[:2])
    with pytest.raises(UserError, match="There is one example, which cannot be divided"):
        ready(tmp_path / "own.npy")
